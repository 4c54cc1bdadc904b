"""From the ticks of a histogram tool to what its view shows; keeps what it has worked out of each tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ebtop.model.groups import By, Group, Sparse, ranked, sparse, whole
from ebtop.model.percentiles import Counts
from ebtop.model.window import Window, within
from ebtop.tick import Tick
from ebtop.tool import Buckets

MAP_TICKS = 600
"""As many of the newest ticks a map shows, unless all that is held is asked for."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The groups of the window; of the chosen one (or the whole) its counts over the window and by tick.

    `by_tick` is ticks x buckets, for `ticks`, oldest first; `waiters` has the processes of each of these ticks.
    """

    groups: tuple[Group, ...]
    chosen: Group | None
    counts: Counts
    by_tick: Counts
    ticks: tuple[Tick, ...]
    waiters: tuple[Sparse, ...]


class LatencyReader:
    """For one thread."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._sparse: dict[tuple[int, int, By], Sparse] = {}
        self._whole: dict[tuple[int, int], Counts] = {}

    def read(self, ticks: Sequence[Tick], window: Window, by: By, chosen: int | None) -> Latency:
        """Add up `window` of the held ticks, by group; `chosen` is a group's key, the one with most if it is None."""
        self._forget(ticks)
        wanted = within(window, ticks)
        mapped = tuple(ticks if window is Window.HELD else ticks[-MAP_TICKS:])
        groups = tuple(ranked(self._buckets, [self._parts(t, by) for t in wanted])) if by is not By.ALL else ()
        group = next((g for g in groups if g.key == chosen), None)
        if group is None and groups and chosen is None:
            group = max(groups, key=lambda g: (g.p99, g.count))
        key = chosen if chosen is not None else group.key if group is not None else None
        by_tick = self._rows(mapped, by, key)
        counts = by_tick[len(mapped) - len(wanted) :].sum(axis=0, dtype=np.uint64)
        if len(wanted) > len(mapped):
            counts = self._rows(wanted, by, key).sum(axis=0, dtype=np.uint64)
        waiters = tuple(self._parts(tick, By.PID) for tick in mapped)
        return Latency(groups, group, counts, by_tick, mapped, waiters)

    def _rows(self, ticks: Sequence[Tick], by: By, key: int | None) -> Counts:
        rows = [self._one(tick, by, key) for tick in ticks]
        return np.stack(rows) if rows else np.zeros((0, self._buckets.count), dtype=np.uint64)

    def _one(self, tick: Tick, by: By, key: int | None) -> Counts:
        if by is By.ALL or key is None:
            times = (tick.start, tick.end)
            if times not in self._whole:
                self._whole[times] = whole(tick, self._buckets)
            return self._whole[times]
        return self._parts(tick, by).of(key, self._buckets)

    def _parts(self, tick: Tick, by: By) -> Sparse:
        where = (tick.start, tick.end, by)
        if where not in self._sparse:
            self._sparse[where] = sparse(tick, by)
        return self._sparse[where]

    def _forget(self, held: Sequence[Tick]) -> None:
        alive = {(tick.start, tick.end) for tick in held}
        self._whole = {key: value for key, value in self._whole.items() if key in alive}
        self._sparse = {key: value for key, value in self._sparse.items() if key[:2] in alive}
