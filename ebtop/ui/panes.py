"""The screen of panes: header, tabs, the shown pane with its line and details, and the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.css.query import NoMatches
from textual.timer import Timer
from textual.widgets import Static

from ebtop.model.activity import Moment
from ebtop.model.snapshot import Snapshot, ToolSnapshot
from ebtop.tick import Focus, Resolve, SetFocus
from ebtop.tool import Tool
from ebtop.ui import views
from ebtop.ui.attaching import Attaching
from ebtop.ui.details import Details
from ebtop.ui.header import Header
from ebtop.ui.help import Help, help_text
from ebtop.ui.keyline import KeyLine
from ebtop.ui.paneline import PaneLine
from ebtop.ui.reader import Reader, Refreshed, Shown
from ebtop.ui.saving import Saving
from ebtop.ui.still import Still
from ebtop.ui.tabs import Tabs
from ebtop.ui.timebar import TimeBar
from ebtop.ui.trouble import Trouble
from ebtop.ui.view import ToolView

if TYPE_CHECKING:
    from ebtop.ui.app import Dashboard

LEAST_WIDTH, LEAST_HEIGHT = 40, 10

NO_FOCUS = "a recording holds what was traced: / filters what is shown of it"

_RESOLVE_AFTER_S = 0.12
"""The process under the cursor is looked up when the cursor has rested for so long."""


class _Views(Still, Container):
    """Where the views of the panes are."""


class Panes(Still, Saving, Attaching):
    """The dashboard's one screen; help and choices lie on top of it."""

    TITLE = "ebtop"
    DEFAULT_CSS = """
    Panes { layout: vertical; background: $background; color: $foreground; }
    Panes #views { width: 1fr; height: 1fr; }
    Panes #views.-hidden { display: none; }
    Panes #too-small { display: none; width: 100%; height: 1; color: $warning; }
    Panes.-too-small > * { display: none; }
    Panes.-too-small > #too-small { display: block; }
    Panes Toast { max-width: 60; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "next_pane(1)", "Next pane", show=False, id="pane.next"),
        Binding("shift+tab", "next_pane(-1)", "Pane before", show=False, id="pane.previous"),
        Binding("f", "focus_process(False)", "Focus", id="focus.process",
                tooltip="Trace only the selected process, from now on"),
        Binding("F", "focus_process(True)", "+children", id="focus.descendants",
                tooltip="Trace only the selected process and its descendants"),
        Binding("u", "clear_focus", "Unfocus", id="focus.clear", tooltip="Trace every process again"),
        Binding("R", "restart", "Start again", id="app.restart", tooltip="Start capture again after it ended"),
        Binding("escape", "back", "Back", show=False, id="app.back"),
        Binding("colon", "app.command_palette", "Commands", key_display=":", show=False, id="app.commands"),
        Binding("question_mark", "help", "Help", key_display="?", id="app.help"),
        Binding("q", "app.quit", "Quit", id="app.quit"),
    ]  # fmt: skip

    def __init__(self, tools: Sequence[Tool], first: str, notes: Sequence[str], interval_s: float) -> None:
        super().__init__()
        self._first = first
        self._news: Refreshed | None = None
        self._ready = False
        self._tools = tuple(tools)
        self._keys = pane_keys(tools)
        self._notes = notes
        self.interval_s = interval_s
        self._snapshot: Snapshot | None = None
        self._frozen: Snapshot | None = None
        self._serial = 0
        self._resolving: Timer | None = None
        self._resolved: int | None = None
        self.current = ""

    @property
    def dashboard(self) -> Dashboard:
        """The app."""
        return cast("Dashboard", self.app)

    @property
    def reader(self) -> Reader:
        """The app's."""
        return self.dashboard.reader

    @property
    def activity(self) -> Sequence[Moment]:
        """That of the pane that is shown, until now."""
        return self._snapshot.tools[self.current].activity if self._snapshot and self.current else ()

    @property
    def moment(self) -> Snapshot | None:
        """What is shown, now or as it was."""
        return self._frozen or self._snapshot

    def moved(self) -> None:
        """Another moment is looked at."""
        self._draw_frame()

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield Header(self._notes, self.interval_s)
        yield Tabs(self._tools, [self._keys[t.name] for t in self._tools])
        yield PaneLine()
        yield Trouble()
        yield _Views(id="views")
        yield Details()
        yield TimeBar()
        yield KeyLine()
        yield Static("ebtop needs 40 columns and 10 lines", id="too-small")

    def on_mount(self) -> None:
        """Show the first pane, and what came in before the screen was there."""
        self._ready = True
        self.show_pane(self._first)
        if self._news is not None:
            self.refreshed(self._news)

    @property
    def view(self) -> ToolView | None:
        """The view that is shown."""
        try:
            return self.query_one(f"#view-{self.current}", ToolView) if self.current else None
        except NoMatches:
            return None

    def show_pane(self, name: str) -> None:
        """Show a tool's pane; the keyboard goes to it."""
        if name == self.current:
            return
        old, self.current = self.view, name
        if old is not None:
            old.display = False
        self._resolved = None
        self._draw_frame()
        self.call_later(self._present, name)

    def make_view(self, tool: Tool) -> ToolView:
        """The view of a pane that is shown for the first time."""
        return views.make(tool)

    def uncovered(self) -> None:
        """What lay over this screen has gone: go on with what it showed."""
        self.look_again()

    def look_again(self) -> None:
        """Have what is shown prepared anew."""
        if (view := self.view) is not None:
            self.reader.look(view, view.wanted)

    def covered(self) -> None:
        """A page lies over this screen: what is not seen should not keep what History has let go of."""
        self._snapshot = self._frozen = None

    async def _present(self, name: str) -> None:
        """Make the view if it is not there yet; only a view that is all mounted is given anything to show."""
        if name != self.current:
            return
        view, tool = self.view, self._tool(name)
        if view is not None and view.tool is not tool:  # it is another tool by now
            await view.remove()
            view = None
        if view is None:
            view = self.make_view(tool)
            await self.query_one("#views").mount(view)
        if name == self.current:
            view.display = True
            self.dashboard.reader.look(view, view.wanted)
            view.keyboard_target().focus()
        else:
            view.display = False

    def _tool(self, name: str) -> Tool:
        """As it is now: one that is made by a plan is another with each."""
        if self._snapshot is not None and name in self._snapshot.tools:
            return self._snapshot.tools[name].tool
        return next(tool for tool in self._tools if tool.name == name)

    def refreshed(self, news: Refreshed) -> None:
        """Draw what has changed."""
        if not self._ready:
            self._news = news
            return
        try:
            header = self.query_one(Header)
        except NoMatches:  # the screen is being taken down
            return
        self._snapshot = news.snapshot
        self._frozen = news.frozen
        header.show(news.snapshot, news.frozen.time if news.frozen else None)
        self._draw_frame()
        self.answered(news.snapshot)
        shown, view = news.shown, self.view
        if view is not None and view.tool is not self._tool(self.current):
            self.call_later(self._present, self.current)
            return
        if shown is None or view is None or shown.view is not view:
            return
        self.took(shown)
        alone = self.query_one(Trouble).show(
            shown.snapshot, shown.error, news.snapshot.gone is not None, self.instead(shown.snapshot)
        )
        self.query_one("#views").set_class(alone, "-hidden")
        if not alone and self.focused is None:  # what is hidden cannot have the keyboard
            view.keyboard_target().focus()
        if shown.serial != self._serial and not shown.error:
            self._serial = shown.serial
            view.show(shown.snapshot, shown.result)
        self._draw_details()

    def took(self, shown: Shown) -> None:
        """The view is about to show this."""

    @property
    def pane(self) -> ToolSnapshot | None:
        """What the pane's line tells of."""
        picture = self._frozen or self._snapshot
        return picture.tools[self.current] if picture is not None and self.current else None

    def _draw_frame(self) -> None:
        self.query_one(Tabs).show(self.current, self._snapshot)
        self.query_one(KeyLine).put_first({"attach", "detach"} if self.is_chosen_tool else ())
        if self._snapshot is not None and (pane := self.pane) is not None:
            self.query_one(PaneLine).show(pane, self._keys[self.current], self._snapshot.gone)
            if playback := self._snapshot.playback:
                self.query_one(TimeBar).show(self.activity, self.at or playback.time, "End")
            else:
                self.query_one(TimeBar).show(self.activity, self.at)
        self.refresh_bindings_if_gone_changed()

    _was_gone = False

    def refresh_bindings_if_gone_changed(self) -> None:
        """The key that starts capture again is offered only when it has ended."""
        gone = self._snapshot is not None and self._snapshot.gone is not None
        if gone != self._was_gone:
            self._was_gone = gone
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Capture can be started again when it has ended and somebody knows how; now can be gone back to when something
        earlier is shown, unless the key is wanted for typing."""
        del parameters
        if action == "now":
            return self.can_go_on
        if action == "speed":
            return self.reader.is_recorded
        if action == "detach":
            return self.can_detach
        return self._was_gone and self.dashboard.can_restart if action == "restart" else True

    def on_resize(self, event: events.Resize) -> None:
        """Below a certain size one line says so, and nothing else is drawn."""
        self.set_class(event.size.width < LEAST_WIDTH or event.size.height < LEAST_HEIGHT, "-too-small")

    @on(ToolView.Wanted)
    def _wanted(self, event: ToolView.Wanted) -> None:
        if event.view is self.view:
            self.dashboard.reader.look(event.view, event.view.wanted)

    @on(ToolView.StacksAsked)
    def _stacks_asked(self) -> None:
        if self._snapshot is not None:
            self.dashboard.reader.turn_stacks(self._snapshot.tools[self.current].state)

    @on(ToolView.Selected)
    def _selected(self, event: ToolView.Selected) -> None:
        details, pid = self.query_one(Details), event.view.selected_pid()
        if event.open_details and details.opened and pid is not None:
            self.open_process(pid)
        elif event.open_details:
            keys = (("table.choose", "process"), ("stream.life", "life"), ("copy", "copy"), ("focus.process", "focus"))
            details.hint = self.hint(*keys)
            details.open(not details.opened)
        self._draw_details()

    def _draw_details(self) -> None:
        details, view = self.query_one(Details), self.view
        if not details.opened or view is None:
            return
        pid = view.selected_pid()
        known = self._snapshot.processes.get(pid) if self._snapshot and pid is not None else None
        details.show(view.selected_fields(), pid, known, view.selected_note())
        if pid != self._resolved:
            self._resolved = pid
            if self._resolving is not None:
                self._resolving.stop()
            if pid is not None:
                self._resolving = self.set_timer(_RESOLVE_AFTER_S, lambda: self.dashboard.reader.send(Resolve(pid)))

    @on(Tabs.Chosen)
    def _tab_chosen(self, event: Tabs.Chosen) -> None:
        self.show_pane(event.tool)

    def action_pane(self, name: str) -> None:
        """Show a pane by its key."""
        self.show_pane(name)

    def action_next_pane(self, by: int) -> None:
        """Show the pane after or before."""
        names = [t.name for t in self._tools]
        self.show_pane(names[(names.index(self.current) + by) % len(names)])

    def action_focus_process(self, follow: bool) -> None:
        """Trace only the selected process."""
        if self.reader.is_recorded:
            self.notify(NO_FOCUS, severity="warning", markup=False)
            return
        pid = self.selected_process()
        if pid is None:
            return
        self.dashboard.reader.send(SetFocus(Focus(pids=(pid,), follow=follow)))
        self.notify(f"focus on {pid}{' and its descendants' if follow else ''}", markup=False, timeout=2)

    def action_clear_focus(self) -> None:
        """Trace all processes."""
        if self.reader.is_recorded:
            self.notify(NO_FOCUS, severity="warning", markup=False)
            return
        self.dashboard.reader.send(SetFocus(Focus()))
        self.notify("focus on all", markup=False, timeout=2)

    def action_restart(self) -> None:
        """Start capture again."""
        self.dashboard.restart(self.current)

    def action_back(self) -> None:
        """Esc: close the details, or leave what the view is in."""
        details = self.query_one(Details)
        if details.opened:
            details.open(False)
        elif self.view is not None:
            self.view.back()

    def action_help(self) -> None:
        """Explain this pane."""
        tool = self.pane
        if tool is None or self._snapshot is None or self.view is None:
            return
        text = help_text(tool, self._snapshot, self.view.help_text, self._bindings_for_help())
        self.app.push_screen(Help(text, f"{self._keys[self.current]} {self.current}"))

    def _bindings_for_help(self) -> list[tuple[str, str, str]]:
        """Keys as they are bound now, those of one action together."""
        found: dict[str, tuple[list[str], str, str]] = {}
        for active in self.active_bindings.values():
            binding = active.binding
            if binding.description and binding.id:
                keys, _, _ = found.setdefault(binding.action, ([], binding.description, binding.tooltip))
                keys.append(self.app.get_key_display(binding))
        return [(" ".join(keys), description, tooltip) for keys, description, tooltip in found.values()]


def pane_keys(tools: Sequence[Tool]) -> dict[str, str]:
    """The hotkey of each pane, by tool name."""
    return {tool.name: tool.key for tool in tools}


P = TypeVar("P", bound=Panes)


def panes_class(tools: Sequence[Tool], screen: type[P]) -> type[P]:
    """The screen with the tools' hotkeys among its bindings, so that they too can be rebound ("pane.NAME")."""
    bindings: list[BindingType] = [
        Binding(tool.key, f"pane('{tool.name}')", tool.name, show=False, id=f"pane.{tool.name}", tooltip=tool.title)
        for tool in tools
    ]
    return type(f"Tool{screen.__name__}", (screen,), {"BINDINGS": bindings})
