"""Stacks added up, as the formats of flame graph readers take them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ebtop.model.columns import coded
from ebtop.model.distinct import combined, distinct, keys
from ebtop.tick import Frame, Stack, Tick, ToolState
from ebtop.tool import Batch, Column, Kind, Names, Tool, Type

KERNEL_COLUMN = "kstack"
"""The column of a Type.STACK whose functions are the kernel's; those of others are a program's."""

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class StackCounts:
    """Distinct stacks (thread ids are not told apart) and how often each was seen, in the order of their functions.

    `what` is counted: "samples" or "events". A sample stands for `period_ns` of a CPU; 0 where that is not known, or
    an event stands for no time. `start` and `end` are Unix ns. `without` counts the events that have no stack.
    """

    tool: str
    what: str
    stacks: tuple[Stack, ...]
    start: int
    end: int
    period_ns: int = 0
    without: int = 0

    @property
    def total(self) -> int:
        """All samples, or all events that have a stack."""
        return sum(stack.count for stack in self.stacks)


def has_stacks(tool: Tool) -> bool:
    """Whether a tool's data can be stacks."""
    return tool.kind is Kind.STACKS or bool(_stack_columns(tool))


def period_ns(tool: Tool, state: ToolState | None) -> int:
    """How much of a CPU's time a sample stands for; 0 where it was not said how often samples are taken."""
    frequency = state.options.get("frequency", 0) if state else 0
    return round(_SECOND / frequency) if tool.kind is Kind.STACKS and frequency > 0 else 0


class StackCounter:
    """Adds up the stacks of one tool's ticks."""

    def __init__(self, tool: Tool, period_ns: int = 0) -> None:
        self._tool = tool
        self._period = period_ns
        self._counts: Counter[tuple[str, int, tuple[Frame, ...]]] = Counter()
        self._times: tuple[int, int] | None = None
        self._without = 0

    def add(self, tick: Tick, names: Names) -> None:
        """Take a tick; they come in the order of time."""
        self._times = (self._times[0] if self._times else tick.start, tick.end)
        self.add_stacks(tick.stacks)
        for batch in tick.events:
            self.add_events(batch, names)

    def span(self, start: int, end: int) -> None:
        """Say of which time (Unix ns) the stacks are, where they are not added tick by tick."""
        self._times = (start, end)

    def add_stacks(self, stacks: Iterable[Stack]) -> None:
        """Take stacks that are counted already."""
        for stack in stacks:
            self._counts[stack.comm, stack.pid, stack.frames] += stack.count

    def add_events(self, batch: Batch, names: Names) -> None:
        """Take the stacks of events: one each."""
        columns = _stack_columns(self._tool)
        if not columns or not len(batch):
            return
        who = [self._tool.column("comm"), self._tool.column("pid")]
        found = [coded(column, batch, names) if column else None for column in (*who, *columns)]
        first, codes = distinct(combined([keys(one.codes) for one in found if one is not None]))
        for row, count in zip(first.tolist(), np.bincount(codes).tolist(), strict=True):
            values = [None if one is None else one.values[int(one.codes[row])] for one in found]
            comm, pid, *parts = values
            frames = tuple(
                frame for column, part in zip(columns, parts, strict=True) for frame in _frames(column, part)
            )
            if frames:
                self._counts[str(comm or ""), pid if isinstance(pid, int) else 0, frames] += count
            else:
                self._without += count

    def counts(self) -> StackCounts:
        """What was added up until now. Neighbours share their callers, so that readers can join them."""
        start, end = self._times or (0, 0)
        ordered = sorted(self._counts.items())
        stacks = tuple(Stack(frames, count, pid, pid, comm) for (comm, pid, frames), count in ordered)
        what = "samples" if self._tool.kind is Kind.STACKS else "events"
        return StackCounts(self._tool.name, what, stacks, start, end, self._period, self._without)


def _stack_columns(tool: Tool) -> list[Column]:
    """Those with the functions of a program before those of the kernel, which it called."""
    return sorted((c for c in tool.columns if c.type is Type.STACK), key=lambda c: c.key == KERNEL_COLUMN)


def _frames(column: Column, value: object) -> list[Frame]:
    kernel = column.key == KERNEL_COLUMN
    module = "kernel" if kernel else ""
    return [Frame(str(name), module, kernel) for name in value] if isinstance(value, list) else []
