"""`--format json`: one object a line. Every object has `tool`, `type` and `ts`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from ebtop.export import objects
from ebtop.export.exporter import ByteStream, Summary
from ebtop.export.fragments import Cells, Fragment, Same, escape, fragments, raw_fragments, write
from ebtop.export.order import Places, in_order, in_places
from ebtop.export.timestamps import rfc3339, rfc3339_all
from ebtop.tick import Tick
from ebtop.tool import Batch, Column, Kind, Names, Tool


def _lines(tool: Tool, kind: str, times: Sequence[str], cells: Iterable[tuple[Column, Cells]]) -> list[str]:
    """A line a row. What is the same in all is a part of the template; the rest is filled in, `ts` first."""
    template = [f'{{"tool":{escape(tool.name)},"type":"{kind}","ts":"'.replace("%", "%%"), '%s"']
    differing: list[Sequence[Fragment]] = [times]
    for column, cell in cells:
        if isinstance(cell, Same):
            template.append(f',"{column.key}":{cell.text}'.replace("%", "%%"))
        else:
            template.append(f',"{column.key}":%s')
            differing.append(cell)
    return list(map(("".join(template) + "}\n").__mod__, zip(*differing, strict=True)))


def _event_lines(tool: Tool, names: Names, batch: Batch, *, late: bool = False) -> list[str]:
    cells = ((column, fragments(column, batch, names, late=late)) for column in tool.columns if column.key != "ts")
    return _lines(tool, "event", rfc3339_all(batch["ts"]), cells)


def _row_lines(tool: Tool, tick: Tick, rows: Batch, names: Names) -> list[str]:
    """Rows hold some of the columns: late ones as they are, others as for events. Those of processes have them all."""
    fields = rows.dtype.names or ()
    whole = tool.kind is Kind.PROCESSES
    columns = (column for column in tool.columns if (whole or column.key in fields) and column.key != "ts")
    times = rfc3339_all(rows["ts"]) if "ts" in fields else [rfc3339(tick.end)] * len(rows)
    cells = ((c, raw_fragments(c, rows) if c.late else fragments(c, rows, names)) for c in columns)
    return _lines(tool, "row", times, cells)


class JsonExporter:
    """An Exporter of JSON lines, in ASCII: hostile text comes out escaped, and no byte of it is lost."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    def begin(self, tool: Tool, probes: Sequence[str]) -> None:
        """Nothing is written: the summary has the probes."""

    def tick(self, tool: Tool, tick: Tick, names: Names) -> None:
        """Events in the order of their time, then the other objects of the interval, losses last."""
        for lines in in_order(tick.events, partial(_event_lines, tool, names)):
            self._write("".join(lines))
        if tick.rows is not None and len(tick.rows):
            self._write("".join(_row_lines(tool, tick, tick.rows, names)))
        self._objects(objects.histogram(tool, tick, one) for one in tick.histograms)
        self._objects(objects.stack(tool, tick, one) for one in tick.stacks)
        self._objects(objects.losses(tool, tick))
        self._stream.flush()

    def events(self, tool: Tool, batches: Iterable[tuple[Batch, Places]], names: Names) -> None:
        """Events in the order of their places, with what became known of them later."""
        self._write("".join(in_places(batches, partial(_event_lines, tool, names, late=True))))

    def table(self, keys: Sequence[str], rows: Iterable[objects.Object]) -> None:  # noqa: ARG002  each says its own
        """Rows that are no tool's, with such keys."""
        self._objects(rows)

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
