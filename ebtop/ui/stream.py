"""An event stream: its rows as they come in, filtered and sorted, or its top by one of the columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget

from ebtop.model.copying import Copy, event_copies, fields_line
from ebtop.model.filter import Filter, FilterError, parse, quote
from ebtop.model.format import full
from ebtop.model.query import Query, StreamQuery
from ebtop.model.rows import Rows, SortedRows
from ebtop.model.snapshot import ToolSnapshot
from ebtop.model.sort import DESCENDING_FIRST, bound
from ebtop.model.top import Top
from ebtop.sanitise import sanitise
from ebtop.tool import Batch, Column, Names, Tool, Type, Value, shown, values
from ebtop.ui.cells import Heading
from ebtop.ui.choose import Choose
from ebtop.ui.filterbar import FilterBar
from ebtop.ui.rowlines import Model
from ebtop.ui.streammodel import StreamModel, TopModel, mark
from ebtop.ui.table import Table
from ebtop.ui.view import ToolView

if TYPE_CHECKING:
    from ebtop.export.shown import Exports

WINDOWS_S = (0, 60, 10)
"""What `w` goes round: a top over all that is held, the last minute, the last ten seconds."""

_TOP_HELP = {
    "count": "how often",
    "failed": "how often it failed",
    "total": "duration, all together",
    "mean": "duration, on average",
    "max": "the longest",
    "value": "the value itself",
}


class StreamView(ToolView, can_focus=False):
    """Shows Kind.EVENTS."""

    DEFAULT_CSS = """
    StreamView { layout: vertical; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="stream.filter", tooltip="Show only what matches"),
        Binding("s", "sort", "Sort", id="stream.sort", tooltip="Sort by a column"),
        Binding("r", "reverse", "Reverse", id="stream.reverse", tooltip="Turn the order round"),
        Binding("g", "group", "Group", id="stream.group", tooltip="Count the events by a column: a top of them"),
        Binding("k", "stacks", "Stacks", id="stream.stacks",
                tooltip="Take the stack of each event, from now on, or no longer"),
        Binding("l", "life", "Life", id="stream.life",
                tooltip="All events of what the selected one is about, in order"),
        Binding("w", "window", "Window", id="stream.window", tooltip="How far back the top counts", show=False),
    ]  # fmt: skip
    help_text: ClassVar[str] = (
        "Rows come in at the bottom. While the cursor is on the last row it follows them; move up to stay where you "
        "are, End to follow again. Failed calls carry the error's name in the warning colour.\n"
        "A filter is a list of terms that must all hold: KEY OP VALUE with = != > < >= <= ~ (regular expression) !~. "
        "KEY is a column, the beginning of one, `err` (the error of a failed call, such as ENOENT) or `lat` "
        "(latency). Durations take ns, us, ms, s; sizes k, M, G. A bare word is looked for in every text. Quote what "
        "has blanks.\n"
        "g counts the events by a column; Enter on a row of that top filters by its value, w changes how far back it "
        "counts, Esc leaves it. Sorting looks at the newest events only when there are very many, and says so.\n"
        "The stack of an event, where it was taken, is among its details and a column like others: stack~main filters "
        "by it. Functions without a name stay as [unknown] with their file; a function that was built without frame "
        "pointers hides the one that called it."
    )

    def __init__(self, tool: Tool) -> None:
        super().__init__(tool)
        self._asked = StreamQuery(tool)  # the reader's; see ToolView
        self._prepared: tuple[Query, Rows | Top, frozenset[str]] | None = None  # the reader's, too
        self.wanted: object | None = Query()
        self._found: Rows | Top | None = None
        self._table = Table()
        self._bar = FilterBar(lambda text: parse(tool, text))
        self._taken = False  # stacks are being taken, as of what is shown
        self._before_life: Query | None = None  # what was looked at when a life was asked for
        self._fresh = False  # the next model is of another kind: its cursor begins at the live end

    @property
    def sought(self) -> Query:
        """What is wanted."""
        return cast("Query", self.wanted)

    def compose(self) -> ComposeResult:
        """The line and the rows."""
        yield self._bar
        yield self._table

    def prepare(self, snapshot: ToolSnapshot, wanted: object | None) -> object | None:
        """The rows or the top."""
        query = cast("Query", wanted)
        found = self._asked.run(snapshot, query)
        if self._prepared is None or self._prepared[1] is not found:
            self._prepared = query, found, self._asked.absent()
        return self._prepared

    def show(self, snapshot: ToolSnapshot, result: object | None) -> None:
        """Rows or top into the table."""
        self._taken = snapshot.state.stacks
        if result is None:
            return
        query, found, absent = cast("tuple[Query, Rows | Top, frozenset[str]]", result)
        self._found = found
        top = isinstance(found, Top)
        model: Model
        if isinstance(found, Top):
            model = TopModel(self.tool, found, query)
        else:
            model = StreamModel(self.tool, found, query, absent)
        fresh = self._fresh or isinstance(self._table.model, TopModel) is not top
        self._fresh = False
        self._table.keep_heading = query.top_by if query.group else query.sort
        self._table.set_model(model, follow=fresh)
        self._show_status(query, found)
        self.post_message(self.Selected(self))

    def _show_status(self, query: Query, found: Rows | Top) -> None:
        filtered = f"filter {sanitise(query.filter.text)}" if query.filter else ""
        if isinstance(found, Top):
            over = f"last {query.window_s} s" if query.window_s else f"the {found.span_s:.0f} s held"
            parts = [f"top by {found.column.title}", over, filtered]
            self._bar.show_status(" · ".join(p for p in parts if p), f"{found.total:,} events, {len(found):,} values")
            return
        column = self.tool.column(query.sort) if query.sort else None
        order = f"by {column.title} {mark(query.descending)}" if column else "newest first" if query.descending else ""
        note = ""
        if isinstance(found, SortedRows) and column and len(found) < found.held:
            note = f"the newest {bound(column):,} sorted"
        status = " · ".join(p for p in (filtered, order, note) if p)
        shown = f"{found.held:,} of {found.total:,} shown" if query.filter else f"{found.total:,} events"
        self._bar.show_status(status, shown)

    def selected_pid(self) -> int | None:
        """The process of the event under the cursor; of a top only where it is one by process."""
        model, row = self._table.model, self._table.cursor
        if row is None:
            return None
        value = None
        if isinstance(model, StreamModel) and "pid" in model.columns:
            value = model.value(row, "pid")
        elif isinstance(model, TopModel) and model.top.column.key == "pid":
            value = model.top.value(row)
        return value if isinstance(value, int) else None

    def selected_fields(self) -> Sequence[tuple[str, str]]:
        """Every column of the event, the hidden ones too."""
        model, row = self._table.model, self._table.cursor
        if row is None or model is None:
            return ()
        if isinstance(model, TopModel):
            cells = model.cells(row, [h.key for h in model.headings])
            return [(h.title.lower(), c.text) for h, c in zip(model.headings, cells, strict=True)]
        event = self._event(cast("StreamModel", model), row, shown)
        known = (c for c in self.tool.columns if event.get(c.key) is not None or c.type is not Type.STACK)
        return [(c.key, full(c, event[c.key])) for c in known] if event else ()

    def _event(
        self, model: StreamModel, row: int, of: Callable[[Column, Batch, Names], Sequence[Value]] = values
    ) -> dict[str, Value]:
        """All values of an event by key, the hidden ones too; {} when it is held no more."""
        batch = model.rows.event(model.rows.id(row))
        return {c.key: of(c, batch, model.rows.names)[0] for c in self.tool.columns} if batch is not None else {}

    def copies(self, directory: str = "") -> Sequence[Copy]:
        """The event's command, paths and addresses; of a top the row and its value."""
        model, row = self._table.model, self._table.cursor
        if row is None or model is None:
            return ()
        if isinstance(model, TopModel):
            value = {model.top.column.key: model.top.value(row)}
            rest = replace(self.tool, columns=(model.top.column,))
            found = [copy for copy in event_copies(rest, value) if copy.name != "row"]
            return [*found, fields_line(self.selected_fields())]
        event = self._event(cast("StreamModel", model), row)
        return event_copies(self.tool, event, directory) if event else ()

    def selected_note(self) -> str:
        """Why an event has no stack, and how to get those of others."""
        model, row = self._table.model, self._table.cursor
        if not self.tool.stacks or row is None or not isinstance(model, StreamModel):
            return ""
        if any(model.value(row, c.key) is not None for c in self.tool.columns if c.type is Type.STACK):
            return ""
        if self._taken:
            return "the stack of this event was not taken"
        keys = (
            self.app.get_key_display(a.binding)
            for a in self.screen.active_bindings.values()
            if a.binding.id == "stream.stacks"
        )
        return f"{next(keys, 'k')} takes the stack of each event from now on"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Stacks can be asked for where the tool can take them, lives where its events have ids."""
        del parameters
        return {"stacks": self.tool.stacks, "life": bool(self.tool.life)}.get(action, True)

    def action_stacks(self) -> None:
        """Take the stacks of events, or no longer."""
        self.post_message(self.StacksAsked())

    def exportable(self, snapshot: ToolSnapshot) -> Exports:
        """The events that the filter leaves, in their order; or the top."""
        from ebtop.export import shown  # when it is wanted: the first screen does not wait for it

        found = self._found
        if found is None:
            return {}
        return shown.top(snapshot, found) if isinstance(found, Top) else shown.rows(snapshot, found)

    def keyboard_target(self) -> Widget:
        """The rows."""
        return self._table

    def back(self) -> bool:
        """Leave the top, then the life, the filter, the order."""
        query, before = self.sought, self._before_life
        if before is not None and not query.group:
            self._before_life = None
            self._look(before, fresh=True)
        elif query.group:
            self._look(replace(query, group=""))
        elif query.filter:
            self._look(replace(query, filter=None))
        elif query.sort or query.descending:
            self._look(replace(query, sort="", descending=False))
        else:
            return False
        return True

    def _look(self, query: Query, fresh: bool = False) -> None:
        self._fresh |= fresh
        self.want(query)

    def action_filter(self) -> None:
        """Type a filter."""
        self._bar.edit(self.sought.filter.text if self.sought.filter else "")

    @on(FilterBar.Changed)
    def _filtered(self, event: FilterBar.Changed) -> None:
        event.stop()
        found = parse(self.tool, event.text)
        self._look(replace(self.sought, filter=found if found.terms else None))

    @on(FilterBar.Closed)
    def _filter_closed(self, event: FilterBar.Closed) -> None:
        event.stop()
        self._table.focus()

    def action_reverse(self) -> None:
        """The other way round."""
        query = self.sought
        if query.group:
            self._look(replace(query, top_descending=not query.top_descending))
        else:
            self._look(replace(query, descending=not query.descending), fresh=True)

    def action_life(self) -> None:
        """All that is held of what the selected event is about: of several things of the newest, as the one that an
        event gave rise to."""
        model, row = self._table.model, self._table.cursor
        ids = model.value(row, self.tool.life) if isinstance(model, StreamModel) and row is not None else None
        if not isinstance(ids, list) or not ids:
            self.app.notify(f"no {self.tool.life} is selected here", severity="warning", markup=False)
            return
        self._before_life = self._before_life or self.sought
        self._look(Query(parse(self.tool, f"{self.tool.life}={quote(ids[-1])}")), fresh=True)

    def action_window(self) -> None:
        """The next span of a top."""
        now = WINDOWS_S.index(self.sought.window_s)
        self._look(replace(self.sought, window_s=WINDOWS_S[(now + 1) % len(WINDOWS_S)]))

    def action_sort(self) -> None:
        """Choose the column to sort by."""
        query = self.sought
        if query.group:
            model = self._table.model
            headings: Sequence[Heading] = model.headings if model is not None else ()
            options = [(h.key, h.title, _TOP_HELP[h.key]) for h in headings if h.key in _TOP_HELP]
            self.app.push_screen(Choose("sort the top by", options, query.top_by), self.sort_by)
            return
        options = [("-", "TIME OF ARRIVAL", "as the events come in"), *map(_option, self.tool.columns)]
        self.app.push_screen(Choose("sort by", options, query.sort or "-"), self.sort_by)

    def sort_by(self, key: str | None) -> None:
        """Sort by a column's key; "-" means by arrival; the same again turns it round."""
        query = self.sought
        if key is None:
            return
        if query.group:
            again = key == query.top_by
            down = not query.top_descending if again else key != "value"
            self._look(replace(query, top_by="count" if key == "rate" else key, top_descending=down))
            return
        column = self.tool.column(key)
        if column is None:
            self._look(replace(query, sort="", descending=False), fresh=True)
            return
        down = not query.descending if key == query.sort else column.type in DESCENDING_FIRST
        self._look(replace(query, sort=key, descending=down), fresh=True)

    @on(Table.HeadingClicked)
    def _heading_clicked(self, event: Table.HeadingClicked) -> None:
        event.stop()
        self.sort_by(event.key)

    def action_group(self) -> None:
        """Choose the column to count by, or leave the top."""
        if self.sought.group:
            self._look(replace(self.sought, group=""))
            return
        options = [_option(c) for c in self.tool.columns if c.type is not Type.TIME]
        self.app.push_screen(Choose("count by", options, self.tool.group_by), self.group_by)

    def group_by(self, key: str | None) -> None:
        """Show the top of a column."""
        if key is not None:
            self._look(replace(self.sought, group=key, top_by="count", top_descending=True))

    @on(Table.Moved)
    def _moved(self, event: Table.Moved) -> None:
        event.stop()
        self.post_message(self.Selected(self))

    @on(Table.Chosen)
    def _chosen(self, event: Table.Chosen) -> None:
        """Enter: an event's details; of a top, the events of that value."""
        event.stop()
        model, row = self._table.model, self._table.cursor
        if isinstance(model, TopModel) and row is not None:
            try:
                self._look(replace(self.sought, group="", filter=self._narrowed(model, row)))
            except FilterError as error:  # what is not known is no number; or the filter is full
                self.app.notify(sanitise(str(error)), severity="warning", markup=False)
        else:
            self.post_message(self.Selected(self, open_details=True))

    def _narrowed(self, model: TopModel, row: int) -> Filter:
        """The filter, and one term more: the value of a top's row."""
        value = model.top.value(row)
        text = " ".join(value) if isinstance(value, list) else "" if value is None else str(value)
        term = f"{model.top.column.key}={quote(text)}"
        before = self.sought.filter.text if self.sought.filter else ""
        return parse(self.tool, f"{before} {term}".strip())


def _option(column: Column) -> tuple[str, str, str]:
    return column.key, column.title, column.help
