"""What a view shows, as the formats that fit it; each writes what is there now, whatever comes in meanwhile."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ebtop.export import objects
from ebtop.export.accumulate import Accumulator
from ebtop.export.csv import CsvExporter
from ebtop.export.digests import ValueCounter
from ebtop.export.exporter import ByteStream, Summary
from ebtop.export.formats import STACK_FORMATS
from ebtop.export.json import JsonExporter
from ebtop.export.order import PORTION
from ebtop.export.stackcounts import StackCounter, StackCounts, has_stacks, period_ns
from ebtop.export.summary import truncated_count
from ebtop.model.groups import By, whole
from ebtop.model.rows import Rows
from ebtop.model.snapshot import ToolSnapshot
from ebtop.model.top import Top
from ebtop.tick import Histogram, Stack, Tick
from ebtop.tool import Batch, Digest, Tool


@dataclass(frozen=True, slots=True)
class Export:
    """A way of writing what a view shows. `write` says how many of `what` ("events") it wrote, and lets OSError out.
    `lost` were lost in the time that is shown, and cannot be among them."""

    what: str
    lost: int
    write: Callable[[ByteStream], int]


Exports = Mapping[str, Export]
"""By the name of the format."""

Keep = Callable[[Stack], Stack | None]

_TABLES: Mapping[str, Callable[[ByteStream], JsonExporter | CsvExporter]] = {
    "json": JsonExporter,
    "csv": lambda stream: CsvExporter(stream, io.StringIO()),  # its notes are for a stderr that is nobody's screen
}


def rows(snapshot: ToolSnapshot, found: Rows) -> Exports:
    """The events that are listed, in their order; where they carry stacks, these added up."""
    lost = _lost(snapshot.ticks)
    what = "events" if len(found) == found.held else f"of {found.held:,} events, the newest"  # sorting has a bound
    written = {name: Export(what, lost, partial(_write_rows, name, snapshot, found)) for name in _TABLES}
    for digest in snapshot.tool.digests:
        written[digest.format] = Export(what, lost, partial(_write_digest, digest, snapshot, found))
    if not (has_stacks(snapshot.tool) and snapshot.state.stacks):
        return written
    count = partial(_count_rows, snapshot, found)
    return written | {name: Export(what, lost, partial(_write_counts, name, count)) for name in STACK_FORMATS}


def table(snapshot: ToolSnapshot, found: Batch) -> Exports:
    """Rows that stand alone, such as one for each process: those of the newest tick, in the order of the batch."""
    start, end = _times(snapshot.ticks[-1:])
    lost = snapshot.ticks[-1].lost if snapshot.ticks else {}
    tick = Tick(snapshot.tool.name, start, end, rows=found, lost=lost)
    write = partial(_write_tick, snapshot=snapshot, make=lambda: tick)
    return {name: Export("rows", tick.lost_count, partial(write, name)) for name in _TABLES}


def top(snapshot: ToolSnapshot, found: Top) -> Exports:
    """A table of values and what was counted of each."""
    return {name: Export("rows", 0, partial(_write_top, name, snapshot, found)) for name in _TABLES}


def histograms(snapshot: ToolSnapshot, window: Sequence[Tick], by: By, order: Sequence[int]) -> Exports:
    """The histogram of those ticks, or those of the processes or control groups with these keys, in that order."""
    make = partial(_added_up, snapshot, window, by, order)
    write = partial(_write_tick, snapshot=snapshot, make=make)
    return {name: Export("histograms", _lost(window), partial(write, name)) for name in _TABLES}


def stacks(snapshot: ToolSnapshot, window: Sequence[Tick], keep: Keep) -> Exports:
    """The stacks of those ticks, as far and in the form that `keep` leaves them."""
    lost = _lost(window)
    count = partial(_count_stacks, snapshot, window, keep)
    exports = {name: Export("samples", lost, partial(_write_counts, name, count)) for name in STACK_FORMATS}
    write = partial(_write_tick, "json", snapshot=snapshot, make=partial(_joined, snapshot, window, keep))
    return exports | {"json": Export("stacks", lost, write)}


def _write_rows(name: str, snapshot: ToolSnapshot, found: Rows, stream: ByteStream) -> int:
    exporter = _TABLES[name](stream)
    exporter.begin(snapshot.tool, snapshot.state.probes)
    truncated = 0
    for first in range(0, len(found), PORTION):
        batches = list(found.batches(first, first + PORTION))
        truncated += sum(truncated_count(batch) for batch, _ in batches)
        exporter.events(snapshot.tool, batches, found.names)
    exporter.end(_summary(snapshot, snapshot.ticks, len(found), truncated))
    return len(found)


def _write_digest(digest: Digest, snapshot: ToolSnapshot, found: Rows, stream: ByteStream) -> int:
    counter = ValueCounter(snapshot.tool, digest)
    for first in range(0, len(found), PORTION):
        for batch, _ in found.batches(first, first + PORTION):
            counter.add(batch, found.names)
    stream.write(counter.text())
    return counter.events


def _count_rows(snapshot: ToolSnapshot, found: Rows) -> StackCounts:
    counter = StackCounter(snapshot.tool)
    counter.span(*_times(snapshot.ticks))
    for first in range(0, len(found), PORTION):
        for batch, _ in found.batches(first, first + PORTION):
            counter.add_events(batch, found.names)
    return counter.counts()


def _write_top(name: str, snapshot: ToolSnapshot, found: Top, stream: ByteStream) -> int:
    exporter = _TABLES[name](stream)
    exporter.table(
        objects.top_keys(snapshot.tool, found), objects.top_rows(snapshot.tool, found, _times(snapshot.ticks)[1])
    )
    exporter.end(_summary(snapshot, snapshot.ticks, 0))
    return len(found)


def _write_tick(name: str, stream: ByteStream, *, snapshot: ToolSnapshot, make: Callable[[], Tick]) -> int:
    tick, exporter = make(), _TABLES[name](stream)
    exporter.begin(snapshot.tool, snapshot.state.probes)
    exporter.tick(snapshot.tool, tick, snapshot.names)
    exporter.end(_summary(snapshot, [tick], 0))
    return len(tick.histograms) + len(tick.stacks) + (0 if tick.rows is None else len(tick.rows))


def _added_up(snapshot: ToolSnapshot, window: Sequence[Tick], by: By, order: Sequence[int]) -> Tick:
    accumulator = Accumulator(by.value)
    for tick in window:
        accumulator.add(tick if by is not By.ALL else _with_whole(snapshot.tool, tick))
    added = accumulator.take() or Tick(snapshot.tool.name, 0, 0)
    found = {one.key: one for one in added.histograms}
    return replace(added, histograms=tuple(found[key] for key in order or found if key in found))


def _with_whole(tool: Tool, tick: Tick) -> Tick:
    """The tick with one histogram, of all: the sum of its processes where none was made of the whole."""
    if tool.buckets is None:
        return tick
    return replace(tick, histograms=(Histogram("all", 0, "all", whole(tick, tool.buckets)),))


def _count_stacks(snapshot: ToolSnapshot, window: Sequence[Tick], keep: Keep) -> StackCounts:
    counter = StackCounter(snapshot.tool, period_ns(snapshot.tool, snapshot.state))
    counter.span(*_times(window))
    for tick in window:
        counter.add_stacks(_kept(tick, keep))
    return counter.counts()


def _joined(snapshot: ToolSnapshot, window: Sequence[Tick], keep: Keep) -> Tick:
    accumulator = Accumulator()
    for tick in window:
        accumulator.add(replace(tick, stacks=tuple(_kept(tick, keep))))
    return accumulator.take() or Tick(snapshot.tool.name, 0, 0)


def _kept(tick: Tick, keep: Keep) -> Iterable[Stack]:
    return (kept for stack in tick.stacks if (kept := keep(stack)) is not None)


def _write_counts(name: str, count: Callable[[], StackCounts], stream: ByteStream) -> int:
    counts = count()
    STACK_FORMATS[name](counts, stream)
    return counts.total


def _times(ticks: Sequence[Tick]) -> tuple[int, int]:
    return (ticks[0].start, ticks[-1].end) if ticks else (0, 0)


def _lost(ticks: Sequence[Tick]) -> int:
    return sum(tick.lost_count for tick in ticks)


def _summary(snapshot: ToolSnapshot, ticks: Sequence[Tick], events: int, truncated: int = 0) -> Summary:
    start, end = _times(ticks)
    return Summary(
        tool=snapshot.tool.name,
        time=end,
        events=events,
        lost=_lost(ticks),
        duration_s=round((end - start) / 1e9, 6),
        probes=snapshot.state.probes,
        truncated=truncated,
    )
