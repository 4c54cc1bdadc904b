"""What is to be made of the hits of attach points: the mode, the filter and what else that mode takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Static

from ebtop.attachpoint import Argument, Point, PointKind
from ebtop.model.filtervalue import FilterError as TimeError
from ebtop.model.filtervalue import number
from ebtop.model.format import duration
from ebtop.probing import filter as filters
from ebtop.probing.plan import RESULT, Mode, Probing
from ebtop.sanitise import sanitise
from ebtop.tool import Column, Type
from ebtop.ui.picker import Picker

HOT = "--hot"
"""What a refusal of points that are hit very often ends with, as the command line would have it."""

_MODES = (
    (Mode.TRACE, "an event for each hit"),
    (Mode.COUNT, "how often each is hit"),
    (Mode.LATENCY, "how long calls take"),
    (Mode.DIST, "how an argument is distributed"),
    (Mode.STACK, "the stacks that lead there"),
)
_SLOWER = Column("slower than", "", Type.DURATION, "")
_FUNCTIONS = frozenset({PointKind.FENTRY, PointKind.KPROBE, PointKind.UPROBE})
_CALL = "syscalls:sys_enter_"
_HINT = "Enter attaches, Up/Down other fields, Left/Right choose, Esc leaves"
_HINT_POINTS = "Enter chooses other points, Up/Down other fields, Esc leaves"

Described = tuple[tuple[str, ...], tuple[Point, ...]]
"""Attach points or patterns of them as they are asked for, and what is known of those that they mean."""

Browse = Callable[[Callable[[Described], None], Sequence[str]], object]
"""Has points chosen beside or in place of those that are, and calls the function with them."""


class Points(Static, can_focus=True):
    """The attach points that are chosen."""

    DEFAULT_CSS = """
    Points { width: 1fr; height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    Points:focus { background: $background; }
    """


class ProbingForm(ModalScreen[Probing | None]):
    """Gives what is to be asked for, None after Esc. `browse` has other points chosen and hands them over. `refusal` is
    why what was asked for could not be."""

    DEFAULT_CSS = """
    ProbingForm { align: center middle; background: $background 50%; }
    ProbingForm > Vertical { width: 88; max-width: 96%; height: auto; max-height: 96%; background: $panel;
                             border: round $border; border-title-color: $accent; padding: 0 1; overflow-y: auto; }
    ProbingForm Horizontal { height: 1; }
    ProbingForm Horizontal > .label { width: 13; color: $text-muted; }
    ProbingForm Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    ProbingForm Input:focus { background: $background; }
    ProbingForm .-absent { display: none; }
    ProbingForm .note { color: $text-muted; height: auto; max-height: 4; margin: 1 0 0 0; }
    ProbingForm #refusal { color: $warning; height: auto; max-height: 6; margin: 1 0 0 0; }
    ProbingForm #form-hint { height: 1; color: $text-muted; margin: 1 0 0 0; }
    """
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", id="form.back"),
        Binding("enter", "done", "Attach", id="form.done"),
        Binding("down,tab", "app.focus_next", show=False, priority=True, id="form.down"),  # before what is typed next
        Binding("up,shift+tab", "app.focus_previous", show=False, priority=True, id="form.up"),
    ]

    def __init__(self, asked: Probing, points: Sequence[Point], browse: Browse, refusal: str = "") -> None:
        super().__init__()
        self._asked, self._points, self._browse = asked, tuple(points), browse
        self._refusal = refusal

    def compose(self) -> ComposeResult:
        """A line for each field, what is known of the points, what is wrong, and what the keys do."""
        asked = self._asked
        with Vertical() as box:
            box.border_title = "attach"
            yield from _row("points", Points(id="points"))
            yield from _row("mode", Picker([(mode.value, about) for mode, about in _MODES], asked.mode, id="mode"))
            yield from _row("value", Picker([], id="picked"))
            yield from _row("value", _Line(asked.value, "the name of an argument, or retval", "value"))
            slower = duration(asked.slower_than_ns).replace(" ", "") if asked.slower_than_ns else ""
            yield from _row(
                "slower than", _Line(slower, "10ms makes an event of each call that takes longer", "slower")
            )
            yield from _row("filter", _Line(asked.filter, 'all; or count > 0x1000 && comm == "sh"', "filter"))
            strings = " ".join(asked.strings)
            yield from _row("strings", _Line(strings, "arguments that are strings though nothing says so", "strings"))
            hot = [("no", ""), ("yes", "attach, however often they are hit")]
            yield from _row("anyway", Picker(hot, "yes" if asked.hot else "no", id="hot"))
            yield Static(id="known", classes="note")
            yield Static(id="refusal")
            yield Static(_HINT, id="form-hint")

    def on_mount(self) -> None:
        """Begin where something has to be changed, else with the mode."""
        self._show_points()
        self.query_one("#picked", Picker).pick(self._asked.value)
        self._show_fields()
        self._say(self._refusal)
        if self._refusal:
            self._go_to_blame(self._refusal)
        else:
            self.query_one("#mode").focus()

    def describe(self, points: Sequence[Point]) -> None:
        """What is known by now of the points that are chosen."""
        self._points = tuple(points)
        self._show_points()
        self._show_fields()

    def take(self, described: Described) -> None:
        """Other points; how often they are hit is not known yet."""
        chosen, self._points = described
        self._asked = replace(self._asked, points=chosen, hot=False)
        self.query_one("#hot", Picker).pick("no")
        self._refusal = ""
        self._show_points()
        self._show_fields()
        self._say("")
        self.query_one("#mode").focus()

    @property
    def chosen(self) -> tuple[str, ...]:
        """The points."""
        return self._asked.points

    @property
    def _mode(self) -> Mode:
        return Mode(self.query_one("#mode", Picker).value)

    def _show_points(self) -> None:
        points = self._asked.points
        more = f"  and {len(points) - 1} more" if len(points) > 1 else ""
        self.query_one("#points", Points).update(Text(f"{sanitise(points[0])}{more}", no_wrap=True))
        values = list(_values(self._points))
        self.query_one("#picked", Picker).offer(values)
        told = ", ".join(dict.fromkeys(str(argument) for argument in _arguments(self._points)))
        known = self.query_one("#known", Static)
        known.update(Text.assemble(("arguments  ", "bold"), sanitise(told or "none are known")))

    def _show_fields(self) -> None:
        """Only those that matter."""
        mode, pickable = self._mode, bool(list(_values(self._points)))
        self._present("picked", mode is Mode.DIST and pickable)
        self._present("value", mode is Mode.DIST and not pickable)
        self._present("slower", mode is Mode.LATENCY)
        self._present("hot", self._asked.hot or HOT in self._refusal)

    def _present(self, name: str, present: bool) -> None:
        row = self.query_one(f"#{name}").parent
        if isinstance(row, Widget):
            row.set_class(not present, "-absent")

    def _say(self, refusal: str) -> None:
        said = (
            sanitise(refusal)
            .replace("--slower-than", "slower than")
            .replace(f"{HOT} to go on", "attach anyway")
            .replace("--", "")
        )
        line = self.query_one("#refusal", Static)
        line.update(Text(said))
        line.display = bool(said)

    def _go_to_blame(self, refusal: str) -> None:
        """To the field that is named in why it could not be."""
        named = {HOT: "hot", "--filter": "filter", "--slower": "slower", "argument": self._value_field}
        field = next((field for word, field in named.items() if word in refusal), "mode")
        widget = self.query_one(f"#{field}")
        if widget.parent is not None and isinstance(widget.parent, Widget) and widget.parent.has_class("-absent"):
            widget = self.query_one("#mode")
        widget.focus()

    @property
    def _value_field(self) -> str:
        return "picked" if list(_values(self._points)) else "value"

    @on(Picker.Changed, "#mode")
    def _mode_changed(self) -> None:
        """Another mode costs something else at each hit."""
        if self._asked.hot:
            self._asked = replace(self._asked, hot=False)
            self.query_one("#hot", Picker).pick("no")
        self._show_fields()

    def on_descendant_focus(self) -> None:
        """Enter means another thing on the points."""
        on_points = isinstance(self.focused, Points)
        self.query_one("#form-hint", Static).update(_HINT_POINTS if on_points else _HINT)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_done()

    def action_done(self) -> None:
        """Hand over what is there, or say what is wrong with it."""
        if isinstance(self.focused, Points):
            self._browse(self.take, self._asked.points)
            return
        try:
            self.dismiss(self._made())
        except filters.FilterError as error:
            self._refuse("filter", f"filter: {error}")
        except TimeError as error:
            self._refuse("slower", str(error))
        except LookupError:
            self._refuse("value", f"value: which argument? Its name, or {RESULT} for what is returned")

    def _refuse(self, field: str, why: str) -> None:
        self._say(why)
        self.query_one(f"#{field}").focus()

    def _made(self) -> Probing:
        """Raises FilterError, TimeError for what is no time, LookupError without a value where there has to be one."""
        mode, typed = self._mode, {line.id: line.value.strip() for line in self.query(Input)}
        filters.parse(typed["filter"])
        value = self.query_one("#picked", Picker).value or typed["value"] if mode is Mode.DIST else ""
        if mode is Mode.DIST and not value:
            raise LookupError
        slower = max(int(number(_SLOWER, False, typed["slower"] or "0")), 0) if mode is Mode.LATENCY else 0
        strings = tuple(typed["strings"].replace(",", " ").split())
        hot = self.query_one("#hot", Picker).value == "yes"
        return Probing(self._asked.points, mode, typed["filter"], value, slower, strings, hot)


class _Line(Input):
    """A line to type in, that ends at nothing that is typed."""

    def __init__(self, value: str, placeholder: str, name: str) -> None:
        super().__init__(value, placeholder=placeholder, select_on_focus=False, compact=True, id=name)


def _row(label: str, field: Widget) -> Iterator[Widget]:
    yield Horizontal(Static(label, classes="label"), field)


def _arguments(points: Sequence[Point]) -> Iterator[Argument]:
    for point in points:
        yield from (argument for argument in point.arguments or () if argument.name.lstrip("_") == argument.name != "")


def _values(points: Sequence[Point]) -> Iterator[tuple[str, str]]:
    """What can have a distribution: what is returned first, then arguments that are numbers, with their types."""
    returns = [point.returns for point in points if point.kind in _FUNCTIONS or point.target.startswith(_CALL)]
    if returns and "void" not in returns:
        yield RESULT, next(filter(None, returns), "what is returned")
    found = {argument.name: argument.type for argument in _arguments(points)}
    yield from ((name, ctype) for name, ctype in found.items() if "*" not in ctype and "[" not in ctype)
