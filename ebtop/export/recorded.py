"""Ticks that were recorded, in other formats."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ebtop.export.accumulate import Accumulator, By
from ebtop.export.digests import ValueCounter, digest_of
from ebtop.export.exporter import Exporter
from ebtop.export.formats import FORMATS, STACK_FORMATS
from ebtop.export.known import KnownNames
from ebtop.export.stackcounts import StackCounter, StackCounts, has_stacks, period_ns
from ebtop.export.summary import Tally
from ebtop.tick import Tick, ToolState
from ebtop.tool import Digest, Kind, Names, Tool

_ADDED_UP = frozenset({Kind.HISTOGRAM, Kind.STACKS, Kind.COUNTS})
_UNSETTLED = 3
"""Names arrive up to so many ticks after the events that need them."""


class _Part:
    """What one tool's ticks have come to."""

    def __init__(self, tool: Tool, names: Names, by: By | None) -> None:
        self.tool = tool
        self.known = KnownNames(names)
        self.accumulator = Accumulator(by)
        self.written_at = 0
        self.unsettled: deque[Tick] = deque()


def write_tables(
    exporter: Exporter, ticks: Iterable[Tick], tools: Sequence[tuple[Tool, Names]], states: Mapping[str, ToolState],
    by: By | None = None, interval_s: float | None = None,
) -> None:  # fmt: skip
    """Write ticks as `ebtop run` does those of one tool: events as they come, histograms and stacks added up, over all
    or by intervals. There is one summary, of all tools, whose names it has with commas between them.

    `tools` are given with the names that were known before the first tick.
    """
    parts = {tool.name: _Part(tool, names, by) for tool, names in tools}
    probes = {name: states[name].probes if name in states else () for name in parts}
    tally, end = Tally(",".join(parts)), 0
    for part in parts.values():
        exporter.begin(part.tool, probes[part.tool.name])
    for tick in ticks:
        tally.add(tick)
        end = tick.end
        _write(exporter, parts[tick.tool], tick, interval_s)
    for part in parts.values():
        _settle(exporter, part, 0)
        _flush(exporter, part)
    all_probes = [probe for some in probes.values() for probe in some]
    exporter.end(replace(tally.summary(all_probes), time=end))


def _write(exporter: Exporter, part: _Part, tick: Tick, interval_s: float | None) -> None:
    part.known.learn(tick)
    if part.tool.kind not in _ADDED_UP:
        part.unsettled.append(tick)
        _settle(exporter, part, _UNSETTLED)
        return
    part.accumulator.add(tick)
    part.written_at = part.written_at or tick.start
    if interval_s and tick.end - part.written_at >= interval_s * 1e9:
        _flush(exporter, part)


def _settle(exporter: Exporter, part: _Part, keep: int) -> None:
    while len(part.unsettled) > keep:
        exporter.tick(part.tool, part.unsettled.popleft(), part.known.names)


def _flush(exporter: Exporter, part: _Part) -> None:
    whole = part.accumulator.take()
    if whole is not None:
        part.written_at = whole.end
        exporter.tick(part.tool, whole, part.known.names)


def count_stacks(ticks: Iterable[Tick], tool: Tool, names: Names, states: Mapping[str, ToolState]) -> StackCounts:
    """The stacks of one tool's ticks, added up; `names` are those known before the first."""
    known, counter = KnownNames(names), StackCounter(tool, period_ns(tool, states.get(tool.name)))
    unsettled: deque[Tick] = deque()
    for tick in ticks:
        known.learn(tick)
        unsettled.append(tick)
        if len(unsettled) > _UNSETTLED:
            counter.add(unsettled.popleft(), known.names)
    for tick in unsettled:
        counter.add(tick, known.names)
    return counter.counts()


def count_values(ticks: Iterable[Tick], tool: Tool, digest: Digest, names: Names) -> ValueCounter:
    """What a digest of a tool's events is made from; `names` are those known before the first tick."""
    known, counter = KnownNames(names), ValueCounter(tool, digest)
    unsettled: deque[Tick] = deque()
    for tick in ticks:
        known.learn(tick)
        unsettled.append(tick)
        if len(unsettled) > _UNSETTLED:
            _count(counter, unsettled.popleft(), known.names)
    for tick in unsettled:
        _count(counter, tick, known.names)
    return counter


def _count(counter: ValueCounter, tick: Tick, names: Names) -> None:
    for batch in tick.events:
        counter.add(batch, names)


def fitting(tools: Sequence[Tool], format_: str, states: Mapping[str, ToolState] | None = None) -> list[Tool]:
    """Those of the tools whose data can have that form; with their states, those that do, as far as these tell."""
    if format_ in FORMATS:
        return list(tools)
    if format_ not in STACK_FORMATS:
        return [tool for tool in tools if digest_of(tool, format_)]
    able = [tool for tool in tools if has_stacks(tool)]
    if states is None:
        return able
    return [t for t in able if t.kind is Kind.STACKS or ((state := states.get(t.name)) is not None and state.stacks)]
