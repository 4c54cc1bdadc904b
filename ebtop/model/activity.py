"""When how much happened: what a time bar is drawn of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from ebtop.countrow import ROW
from ebtop.tick import Tick

LEVELS = 8
_MS = 1_000_000
_SECOND, _HALF = 1000, 500


class Moment(NamedTuple):
    """The end of a tick (Unix ns), and how much it holds: events, values in histograms, samples, ms on CPUs."""

    end: int
    amount: int


def amount(tick: Tick) -> int:
    """What a tick holds, whatever its kind."""
    if tick.rows is not None and "cpu_ns" in (tick.rows.dtype.names or ()):
        return int(tick.rows["cpu_ns"].sum()) // _MS
    values = sum(int(h.counts.sum()) for h in tick.histograms if h.group == "all")
    counted = int(tick.rows["count"].sum()) if tick.rows is not None and tick.rows.dtype == ROW else 0
    return counted + tick.event_count + values + sum(stack.count for stack in tick.stacks)


@dataclass(frozen=True, slots=True)
class Scale:
    """`count` cells of `step` ms each, around `first` (Unix ms) and on. Cells are whole seconds, and ticks that come a
    little early or late fall into the one they are meant for."""

    first: int
    step: int
    count: int

    @classmethod
    def of(cls, activity: Sequence[Moment], width: int) -> Self:
        """From the first moment to the last, in `width` cells at most."""
        ends = [moment.end // _MS for moment in activity]
        first = min(ends)
        seconds = (max(ends) - first + _HALF) // _SECOND + 1
        each = -(-seconds // max(width, 1))
        return cls(first, each * _SECOND, -(-seconds // each))

    def cell(self, time: int) -> int:
        """The cell in which a time (Unix ns) lies; the nearest for one outside."""
        return min(max((time // _MS - self.first + _HALF) // self.step, 0), self.count - 1)

    def end(self, cell: int) -> int:
        """The last Unix ns of a cell."""
        return (self.first + (cell + 1) * self.step - _HALF) * _MS - 1

    def levels(self, activity: Sequence[Moment]) -> list[int]:
        """0 for nothing, else 1 to LEVELS by the root of what happened, as one flood would make all else look like
        nothing."""
        ends = np.array([moment.end for moment in activity], np.int64) // _MS
        amounts = np.array([moment.amount for moment in activity], np.float64)
        heights = np.sqrt(np.bincount((ends - self.first + _HALF) // self.step, amounts, self.count))
        most = float(heights.max())
        found: list[int] = np.ceil(heights * (LEVELS / most)).astype(int).tolist() if most else [0] * self.count
        return found


def step(activity: Sequence[Moment], time: int, by_ns: int) -> int:
    """The end of the tick that is so far before (below 0) or after a time, or a little farther; the first or the last
    one where there is none."""
    ends = sorted(moment.end for moment in activity)
    if by_ns < 0:
        return next((end for end in reversed(ends) if end <= time + by_ns), ends[0])
    return next((end for end in ends if end >= time + by_ns), ends[-1])
