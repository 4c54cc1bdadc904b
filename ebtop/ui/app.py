"""The dashboard: a source and a set of tools on one screen."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import Monochrome, NoColor
from textual.screen import Screen

from ebtop.config import Config, ConfigError
from ebtop.model.copying import LONGEST, Copy
from ebtop.model.format import nbytes
from ebtop.probing.plan import Probing
from ebtop.sanitise import sanitise
from ebtop.source import Source
from ebtop.tick import Notice
from ebtop.tool import Tool
from ebtop.ui import theme
from ebtop.ui.choose import Choose
from ebtop.ui.filterbar import FilterBar
from ebtop.ui.help import Help
from ebtop.ui.panes import Panes, panes_class
from ebtop.ui.reader import Reader, Refreshed
from ebtop.ui.saveas import SaveAs
from ebtop.ui.table import Table
from ebtop.ui.terminal import Terminal
from ebtop.ui.views import view_class

_MOST_PASTED = 4096
_MOST_NOTICES = 3
_SHOWN = 60  # characters of what was copied that a notice shows


class Dashboard(App[None]):
    """Shows what a source says. It reads, asks and draws; it starts no capture itself.

    `first` is the pane to begin with; `notes` are shown in the header ("running as root"); `restart` gives a new
    source after the first has ended; `probing` is what to begin with of tools that are made by what is asked for.
    Raises ConfigError for keys or a theme that the config names and nobody knows.
    """

    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True, id="app.interrupt"),
    ]

    def __init__(
        self,
        source: Source,
        tools: Sequence[Tool],
        first: str | None = None,
        *,
        interval_s: float = 1.0,
        notes: Sequence[str] = (),
        config: Config | None = None,
        restart: Callable[[], Source] | None = None,
        clock: Callable[[], int] = time.time_ns,
        probing: Mapping[str, Probing] | None = None,
    ) -> None:
        super().__init__(driver_class=Terminal)
        if not tools:
            raise ValueError("a dashboard needs at least one tool")
        self._config = config or Config()
        self._tools = tuple(tools)
        self._first = first if first in {t.name for t in tools} else tools[0].name
        self._restart = restart
        self._notice: Notice | None = None
        self._notes, self._interval_s = tuple(notes), interval_s
        self._news: Refreshed | None = None
        self._panes = panes_class(tools, Panes)(tools, self._first, notes, interval_s)
        self.reader = Reader(source, tools, self.post_message, self._config.history, clock, probing)
        self.register_theme(theme.QUIET)
        self.theme = self._chosen_theme()
        if self.current_theme.ansi:  # its colours have no greys: they would all become black
            self._filters = [NoColor() if isinstance(each, Monochrome) else each for each in self._filters]
        if self._config.keys:
            try:
                check_keys(self._config.keys, bindings_by_scope(tools, type(self._panes)))
            except ConfigError as error:
                raise ConfigError(f"{self._where}{error}") from None
            self.set_keymap(self._config.keys)

    def get_default_screen(self) -> Screen[None]:
        """The panes."""
        return self._panes

    async def on_event(self, event: events.Event) -> None:
        """What is pasted is drawn as it is typed: other people's text, that has to be made safe like any other."""
        if isinstance(event, events.Paste):
            event.text = "".join(sanitise(line) for line in event.text[:_MOST_PASTED].splitlines()[:1])
        await super().on_event(event)

    def on_mount(self) -> None:
        """Begin."""
        self.reader.start(self._first)

    def on_unmount(self) -> None:
        """End the source with the screen."""
        self.reader.stop()

    @property
    def can_restart(self) -> bool:
        """Whether somebody knows how to start capture again."""
        return self._restart is not None

    def restart(self, first: str) -> None:
        """Start capture again, in a thread: it may take a while."""
        if self._restart is not None:
            self.run_worker(lambda: self._start_again(first), thread=True, exclusive=True, exit_on_error=False)

    def _start_again(self, first: str) -> None:
        if self._restart is None:
            return
        try:
            source = self._restart()
        except Exception as error:  # noqa: BLE001  the user asked for it, and is to read why it did not work
            self.call_from_thread(self._say, f"capture did not start: {error}", True)
            return
        self.reader.restart(source, first)

    def on_refreshed(self, message: Refreshed) -> None:
        """A new picture."""
        self.reader.seen()
        self._news = message
        self._uppermost.refreshed(message)
        told = {tool.state.reason for tool in message.snapshot.tools.values()}
        for notice in self._unread(message.snapshot.notices):
            if notice.text in told:  # the pane says it, where it can be put right
                continue
            self._say(notice.text, notice.error)

    @property
    def _uppermost(self) -> Panes:
        """The panes, or the page of a process that lies over them."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, Panes)), self._panes)

    @property
    def trail(self) -> Sequence[Panes]:
        """The way to what is shown: the panes, and the pages that were opened one from another."""
        return [screen for screen in self.screen_stack if isinstance(screen, Panes)]

    def open_process(self, pid: int) -> None:
        """Show the page of a process: the one that is open, or another above what is shown."""
        from ebtop.ui.process_page import MOST_PAGES, ProcessPage, page_class  # the first screen need not wait for it

        trail = self.trail
        place = next((n for n, page in enumerate(trail) if isinstance(page, ProcessPage) and page.pid == pid), None)
        if place is not None:
            self.return_to(place)
        elif len(trail) > MOST_PAGES:
            self._say(f"{MOST_PAGES} pages lie over each other already; go back first", True)
        else:
            trail[-1].covered()
            self.push_screen(page_class(self._tools)(self._tools, pid, self._notes, self._interval_s))

    def return_to(self, place: int) -> None:
        """Go back to that place of the trail."""
        trail = self.trail
        if place >= len(trail):
            return
        while self.screen is not trail[place]:
            self.pop_screen()
        trail[place].uncovered()
        if self._news is not None:
            trail[place].refreshed(self._news)

    def copy(self, what: Copy) -> None:
        """Put a text into the terminal's clipboard, and say so: the terminal does not tell whether it took it."""
        text = what.bounded
        if not text:
            self._say(f"{what.name} is too long to copy: {nbytes(len(what.text))} of at most {nbytes(LONGEST)}", True)
            return
        self.copy_to_clipboard(text)
        cut = f"the first {nbytes(LONGEST)} of " if text != what.text else ""
        self.notify(
            f"copied {cut}{what.name}: {sanitise(text[:_SHOWN])}{'…' * (len(text) > _SHOWN)}", markup=False, timeout=3
        )

    def _unread(self, notices: Sequence[Notice]) -> Iterator[Notice]:
        read = next((i for i, n in enumerate(notices) if n is self._notice), -1)
        yield from notices[read + 1 :]
        self._notice = notices[-1] if notices else self._notice

    def _say(self, text: str, error: bool) -> None:
        self.notify(sanitise(text), severity="error" if error else "information", markup=False, timeout=8)

    def on_notify(self) -> None:
        """Before a notice is shown, the oldest gives way: they must not pile up to the header."""
        while len(self._notifications) >= _MOST_NOTICES:
            self._unnotify(next(iter(self._notifications)), refresh=False)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the palette offers: panes, the keys of what is shown, themes."""
        for tool in self._tools:
            yield SystemCommand(f"pane {tool.name}", tool.title, lambda name=tool.name: self._uppermost.show_pane(name))
        done: set[str] = set()
        for active in screen.active_bindings.values():
            binding = active.binding
            if binding.id and binding.description and active.enabled and binding.action not in done:
                done.add(binding.action)
                if not binding.action.startswith("pane(") and binding.action != "app.command_palette":
                    yield SystemCommand(
                        binding.description.lower(),
                        f"{binding.tooltip or binding.description} ({self.get_key_display(binding)})",
                        lambda a=binding.action, n=active.node: self.call_later(self.run_action, a, n),
                    )
        yield SystemCommand("theme", "Choose other colours", self.search_themes)

    def _chosen_theme(self) -> str:
        wanted = self._config.theme or theme.default_theme()
        if wanted not in self.available_themes:
            near = difflib.get_close_matches(wanted, self.available_themes, n=3) or sorted(self.available_themes)
            raise ConfigError(f"{self._where}no theme {wanted!r}; there are {', '.join(near)}")
        return wanted

    @property
    def _where(self) -> str:
        return f"{self._config.path}: " if self._config.path else ""


def bindings_by_scope(tools: Sequence[Tool], panes: type[Panes]) -> Mapping[str, Sequence[Binding]]:
    """All bindings that have an id, by the class they belong to."""
    from ebtop.ui.picker import Picker
    from ebtop.ui.pointbrowser import PointBrowser
    from ebtop.ui.probingform import ProbingForm
    from ebtop.ui.process_page import page_class
    from ebtop.ui.process_view import ProcessView
    from ebtop.ui.sheet import Sheet

    classes: list[type] = [
        Dashboard,
        panes,
        page_class(tools),
        *dict.fromkeys(view_class(t.kind) for t in tools),
        ProcessView,
        Sheet,
        *_all_of(Table),
        FilterBar,
        Choose,
        SaveAs,
        PointBrowser,
        ProbingForm,
        Picker,
        Help,
    ]
    return {cls.__name__: [b for b in _bindings(cls) if b.id] for cls in classes}


def _all_of(cls: type) -> Iterator[type]:
    below: list[type] = cls.__subclasses__()
    yield cls
    for kind in below:
        yield from _all_of(kind)


def _bindings(cls: type) -> Iterator[Binding]:
    for base in cls.__mro__:
        if base.__module__.startswith("ebtop.") or base.__name__.startswith("Tool"):
            yield from (b for b in vars(base).get("BINDINGS", ()) if isinstance(b, Binding))
        if not vars(base).get("_inherit_bindings", True):
            return


def check_keys(keys: Mapping[str, str], scopes: Mapping[str, Sequence[Binding]]) -> None:
    """Raises ConfigError for an id that no binding has, and for a key that would mean two things in one place."""
    known = sorted({b.id for bindings in scopes.values() for b in bindings if b.id})
    for name in keys:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or known[:8]
            raise ConfigError(f"keys: nothing is called {name!r}; there are {', '.join(near)}")
    for bindings in scopes.values():
        taken: dict[str, str] = {}
        for binding in bindings:
            for key in keys.get(binding.id or "", binding.key).split(","):
                other = taken.setdefault(key.strip(), binding.id or "")
                if other != binding.id and (binding.id in keys or other in keys):
                    raise ConfigError(f"keys: {key.strip()!r} would mean both {other} and {binding.id}")
