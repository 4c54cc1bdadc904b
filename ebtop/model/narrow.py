"""What is left of a tool's data for one process: for the page of that process, with the views that show all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ebtop.model.activity import Moment, amount
from ebtop.model.columns import numbers
from ebtop.model.groups import By
from ebtop.model.snapshot import ToolSnapshot
from ebtop.tick import Histogram, Tick
from ebtop.tool import Batch, Kind, Names, Tool

PID, PARENT = "pid", "ppid"


class Narrow:
    """Narrows one tool's snapshots to a process: its events, and those of children where the tool tells parents; its
    histogram in place of the whole system's; its stacks. For one thread.

    A tick is narrowed once, for as long as it is held: the same tick gives the same object again.
    """

    def __init__(self, tool: Tool, pid: int) -> None:
        self.tool = tool
        self.pid = pid
        self._keys = [column for key in (PID, PARENT) if (column := tool.column(key)) is not None]
        self._known: dict[tuple[int, int, int], tuple[Tick, Moment]] = {}

    def __call__(self, snapshot: ToolSnapshot) -> ToolSnapshot:
        """What is the process's of a snapshot; what was lost stays, as nobody knows whose that was."""
        known = self._known
        self._known = {}
        for tick in snapshot.ticks:
            which = id(tick), tick.start, tick.end  # a number that is used again is not with these times
            self._known[which] = known.get(which) or self._narrowed(tick, snapshot.names)
        parts = self._known.values()
        activity = tuple(moment for _, moment in parts)
        events = sum(moment.amount for moment in activity) if self.tool.kind is Kind.EVENTS else 0
        return replace(snapshot, ticks=tuple(tick for tick, _ in parts), events=events, activity=activity)

    def _narrowed(self, tick: Tick, names: Names) -> tuple[Tick, Moment]:
        rows = tick.rows if self.tool.kind is Kind.PROCESSES else None
        narrowed = replace(
            tick,
            events=tuple(self._kept(tick.events, names)),
            rows=None if rows is None else next(self._kept((rows,), names), None),
            histograms=tuple(self._histograms(tick)),
            stacks=tuple(stack for stack in tick.stacks if stack.pid == self.pid),
            gauges={},
        )
        return narrowed, Moment(tick.end, amount(narrowed))

    def _kept(self, batches: tuple[Batch, ...], names: Names) -> Iterator[Batch]:
        for batch in batches:
            mine = self._mine(batch, names)
            if mine.any():
                yield batch[mine]

    def _mine(self, batch: Batch, names: Names) -> npt.NDArray[np.bool_]:
        mine = np.zeros(len(batch), dtype=np.bool_)
        for column in self._keys:
            mine |= numbers(column, batch, names) == self.pid
        return mine

    def _histograms(self, tick: Tick) -> Iterator[Histogram]:
        for histogram in tick.histograms:
            if histogram.group == By.PID.value and histogram.key == self.pid:
                yield replace(histogram, group=By.ALL.value)
                yield histogram
