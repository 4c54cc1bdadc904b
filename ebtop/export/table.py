"""`--format table`: for people. All text is sanitised; losses and the summary go to stderr."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TextIO

from ebtop.export.columns_text import Layout, cut, fitting
from ebtop.export.exporter import ByteStream, Summary, encoding
from ebtop.export.notes import note_losses, note_summary
from ebtop.export.order import in_order
from ebtop.export.text_blocks import event_stacks, histogram_lines, process_lines, stack_lines
from ebtop.model.format import cell
from ebtop.tick import Tick
from ebtop.tool import Batch, Column, Kind, Names, Tool, shown


def _cells(column: Column, batch: Batch, names: Names) -> list[str]:
    found = shown(column, batch, names)
    if list in set(map(type, found)):
        return [cell(column, value) for value in found]
    known = {value: cell(column, value) for value in set(found)}
    return [known[value] for value in found]


class TableExporter:
    """An Exporter of aligned columns as the data stream by; histograms are bars, stacks indented lists (those of events
    below them), processes a table an interval.

    Lines are cut, and columns left out, to fit the terminal, and only there.
    """

    def __init__(self, stream: ByteStream, notes: TextIO | None = None, width: int | None = None) -> None:
        self._stream = stream
        self._encoding = encoding(stream)
        self._notes = notes or sys.stderr
        self._fixed_width = width
        self._columns: dict[str, list[Column]] = {}

    def begin(self, tool: Tool, probes: Sequence[str]) -> None:  # noqa: ARG002
        """The header line of a tool that has columns."""
        shown = [column for column in tool.columns if not column.hidden]
        self._columns[tool.name] = fitting(shown, self._width())
        if shown and tool.kind is not Kind.PROCESSES:  # which has one for each interval
            self._write([Layout(self._columns[tool.name]).line([c.title for c in self._columns[tool.name]])])
        self._stream.flush()

    def tick(self, tool: Tool, tick: Tick, names: Names) -> None:
        """Events in the order of their time; rows only if they stand alone."""
        columns = self._columns.get(tool.name) or [column for column in tool.columns if not column.hidden]
        render = partial(self._lines, tool, columns, names)
        for lines in in_order(tick.events, render):
            self._write(lines)
        if tool.kind is Kind.PROCESSES:
            self._write(process_lines(tool, tick, columns, names))
        elif tick.rows is not None and len(tick.rows) and not tool.row_key:
            self._write(render(tick.rows))
        # The most is what the eye should find first: right above the prompt.
        for one in sorted(tick.histograms, key=lambda histogram: int(histogram.counts.sum())):
            self._write(histogram_lines(tool, tick, one))
        if tick.stacks:
            self._write(stack_lines(tool, tick))
        self._stream.flush()
        note_losses(tick, self._notes)

    def end(self, summary: Summary) -> None:
        """The summary, to stderr."""
        self._stream.flush()
        note_summary(summary, self._notes)

    def _lines(self, tool: Tool, columns: Sequence[Column], names: Names, batch: Batch) -> list[str]:
        layout = Layout(columns)
        lines = map(layout.line, zip(*(_cells(column, batch, names) for column in columns), strict=True))
        return list(map(str.__add__, lines, event_stacks(tool, batch, names)))

    def _width(self) -> int | None:
        if self._fixed_width is not None or not self._stream.isatty():
            return self._fixed_width
        return shutil.get_terminal_size().columns

    def _write(self, lines: Iterable[str]) -> None:
        width = self._width()
        text = "".join(cut(part, width) + "\n" for line in lines for part in line.split("\n"))
        self._stream.write(text.encode(self._encoding, "backslashreplace"))
