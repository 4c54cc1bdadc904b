"""`--format csv`: RFC 4180 under the keys of the JSON contract; lists are JSON in their cell, nothing is an empty cell.

Losses and the summary go to stderr. Text is written byte for byte as the kernel gave it, unless a person looks at it.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TextIO

from ebtop.export import objects
from ebtop.export.exporter import ByteStream, Summary, encoding
from ebtop.export.fragments import write
from ebtop.export.notes import note_losses, note_summary
from ebtop.export.order import Places, in_order, in_places
from ebtop.export.timestamps import rfc3339, rfc3339_all
from ebtop.sanitise import sanitise
from ebtop.tick import Tick
from ebtop.tool import Batch, Column, Kind, Names, Tool, Type, Value, values

_COMMON = ("tool", "type", "ts")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_KEYS = {Kind.HISTOGRAM: objects.HISTOGRAM_KEYS, Kind.STACKS: objects.STACK_KEYS}


def _columns(tool: Tool) -> list[Column]:
    return [column for column in tool.columns if column.key != "ts"]


def header(tool: Tool) -> list[str]:
    """The first line."""
    keys = _KEYS.get(tool.kind) or [column.key for column in _columns(tool)]
    return [*_COMMON, *keys]


def _cells(column: Column, batch: Batch, names: Names, *, late: bool = False) -> Sequence[Any]:
    """The values of an event's column as the csv module takes them; see fragments() for `late`."""
    if column.late and not late:
        return [None] * len(batch)
    return _written(column, values(column, batch, names))


def _written(column: Column, found: Sequence[Value]) -> Sequence[Any]:
    if column.type is Type.BOOL:
        return [None if value is None else ("true" if value else "false") for value in found]
    if list in set(map(type, found)):
        return [write(value) if isinstance(value, list) else value for value in found]
    return found


def _row_cells(column: Column, rows: Batch, names: Names, whole: bool) -> Sequence[Any]:
    if not whole and column.key not in (rows.dtype.names or ()):
        return [None] * len(rows)
    if column.late:
        raw: Sequence[Value] = rows[column.key].tolist()
        return _written(column, raw)
    return _cells(column, rows, names)


def _lines(tool: Tool, kind: str, times: Sequence[str], columns: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    count = len(times)
    return list(zip([tool.name] * count, [kind] * count, times, *columns, strict=True))


def _event_lines(tool: Tool, names: Names, batch: Batch, *, late: bool = False) -> list[tuple[Any, ...]]:
    columns = [_cells(column, batch, names, late=late) for column in _columns(tool)]
    return _lines(tool, "event", rfc3339_all(batch["ts"]), columns)


def _row_lines(tool: Tool, tick: Tick, rows: Batch, names: Names) -> list[tuple[Any, ...]]:
    has_ts = "ts" in (rows.dtype.names or ())
    times = rfc3339_all(rows["ts"]) if has_ts else [rfc3339(tick.end)] * len(rows)
    whole = tool.kind is Kind.PROCESSES  # whose rows have all columns; others complete an event
    return _lines(tool, "row", times, [_row_cells(column, rows, names, whole) for column in _columns(tool)])


def _object_line(one: objects.Object, keys: Iterable[str]) -> list[Any]:
    return [write(one[key]) if isinstance(one[key], (list, bool)) else one[key] for key in (*_COMMON, *keys)]


class CsvExporter:
    """An Exporter of one table per tool, each with its header line."""

    def __init__(self, stream: ByteStream, notes: TextIO | None = None) -> None:
        self._stream = stream
        self._notes = notes or sys.stderr
        self._encoding = encoding(stream)
        self._clean: Callable[[Any], Any] | None = _clean if stream.isatty() else None

    def begin(self, tool: Tool, probes: Sequence[str]) -> None:  # noqa: ARG002
        """The header line."""
        self._write([header(tool)])
        self._stream.flush()

    def tick(self, tool: Tool, tick: Tick, names: Names) -> None:
        """Events in the order of their time, then rows, histograms, stacks; losses to stderr."""
        for lines in in_order(tick.events, partial(_event_lines, tool, names)):
            self._write(lines)
        if tick.rows is not None and len(tick.rows):
            self._write(_row_lines(tool, tick, tick.rows, names))
        self._write(_object_line(objects.histogram(tool, tick, h), objects.HISTOGRAM_KEYS) for h in tick.histograms)
        self._write(_object_line(objects.stack(tool, tick, s), objects.STACK_KEYS) for s in tick.stacks)
        self._stream.flush()
        note_losses(tick, self._notes)

    def events(self, tool: Tool, batches: Iterable[tuple[Batch, Places]], names: Names) -> None:
        """Events in the order of their places, with what became known of them later."""
        lines = in_places(batches, partial(_event_lines, tool, names, late=True))
        self._write(lines)

    def table(self, keys: Sequence[str], rows: Iterable[objects.Object]) -> None:
        """Rows that are no tool's, with such keys, under a header line."""
        self._write([[*_COMMON, *keys]])
        self._write(_object_line(one, keys) for one in rows)

    def end(self, summary: Summary) -> None:
        """The summary, to stderr."""
        self._stream.flush()
        note_summary(summary, self._notes)

    def _write(self, lines: Iterable[Sequence[Any]]) -> None:
        if self._clean is not None:
            lines = [list(map(self._clean, line)) for line in lines]
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(lines)
        if text.tell():
            written = text.getvalue()
            self._stream.write(written.encode(self._encoding, "backslashreplace") if self._clean else _bytes(written))


def _clean(value: Any) -> Any:
    return sanitise(value) if isinstance(value, str) else value


def _bytes(text: str) -> bytes:
    """The bytes that the kernel gave; a surrogate that stands for none is written as an escape."""
    return _NO_BYTE.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode("utf-8", "surrogateescape")
