"""Stacks on the screen: the icicle graph, the table of top functions, and what the cursor is on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from ebtop.model.copying import Copy
from ebtop.model.filter import FilterError
from ebtop.model.format import count
from ebtop.model.pattern import PatternError, searcher
from ebtop.model.snapshot import ToolSnapshot
from ebtop.model.stackcut import cut
from ebtop.model.stacktree import CallTree, Function, Path, Shape, StackTree, functions, search
from ebtop.model.window import Window, said, spanned, within
from ebtop.sanitise import sanitise
from ebtop.tick import Tick
from ebtop.tool import Tool
from ebtop.ui.filterbar import FilterBar
from ebtop.ui.functionnames import module_of, name_of, percent
from ebtop.ui.functions import FunctionRows
from ebtop.ui.icicle import Icicle
from ebtop.ui.ranked import RankedTable
from ebtop.ui.table import Table
from ebtop.ui.view import ToolView

if TYPE_CHECKING:
    from ebtop.export.shown import Exports

_BESIDE = 100
"""From this width on the table is beside the graph, not below it."""


@dataclass(frozen=True, slots=True)
class Stacks:
    """What the user wants to see: of which time, in which shape, from which frame down, with what marked."""

    window: Window = Window.MINUTE
    shape: Shape = field(default_factory=Shape)
    top: Path = ()
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class _Prepared:
    wanted: Stacks
    calls: CallTree
    functions: tuple[Function, ...]
    top_samples: int
    window: tuple[Tick, ...]


class FlameView(ToolView, can_focus=False):
    """Shows a tool of Kind.STACKS."""

    DEFAULT_CSS = """
    FlameView {
        layout: vertical;
        & > Static { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & > .flame--status { height: 2; }
        & > .flame--body { layout: horizontal; height: 1fr; }
        & .flame--table { width: 44%; max-width: 72; margin: 0 0 0 2; }
        &.-below > .flame--body { layout: vertical; }
        &.-below .flame--table { width: 1fr; max-width: 100%; height: 35%; min-height: 4; margin: 1 0 0 0; }
        &.-no-table .flame--table { display: none; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace", "up", "Zoom out", id="flame.up", tooltip="Back to what was shown before the zoom"),
        Binding("slash", "find", "Find", key_display="/", id="flame.find", tooltip="Underline functions by name"),
        Binding("w", "window", "Window", id="flame.window", tooltip="Last second, last minute, or all held"),
        Binding("i", "invert", "Invert", id="flame.invert", tooltip="Begin with the functions that run, then callers"),
        Binding("k", "kernel", "Kernel", id="flame.kernel", tooltip="Leave out kernel frames, or show them again"),
        Binding("U", "user", "User", id="flame.user", tooltip="Leave out user frames, or show them again"),
        Binding("t", "table", "Table", id="flame.table", tooltip="Show or hide the table of top functions"),
        Binding("n", "other", "Graph/table", id="flame.side", tooltip="Move the keyboard to the table, or back"),
    ]
    help_text = (
        "An icicle graph: the whole is on top, callees hang below their callers, and a frame is as wide as its "
        "samples. Width is time on a CPU; the order from left to right is by name and means nothing else.\n"
        "A frame that begins with ▌ is the kernel's, with ▏ a program's; shades tell modules apart. Blank below a "
        "frame is its own time. … stands for frames too narrow to draw: zoom in to see them.\n"
        "Arrows go to caller, callee and neighbours; Enter or a click zooms, Backspace goes back. What is typed after "
        "/ is a regular expression: functions that match are underlined, with the share of samples that have one.\n"
        "The table: SELF is time in the function itself, TOTAL with all that it called. n moves to the table, where "
        "Enter underlines the function in the graph.\n"
        "w: last second, last minute, all held. i: inverted, from the running function up to who called it. k, U: "
        "without kernel or user frames. t: without the table."
    )

    def __init__(self, tool: Tool) -> None:
        super().__init__(tool)
        self.wanted: object | None = Stacks()
        self._tree = StackTree()
        self._before: list[Path] = []
        self._calls: CallTree | None = None
        self._prepared: _Prepared | None = None
        self._span_s = 0.0
        self._functions: tuple[tuple[Function, ...], int] | None = None
        self._bar = FilterBar(_regex)

    @property
    def sought(self) -> Stacks:
        """What is wanted."""
        return self.wanted if isinstance(self.wanted, Stacks) else Stacks()

    def compose(self) -> ComposeResult:
        """Facts, the graph and its table, and two lines on the frame of the cursor."""
        yield self._bar
        with Container(classes="flame--body"):
            yield Icicle(id=f"icicle-{self.tool.name}")
            table = RankedTable(id=f"functions-{self.tool.name}")
            table.add_class("flame--table")
            yield table
        yield Static(classes="flame--status", markup=False)

    @property
    def graph(self) -> Icicle:
        """The icicle graph."""
        return self.query_one(Icicle)

    @property
    def table(self) -> RankedTable:
        """The top functions."""
        return self.query_one(RankedTable)

    def on_resize(self, event: events.Resize) -> None:
        """Side by side where there is room."""
        self.set_class(event.size.width < _BESIDE, "-below")
        self.call_after_refresh(self._show_functions)

    def keyboard_target(self) -> Widget:
        """The graph."""
        return self.graph

    # In the reader thread

    def prepare(self, snapshot: ToolSnapshot, wanted: object | None) -> object | None:
        """Add up the window's stacks, search them, and rank the functions below the top frame."""
        stacks = wanted if isinstance(wanted, Stacks) else Stacks()
        window = within(stacks.window, snapshot.ticks)
        calls = self._tree.calls(snapshot.ticks, window, stacks.shape)
        calls = search(calls, stacks.pattern)
        top = calls.find(stacks.top)
        return _Prepared(stacks, calls, functions(calls, top), int(calls.total[top]), tuple(window))

    # In the UI thread

    def show(self, snapshot: ToolSnapshot, result: object | None) -> None:
        """Take over what was added up."""
        if not isinstance(result, _Prepared):
            return
        graph = self.graph
        self._calls, self._span_s = result.calls, spanned(result.window)
        self._prepared = result
        graph.empty = self._why_empty(snapshot, result)
        graph.set_calls(result.calls)
        self._functions = result.functions, result.top_samples
        self._show_functions()
        self._show_facts()
        self._show_status()

    def _show_functions(self) -> None:
        width = self.table.scrollable_content_region.width
        if self._functions is not None and width:
            self.table.set_model(FunctionRows(*self._functions, width))

    def _why_empty(self, snapshot: ToolSnapshot, result: _Prepared) -> str:
        if not snapshot.ticks:
            return "no samples yet"
        if not (result.wanted.shape.kernel or result.wanted.shape.user):
            return "kernel and user frames are both left out: k and U bring them back"
        return f"no samples in the {result.wanted.window}: nothing that is in focus ran"

    def _show_facts(self) -> None:
        calls, wanted = self._calls, self.sought
        if calls is None:
            return
        parts = [said(wanted.window, self._span_s)]
        parts += ["inverted"] if wanted.shape.inverted else []
        parts += ["no kernel frames"] if not wanted.shape.kernel else []
        parts += ["no user frames"] if not wanted.shape.user else []
        if calls.pattern:
            parts.append(f"/{sanitise(calls.pattern)}/ in {percent(calls.matched, calls.samples)}")
        if wanted.top:
            way = " › ".join(name_of(frame) for frame in wanted.top[-2:])
            parts.append(f"zoomed to {'… › ' if len(wanted.top) > 2 else ''}{way}")
        self._bar.show_status(" · ".join(parts), _samples(calls.samples))

    def _show_status(self) -> None:
        """The frame of the cursor: shares first, as they have a fixed length, then its module; its whole name below."""
        calls, node = self._calls, self.graph.cursor
        if calls is None or not calls.samples:
            self.query_one(".flame--status", Static).update("", layout=False)
            return
        frame = calls.name(node)
        samples = int(calls.total[node])
        shares = f"{percent(samples, calls.samples):>7} of all"
        if node:
            shares += f"  {percent(samples, int(calls.total[calls.parent[node]])):>7} of its caller"
        where = "kernel" if frame.kernel else module_of(frame)
        known = f"  {_samples(samples):>15}  {where}"
        name = name_of(frame) + ("" if not frame.kernel or where == module_of(frame) else f"  [{module_of(frame)}]")
        lines = Content.assemble((shares + known, "$foreground 65%"), "\n", (f"› {name}", "bold"))
        self.query_one(".flame--status", Static).update(lines, layout=False)

    def selected_pid(self) -> int | None:
        """The process with most samples in the frame of the cursor."""
        node = self.graph.cursor
        return self._calls.busiest_pid(node) if self._calls is not None and node else None

    def copies(self, directory: str = "") -> Sequence[Copy]:
        """The function under the cursor, and the way to it, as folded stacks are written."""
        del directory
        if self._calls is None or not (path := self._calls.path(self.graph.cursor)):
            return ()
        names = [name_of(frame) for frame in path]
        return [Copy("function", names[-1]), Copy("stack", ";".join(names))]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Zooming out is for who has zoomed in: else its key may mean something else."""
        del parameters
        return bool(self.sought.top) if action == "up" else True

    def exportable(self, snapshot: ToolSnapshot) -> Exports:
        """The window's stacks that lead through the frame on top, whole, without frames that are left out."""
        from ebtop.export import shown  # when it is wanted: the first screen does not wait for it

        result = self._prepared
        if result is None:
            return {}
        top = result.calls.path(result.calls.find(result.wanted.top))
        return shown.stacks(snapshot, result.window, cut(result.wanted.shape, top))

    def back(self) -> bool:
        """Leave the marked function, then the search, then the zoom."""
        if self.graph.marked is not None:
            self.graph.mark(None)
        elif self.sought.pattern:
            self.search("")
        elif self.sought.top:
            self.action_up()
        elif self.table.has_focus:
            self.graph.focus()
        else:
            return False
        return True

    def action_find(self) -> None:
        """Type what to search for."""
        self._bar.query_one("#filter-prompt", Static).update("find")
        self._bar.query_one(Input).placeholder = "a regular expression: ^tcp_|memcpy"
        self._bar.edit(self.sought.pattern)

    @on(FilterBar.Changed)
    def _typed(self, event: FilterBar.Changed) -> None:
        event.stop()
        self.search(event.text)

    @on(FilterBar.Closed)
    def _search_closed(self, event: FilterBar.Closed) -> None:
        event.stop()
        self.graph.focus()

    def search(self, pattern: str) -> None:
        """Mark the functions whose names match the regular expression; "" marks none."""
        self._want(replace(self.sought, pattern=pattern))

    def _want(self, wanted: Stacks) -> None:
        zoomed = bool(self.sought.top)
        self.want(wanted)
        if zoomed is not bool(wanted.top):
            self.refresh_bindings()
        self._show_facts()

    def on_icicle_moved(self) -> None:
        """Tell what the cursor is on."""
        self._show_status()
        self.post_message(self.Selected(self))

    def on_icicle_zoom(self, event: Icicle.Zoom) -> None:
        """Zoom in, and remember the way back."""
        if event.path != self.sought.top:
            self._before.append(self.sought.top)
            self._zoom(event.path)

    def _zoom(self, path: Path) -> None:
        self.graph.set_top(path)
        self._want(replace(self.sought, top=path))
        self._show_status()

    def action_up(self) -> None:
        """Back to what was shown before the last zoom."""
        if self.sought.top:
            self._zoom(self._before.pop() if self._before else self.sought.top[:-1])

    def _reshape(self, shape: Shape) -> None:
        """Another tree has other paths: zoom out, unless a frame is only left out of them."""
        self._before.clear()
        self.graph.set_top(())
        self._want(replace(self.sought, shape=shape, top=()))

    def action_invert(self) -> None:
        """Callers below callees, or the other way round."""
        self._reshape(replace(self.sought.shape, inverted=not self.sought.shape.inverted))

    def action_kernel(self) -> None:
        """Kernel frames, or none."""
        self._reshape(replace(self.sought.shape, kernel=not self.sought.shape.kernel))

    def action_user(self) -> None:
        """User frames, or none."""
        self._reshape(replace(self.sought.shape, user=not self.sought.shape.user))

    def action_window(self) -> None:
        """Of a longer or a shorter time."""
        self._want(replace(self.sought, window=self.sought.window.next))

    def action_table(self) -> None:
        """Show or hide the table."""
        self.toggle_class("-no-table")
        self.call_after_refresh(self._show_functions)
        if self.has_class("-no-table"):
            self.graph.focus()

    def action_other(self) -> None:
        """Move the keyboard between graph and table."""
        (self.graph if self.table.has_focus or self.has_class("-no-table") else self.table).focus()

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Underline the function of the row wherever it is in the graph; chosen again, no longer."""
        event.stop()
        model, row = self.table.model, self.table.cursor
        if isinstance(model, FunctionRows) and row is not None:
            frame = model.function(row).frame
            self.graph.mark(None if self.graph.marked == frame else frame)

    def on_table_moved(self, event: Table.Moved) -> None:
        """The details of a process are those of the graph's cursor."""
        event.stop()


def _samples(number: int) -> str:
    return f"{count(number)} sample{'' if number == 1 else 's'}"


def _regex(pattern: str) -> None:
    try:
        searcher(pattern, ignore_case=True)
    except PatternError as error:
        raise FilterError(f"no regular expression: {error}") from None
