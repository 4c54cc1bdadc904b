"""The rows of processes, and below them the line that adds them up."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widget import Widget

from ebtop.ui.processmodel import ProcessModel
from ebtop.ui.ranked import RankedTable
from ebtop.ui.still import Still


class ProcessTable(RankedTable):
    """Enter opens a process."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Open", id="processes.open", tooltip="All there is of the process"),
    ]


class Totals(Still, Widget):
    """A line below the table, in its columns: what all rows add up to."""

    DEFAULT_CSS = """
    Totals { height: 1; width: 1fr; background: $panel; }
    """

    def __init__(self, table: ProcessTable) -> None:
        super().__init__()
        self._table = table
        self._drawn: Strip | None = None

    def changed(self) -> None:
        """The sums may have changed: draw them again if so."""
        if self._drawn != self._line():
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The sums."""
        del y
        self._drawn = strip = self._line()
        return strip

    def _line(self) -> Strip:
        model = self._table.model
        if not isinstance(model, ProcessModel):
            return Strip.blank(self.size.width, self.rich_style)
        return self._table.foot(model.totals).adjust_cell_length(self.size.width, self.rich_style)
