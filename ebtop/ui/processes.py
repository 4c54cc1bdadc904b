"""Processes and what each of them does: the machine above, a row for each below, as a list or a tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget

from ebtop.model.census import GONE
from ebtop.model.filter import parse
from ebtop.model.format import rated
from ebtop.model.machine import Machine, MachineReader
from ebtop.model.processes import Processes, ProcessQuery, Sought
from ebtop.model.snapshot import ToolSnapshot
from ebtop.model.sort import DESCENDING_FIRST
from ebtop.sanitise import sanitise
from ebtop.tool import Column, Tool, values
from ebtop.ui.choose import Choose
from ebtop.ui.filterbar import FilterBar
from ebtop.ui.processhead import Head
from ebtop.ui.processmodel import ProcessModel
from ebtop.ui.processtable import ProcessTable, Totals
from ebtop.ui.table import Table
from ebtop.ui.view import ToolView

if TYPE_CHECKING:
    from ebtop.export.shown import Exports

_LOW = 12
"""With fewer lines, rows go before the figures of the machine."""

_COMMAND, _COMMAND_IN_TREE = 24, 34
"""The command is what is left of the line, and needs so much room at least."""

_TREND_WIDTHS = ((200, 30), (160, 20), (0, 10))


@dataclass(frozen=True, slots=True)
class _Prepared:
    sought: Sought
    found: Processes
    machine: Machine | None


class ProcessesView(ToolView, can_focus=False):
    """Shows a tool of Kind.PROCESSES."""

    DEFAULT_CSS = """
    ProcessesView {
        layout: vertical;
        & > FilterBar { display: none; }
        &.-filtered > FilterBar { display: block; }
        &.-low > Head { display: none; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="processes.filter", tooltip="Show only what matches"),
        Binding("s", "sort", "Sort", id="processes.sort", tooltip="Sort by a column"),
        Binding("r", "reverse", "Reverse", show=False, id="processes.reverse", tooltip="Turn the order round"),
        Binding("t", "tree", "Tree", id="processes.tree", tooltip="Parents and their children"),
        Binding("left", "close", "Close", show=False, id="processes.close",
                tooltip="In the tree: hide what is below the process, or go to its parent"),
        Binding("right", "unfold", "Unfold", show=False, id="processes.unfold",
                tooltip="In the tree: show what is below the process"),
        Binding("c", "columns", "Columns", show=False, id="processes.columns", tooltip="Show or hide columns"),
        Binding("d", "details", "Details", show=False, id="processes.details", tooltip="All columns of the row"),
    ]  # fmt: skip
    help_text = (
        "Each row is what a process did in the interval (a second), from the kernel's own counts: CPU % is of one "
        "core, so a process with several threads may have more than 100 %. The line below adds up all rows, also those "
        "that are not seen; of RSS, memory that is shared counts for each who shares it.\n"
        "Processes that began and ended within the interval are put together in one row for their parent: 47 gone, "
        "5 ms each: sh, sed, grep … Their CPU, opens and so on are counted like any other's.\n"
        "The order is calm and yet true: rows change places at most once a second. A row stands where the most that it "
        "had in the last 3 seconds puts it, so who rests for a moment does not drop out of sight; and it keeps its "
        "place until its figure has changed by more than a quarter. Sorting anew, or a jump in time, puts all rows in "
        "their exact order. The cursor stays on its process.\n"
        "The little bars are the sort column's last seconds (CPU's, where that is no rate), the newest at the right, "
        "their height the square root of the figure; all rows have one scale.\n"
        "The tree (t) sorts brothers by what they and all below them have; a row shows what is its own, so that rows "
        "add up, and with left, which hides what is below it, the sum of all of that and how many they are. Where a "
        "filter is set, ancestors of what matches are shown dim.\n"
        "▲ marks what is unusual: pressure above 10 %, memory above 90 %; and, held against the last five minutes, "
        "what is more than five times the median and no trifle (run queue p99 or disk latency from 10 ms, CPU from "
        "50 %, exec/s from 20, open/s from 1,000, connect/s from 50, disk from 10 MB/s, failed exits from 3, refused "
        "from 1); and failed opens, where a tenth of all fail and twice the usual share.\n"
        "A filter's terms must all hold: KEY OP VALUE with = != > < >= <= ~ (regular expression) !~; KEY is a column "
        "or its beginning. Rates are held against what was counted in the interval: opens>100, cpu>50%, disk>1M, "
        "user=root. A bare word is looked for in every text."
    )

    def __init__(self, tool: Tool) -> None:
        super().__init__(tool)
        self._asked = ProcessQuery(tool)  # these two are the reader's; see ToolView
        self._machine = MachineReader()
        self.wanted: object | None = Sought()
        self._head = Head()
        self._table = ProcessTable()
        self._totals = Totals(self._table)
        self._bar = FilterBar(lambda text: parse(tool, text))

    @property
    def sought(self) -> Sought:
        """What is wanted."""
        return self.wanted if isinstance(self.wanted, Sought) else Sought()

    def compose(self) -> ComposeResult:
        """The machine, the rows, their sums."""
        yield self._head
        yield self._bar
        yield self._table
        yield self._totals

    def on_resize(self, event: events.Resize) -> None:
        """What there is room for."""
        self.set_class(event.size.height < _LOW, "-low")
        self._totals.refresh()

    def keyboard_target(self) -> Widget:
        """The rows."""
        return self._table

    def prepare(self, snapshot: ToolSnapshot, wanted: object | None) -> object | None:
        """Who is there, in order; the machine."""
        sought = wanted if isinstance(wanted, Sought) else Sought()
        return _Prepared(sought, self._asked.run(snapshot, sought), self._machine.read(snapshot.ticks))

    def show(self, snapshot: ToolSnapshot, result: object | None) -> None:
        """Into the table."""
        del snapshot
        if not isinstance(result, _Prepared):
            return
        sought, found = result.sought, result.found
        width = next(cells for least, cells in _TREND_WIDTHS if self.size.width >= least)
        self._table.keep_heading = sought.sort
        self._table.least_last = _COMMAND_IN_TREE if sought.tree else _COMMAND
        self._table.set_model(ProcessModel(self.tool, found, sought, width))
        self._totals.changed()
        self._head.show(result.machine)
        self._show_filter(sought, found)
        self.post_message(self.Selected(self))

    def _show_filter(self, sought: Sought, found: Processes) -> None:
        if sought.filter is not None:
            gone = f", {found.gone:,} gone" if found.gone else ""
            self._bar.show_status(
                f"filter {sanitise(sought.filter.text)}", f"{found.matching:,} of {found.all_:,} shown{gone}"
            )
        self._show_bar()

    def _show_bar(self) -> None:
        self.set_class(self.sought.filter is not None or self._bar.has_class("-editing"), "-filtered")

    # What is selected

    @property
    def _selected(self) -> tuple[ProcessModel, int] | None:
        model, row = self._table.model, self._table.cursor
        return (model, row) if isinstance(model, ProcessModel) and row is not None else None

    def selected_pid(self) -> int | None:
        """The process under the cursor, while it lives."""
        if self._selected is None:
            return None
        model, row = self._selected
        one = model.found.row(row)[0]
        return int(one["pid"]) if one["state"] != GONE else None

    def selected_fields(self) -> Sequence[tuple[str, str]]:
        """Every column of the row, the hidden ones too."""
        if self._selected is None:
            return ()
        model, row = self._selected
        one, found = model.found.row(row), model.found
        return [(c.key, rated(c, values(c, one, found.names)[0], found.seconds)) for c in self.tool.columns]

    def exportable(self, snapshot: ToolSnapshot) -> Exports:
        """The rows as they are listed."""
        from ebtop.export import shown  # when it is wanted: the first screen does not wait for it

        model = self._table.model
        if not isinstance(model, ProcessModel) or not len(model):
            return {}
        return shown.table(snapshot, np.concatenate([model.found.row(line) for line in range(len(model))]))

    @on(Table.Moved)
    def _moved(self, event: Table.Moved) -> None:
        event.stop()
        self.post_message(self.Selected(self))

    @on(Table.Chosen)
    def _chosen(self, event: Table.Chosen) -> None:
        """A process is opened; of who has gone there is no more than the row."""
        event.stop()
        pid = self.selected_pid()
        if pid is None:
            self.post_message(self.Selected(self, open_details=True))
        else:
            self.post_message(self.OpenProcess(pid))

    def action_details(self) -> None:
        """All columns of the row."""
        self.post_message(self.Selected(self, open_details=True))

    def back(self) -> bool:
        """Leave the filter, then the tree."""
        if self.sought.filter is not None:
            self.want(replace(self.sought, filter=None))
        elif self.sought.tree:
            self.want(replace(self.sought, tree=False))
        else:
            return False
        return True

    # The filter

    def action_filter(self) -> None:
        """Type a filter."""
        self.add_class("-filtered")
        self._bar.edit(self.sought.filter.text if self.sought.filter else "")

    @on(FilterBar.Changed)
    def _filtered(self, event: FilterBar.Changed) -> None:
        event.stop()
        found = parse(self.tool, event.text)
        self.want(replace(self.sought, filter=found if found.terms else None))

    @on(FilterBar.Closed)
    def _filter_closed(self, event: FilterBar.Closed) -> None:
        event.stop()
        self._show_bar()
        self._table.focus()

    # The order

    def action_sort(self) -> None:
        """Choose the column to sort by."""
        self.app.push_screen(Choose("sort by", list(map(_option, self.tool.columns)), self.sought.sort), self.sort_by)

    def sort_by(self, key: str | None) -> None:
        """Sort by a column's key; the same again turns the order round."""
        column = self.tool.column(key) if key else None
        if column is not None:
            again = key == self.sought.sort
            down = not self.sought.descending if again else column.type in DESCENDING_FIRST
            self.want(replace(self.sought, sort=column.key, descending=down))

    @on(Table.HeadingClicked)
    def _heading_clicked(self, event: Table.HeadingClicked) -> None:
        event.stop()
        self.sort_by(event.key)

    def action_reverse(self) -> None:
        """The other way round."""
        self.want(replace(self.sought, descending=not self.sought.descending))

    # The columns

    def action_columns(self) -> None:
        """Choose columns to show or hide, until Esc."""
        self._choose_columns("")

    def _choose_columns(self, at: str) -> None:
        shown = [c for c in self.tool.columns if c.hidden is (c.key in self.sought.turned)]
        options = [(c.key, f"{'✓' if c in shown else ' '} {c.title}", c.help) for c in self.tool.columns[:-1]]
        self.app.push_screen(Choose("show columns (Esc: done)", options, at), self._turn_column)

    def _turn_column(self, key: str | None) -> None:
        if key is not None:
            self.want(replace(self.sought, turned=self.sought.turned ^ {key}))
            self._choose_columns(key)

    # The tree

    def action_tree(self) -> None:
        """The tree, or the list."""
        self.want(replace(self.sought, tree=not self.sought.tree))

    def action_close(self) -> None:
        """Hide what is below the process; where there is nothing, go to its parent."""
        if self._selected is None:
            return
        model, row = self._selected
        if model.found.has_children(row) and not model.found.shut(row):
            self.want(replace(self.sought, closed=self.sought.closed | {model.found.key(row)}))
        elif (parent := model.found.parent(row)) is not None:
            self._table.go_to(model.found.key(parent))
            self.post_message(self.Selected(self))

    def action_unfold(self) -> None:
        """Show what is below the process."""
        if self._selected is not None:
            model, row = self._selected
            self.want(replace(self.sought, closed=self.sought.closed - {model.found.key(row)}))


def _option(column: Column) -> tuple[str, str, str]:
    return column.key, column.title, column.help
