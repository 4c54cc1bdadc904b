"""Adds the ticks of a HISTOGRAM, STACKS or COUNTS tool up to one per output interval."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ebtop.countrow import ROW
from ebtop.tick import Cost, Frame, Histogram, Stack, Tick

By = Literal["all", "pid", "cgroup", "probe"]


class Accumulator:
    """Merges ticks of one tool: bucket counts, stacks, counted rows, names, losses and cost. Events and other rows do
    not add up and are not kept. `by` says which of the histograms count; without it those by attach point where there
    are some, else those of all."""

    def __init__(self, by: By | None = None) -> None:
        self._by = by
        self._clear()

    def _clear(self) -> None:
        self._span: tuple[str, int, int] | None = None
        self._counts: dict[int, npt.NDArray[np.uint64]] = {}
        self._labels: dict[int, str] = {}
        self._stacks: Counter[tuple[tuple[Frame, ...], int, int, str]] = Counter()
        self._names: dict[str, dict[int, Any]] = {}
        self._lost: Counter[str] = Counter()
        self._cost = Cost()
        self._rows: Counter[int] = Counter()
        self._group = ""

    def add(self, tick: Tick) -> None:
        """Take a tick; they come in the order of time."""
        start = tick.start if self._span is None else self._span[1]
        self._span = (tick.tool, start, tick.end)
        by = self._by or ("probe" if any(one.group == "probe" for one in tick.histograms) else "all")
        for histogram in tick.histograms:
            if histogram.group == by:
                self._add_histogram(histogram)
        for s in tick.stacks:
            self._stacks[s.frames, s.pid, s.tid, s.comm] += s.count
        for domain, known in tick.names.items():
            self._names.setdefault(domain, {}).update(known)
        if tick.rows is not None and tick.rows.dtype == ROW:
            self._rows.update(dict(zip(tick.rows["probe"].tolist(), tick.rows["count"].tolist(), strict=True)))
        self._lost.update(tick.lost)
        self._cost = Cost(self._cost.run_ns + tick.cost.run_ns, self._cost.run_count + tick.cost.run_count)

    def _add_histogram(self, histogram: Histogram) -> None:
        self._group = histogram.group
        before = self._counts.get(histogram.key)
        self._counts[histogram.key] = histogram.counts if before is None else before + histogram.counts
        self._labels[histogram.key] = histogram.label or self._labels.get(histogram.key, "")

    def take(self) -> Tick | None:
        """Everything since the last time as one tick, and begin anew; None if there was no tick.

        The most comes first: histograms by their totals, stacks and rows by their counts.
        """
        if self._span is None:
            return None
        tool, start, end = self._span
        totals = sorted(self._counts.items(), key=lambda item: (-int(item[1].sum()), item[0]))
        stacks = self._stacks.most_common()
        tick = Tick(
            tool,
            start,
            end,
            histograms=tuple(Histogram(self._group, key, self._labels[key], counts) for key, counts in totals),
            stacks=tuple(Stack(frames, n, pid, tid, comm) for (frames, pid, tid, comm), n in stacks),
            rows=np.array([(number, 0, n) for number, n in self._rows.most_common()], ROW) if self._rows else None,
            names=self._names,
            lost=dict(self._lost),
            cost=self._cost,
        )
        self._clear()
        return tick
