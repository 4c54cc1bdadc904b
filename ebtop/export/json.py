"""`--format json`: one object a line. Every object has `tool`, `type` and `ts`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ebtop.export import objects
from ebtop.export.exporter import ByteStream, Summary
from ebtop.export.fragments import Fragment, escape, fragments, raw_fragments, write
from ebtop.export.order import in_order
from ebtop.export.timestamps import rfc3339, rfc3339_all
from ebtop.tick import Tick
from ebtop.tool import Batch, Column, Names, Tool


@dataclass(frozen=True, slots=True)
class _Line:
    """How the lines of one kind are made: `fill` takes a tuple of fragments, that of `ts` first."""

    columns: tuple[Column, ...]
    fill: Callable[[tuple[Fragment, ...]], str]


def _line(tool: Tool, kind: str, columns: Iterable[Column]) -> _Line:
    """All but `ts` of the columns, as one `%` template. Of an event nobody knows yet what comes late."""
    chosen = [column for column in columns if column.key != "ts"]
    unknown = [kind == "event" and column.late for column in chosen]
    head = f'{{"tool":{escape(tool.name)},"type":"{kind}","ts":"'.replace("%", "%%")
    fields = (f',"{c.key}":{"null" if late else "%s"}' for c, late in zip(chosen, unknown, strict=True))
    known = tuple(c for c, late in zip(chosen, unknown, strict=True) if not late)
    return _Line(known, (head + '%s"' + "".join(fields) + "}\n").__mod__)


def _event_lines(line: _Line, names: Names, batch: Batch) -> list[str]:
    cells: list[Sequence[Fragment]] = [fragments(column, batch, names) for column in line.columns]
    return list(map(line.fill, zip(rfc3339_all(batch["ts"]), *cells, strict=True)))


def _row_lines(tool: Tool, tick: Tick, rows: Batch, names: Names) -> list[str]:
    """Rows hold some of the columns: late ones as they are, others as for events."""
    fields = rows.dtype.names or ()
    line = _line(tool, "row", (column for column in tool.columns if column.key in fields))
    cells = [raw_fragments(c, rows) if c.late else fragments(c, rows, names) for c in line.columns]
    times = rfc3339_all(rows["ts"]) if "ts" in fields else [rfc3339(tick.end)] * len(rows)
    return list(map(line.fill, zip(times, *cells, strict=True)))


class JsonExporter:
    """An Exporter of JSON lines, in ASCII: hostile text comes out escaped, and no byte of it is lost."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._event_line: dict[str, _Line] = {}

    def begin(self, tool: Tool, probes: Sequence[str]) -> None:  # noqa: ARG002
        """Nothing is written: the summary has the probes."""
        self._event_line[tool.name] = _line(tool, "event", tool.columns)

    def tick(self, tool: Tool, tick: Tick, names: Names) -> None:
        """Events in the order of their time, then the other objects of the interval, losses last."""
        line = self._event_line.get(tool.name) or _line(tool, "event", tool.columns)
        for lines in in_order(tick.events, partial(_event_lines, line, names)):
            self._write("".join(lines))
        if tick.rows is not None and len(tick.rows):
            self._write("".join(_row_lines(tool, tick, tick.rows, names)))
        self._objects(objects.histogram(tool, tick, one) for one in tick.histograms)
        self._objects(objects.stack(tool, tick, one) for one in tick.stacks)
        self._objects(objects.losses(tool, tick))
        self._stream.flush()

    def end(self, summary: Summary) -> None:
        """The summary."""
        self._objects([objects.summary(summary)])
        self._stream.flush()

    def _objects(self, all_: Iterable[dict[str, Any]]) -> None:
        lines = "".join(write(one) + "\n" for one in all_)
        if lines:
            self._write(lines)

    def _write(self, lines: str) -> None:
        self._stream.write(lines.encode("ascii"))
