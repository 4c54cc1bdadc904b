"""The page of a process: the panes again, for that process alone, and before them one that tells who it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from ebtop.model.activity import Moment
from ebtop.model.copying import Copy, process_copies
from ebtop.model.narrow import Narrow
from ebtop.model.snapshot import ToolSnapshot
from ebtop.sanitise import sanitise
from ebtop.tick import Ancestor, ProcessDetails, Resolve
from ebtop.tool import Kind, Tool
from ebtop.ui.crumbs import Crumbs
from ebtop.ui.details import Details, command
from ebtop.ui.header import Header
from ebtop.ui.panes import Panes, panes_class
from ebtop.ui.process_view import PROCESS, ProcessView
from ebtop.ui.reader import Refreshed, Shown
from ebtop.ui.view import ToolView

MOST_PAGES = 16
"""So many pages may lie over each other: each keeps what its views hold."""

_ASK_EVERY_S = 2.0
_LABEL = 24


class ProcessPage(Panes):
    """Lies over the panes, or over the page that it was opened from."""

    DEFAULT_CSS = """
    ProcessPage.-first PaneLine { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace", "leave", "Back", key_display="⌫", id="process.back",
                tooltip="From a tool's pane to the process, from there to where its page was opened"),
    ]  # fmt: skip

    def __init__(self, tools: Sequence[Tool], pid: int, notes: Sequence[str], interval_s: float) -> None:
        super().__init__(page_tools(tools), PROCESS.name, notes, interval_s)
        self.pid = pid
        self._narrows = {tool.name: Narrow(tool, pid) for tool in tools}
        self._shown: Shown | None = None
        self._asked = 0
        self._details: ProcessDetails | None = None
        self.label = str(pid)

    def compose(self) -> ComposeResult:
        """As the panes, with the way to here below the header."""
        for widget in super().compose():
            yield widget
            if isinstance(widget, Header):
                yield Crumbs()

    def on_mount(self) -> None:
        """Ask who it is, now and again."""
        super().on_mount()
        self._ask()
        self.set_interval(_ASK_EVERY_S, self._ask_again)

    def make_view(self, tool: Tool) -> ToolView:
        """The pane's own view, of this process alone."""
        if tool is PROCESS:
            return ProcessView(self.pid, list(self._narrows.values()), self._keys)
        view = super().make_view(tool)
        view.narrow = self._narrows[tool.name]
        return view

    def _ask(self) -> None:
        self.reader.send(Resolve(self.pid))

    def _ask_again(self) -> None:
        """Only who has answered is asked again: a recording cannot; and who has gone stays gone."""
        if self.is_current and self._details is not None and self._details.alive:
            self._ask()

    def show_pane(self, name: str) -> None:
        """Show a pane; the first needs neither a line of its own nor the details below."""
        self.set_class(name == PROCESS.name, "-first")
        if name == PROCESS.name and self.is_mounted:
            self.query_one(Details).open(False)
        super().show_pane(name)

    def refreshed(self, news: Refreshed) -> None:
        """Draw what has changed, the way to here among it."""
        super().refreshed(news)
        known = news.snapshot.processes.get(self.pid)
        if known is not None:
            self._details = known
        if self._ready and self.query(Crumbs):
            self._tell()

    def _tell(self) -> None:
        for view in self.query(ProcessView):
            view.know(self._details)
            self.label = self._called(view)
        trail = self.dashboard.trail
        names = [page.label if isinstance(page, ProcessPage) else page.current for page in trail]
        self.query_one(Crumbs).show(names, self._traced())

    def _traced(self) -> str:
        """What is shown here is a part of what the focus lets through."""
        vitals = self._snapshot.vitals if self._snapshot else None
        return f"shown: this process   traced: {sanitise(vitals.focus) if vitals else 'all'}"

    def _called(self, view: ProcessView) -> str:
        known = view.facts.known.values
        argv = known.get("argv")
        seen = Ancestor(self.pid, str(known.get("comm") or ""), tuple(map(str, argv)) if isinstance(argv, list) else ())
        who = self._details if self._details and (self._details.comm or self._details.argv) else seen
        return f"{command(who.comm, who.argv, _LABEL)} {self.pid}".strip()

    def took(self, shown: Shown) -> None:
        """What the pane's line and the time bar tell of."""
        self._shown = shown
        self._draw_frame()

    @property
    def pane(self) -> ToolSnapshot | None:
        """The narrowed part of the picture."""
        shown = self._shown
        return shown.snapshot if shown is not None and shown.snapshot.tool.name == self.current else None

    @property
    def activity(self) -> Sequence[Moment]:
        """The process's own, as of what is shown."""
        return self.pane.activity if self.pane else ()

    def selected_process(self) -> int:
        """What is selected, else the process itself."""
        pid = self.view.selected_pid() if self.view else None
        return self.pid if pid is None else pid

    def open_process(self, pid: int) -> None:
        """Another process's page; for this one its first pane."""
        if pid == self.pid:
            self.show_pane(PROCESS.name)
        else:
            super().open_process(pid)

    def covered(self) -> None:
        """Only the pane that is seen again at once is kept."""
        super().covered()
        self._shown = None if self._shown is None else replace(self._shown, snapshot=_emptied(self._shown.snapshot))
        for view in self.query(ToolView):
            if view is not self.view:
                view.remove()

    def copies(self) -> list[Copy]:
        """Where nothing is selected, those of the process itself."""
        return super().copies() or (process_copies(self._details) if self._details else [Copy("pid", str(self.pid))])

    def action_back(self) -> None:
        """Esc: as in the panes, and then out of the page."""
        details = self.query_one(Details)
        if details.opened:
            details.open(False)
        elif self.view is None or not self.view.back():
            self.action_leave()

    def action_leave(self) -> None:
        """Back to the process, then to where its page was opened."""
        if self.current != PROCESS.name:
            self.show_pane(PROCESS.name)
        else:
            self.dashboard.return_to(len(self.dashboard.trail) - 2)

    @on(ProcessView.OpenPane)
    def _pane_wanted(self, event: ProcessView.OpenPane) -> None:
        event.stop()
        self.show_pane(event.tool)

    @on(Crumbs.Chosen)
    def _crumb_chosen(self, event: Crumbs.Chosen) -> None:
        event.stop()
        self.dashboard.return_to(event.place)


def _emptied(snapshot: ToolSnapshot) -> ToolSnapshot:
    return replace(snapshot, ticks=(), names={}, activity=())


def page_tools(tools: Sequence[Tool]) -> list[Tool]:
    """The page's panes: a view of processes has nothing more to say of one than the first pane has."""
    return [PROCESS, *(tool for tool in tools if tool.kind is not Kind.PROCESSES)]


def page_class(tools: Sequence[Tool]) -> type[ProcessPage]:
    """The page with the hotkeys of its panes."""
    return panes_class(page_tools(tools), ProcessPage)
