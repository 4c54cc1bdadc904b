"""What the screen holds, as a recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from heapq import merge
from operator import attrgetter

from ebtop.model.snapshot import Snapshot, ToolSnapshot
from ebtop.record.writer import RecordingWriter
from ebtop.tick import Phase, Tick

_AT_ONCE = 64
"""So many ticks go into one transaction."""


def save(path: str, snapshot: Snapshot) -> int:
    """Make a recording of all ticks of a snapshot: how many they were. Raises what RecordingWriter raises; a file that
    cannot be written whole is removed."""
    parts = list(snapshot.tools.values())
    focus = snapshot.vitals.focus if snapshot.vitals else "all"
    writer = RecordingWriter(path, focus=focus, tools=[part.tool for part in parts])
    with ExitStack() as unless_all_is_well:
        unless_all_is_well.callback(writer.remove)
        unless_all_is_well.callback(writer.abandon)
        written = _write(writer, snapshot, parts)
        writer.close()
        unless_all_is_well.pop_all()
    return written


def _write(writer: RecordingWriter, snapshot: Snapshot, parts: list[ToolSnapshot]) -> int:
    written = 0
    for tick in merge(*map(_ticks, parts), key=attrgetter("end")):
        writer.add(tick)
        if not written:  # what is said has the time of the tick before it
            _say(writer, snapshot, parts)
        written += 1
        if written % _AT_ONCE == 0:
            writer.commit()
    return written


def _say(writer: RecordingWriter, snapshot: Snapshot, parts: list[ToolSnapshot]) -> None:
    for part in parts:
        if part.state.phase is not Phase.IDLE:
            writer.add(part.state)
    if snapshot.vitals is not None:
        writer.add(snapshot.vitals)


def _ticks(part: ToolSnapshot) -> Iterator[Tick]:
    """The ticks; the first has all names that are known, as some are of ticks that are held no more. What is told late
    of an event stands in rows that are held as long as the event."""
    late = {column.key for column in part.tool.columns if column.late}
    names = {domain: known for domain, known in part.names.items() if domain not in late}
    for place, tick in enumerate(part.ticks):
        yield tick if place else replace(tick, names={**tick.names, **names})
