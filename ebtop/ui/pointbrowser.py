"""Attach points: a line to search with, what is found, and what the one under the cursor hands over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ebtop.attachpoint import Point, spelt
from ebtop.sanitise import sanitise
from ebtop.tick import FoundPoints

_SETTLE_S = 0.15
"""A pattern is asked for when no key was typed for so long."""

_AT_FIRST = "tracepoint:*"
"""What is listed before anything is typed: the most stable kind. All kinds at once take capture a while."""

_ALL = "all"
_HINT = "Down to the list, Space marks several, Enter takes them, Esc leaves"
_PLACEHOLDER = "tcp connect    tracepoint:syscalls:*open*    uprobe:FILE:*name*    usdt:FILE:*"


class PointBrowser(ModalScreen[tuple[str, ...] | None]):
    """Gives the attach points that were chosen, or a pattern of many, None after Esc. `ask` takes a pattern; answers
    come by `refreshed`. `present` are those that are chosen already: others are marked beside them, or taken instead.
    """

    DEFAULT_CSS = """
    PointBrowser { align: center middle; background: $background 50%; }
    PointBrowser > Vertical { width: 116; max-width: 96%; height: 90%; background: $panel; border: round $border;
                              border-title-color: $accent; padding: 0 1; }
    PointBrowser Input { height: 1; border: none; padding: 0; background: $background; }
    PointBrowser #point-count { height: 1; color: $text-muted; }
    PointBrowser Horizontal { height: 1fr; }
    PointBrowser OptionList { width: 3fr; height: 1fr; background: $panel; border: none; padding: 0; text-wrap: nowrap;
                              text-overflow: ellipsis; scrollbar-size-vertical: 1; }
    PointBrowser OptionList:focus { border: none; }
    PointBrowser VerticalScroll { width: 2fr; height: 1fr; padding: 0 0 0 2; scrollbar-size-vertical: 1; }
    PointBrowser #point-hint { height: 1; color: $text-muted; }
    PointBrowser.-narrow Horizontal { layout: vertical; }
    PointBrowser.-narrow OptionList { width: 1fr; height: 2fr; }
    PointBrowser.-narrow VerticalScroll { width: 1fr; height: 1fr; padding: 0; border-top: solid $border; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", id="points.back"),
        Binding("space", "mark", "Mark", id="points.mark"),
        Binding("down", "enter_list", show=False, priority=True, id="points.list"),
        Binding("enter", "take", "Take", priority=True, id="points.take"),
    ]

    def __init__(self, ask: Callable[[str], object], pattern: str = "", present: Sequence[str] = ()) -> None:
        super().__init__()
        self.described: dict[str, tuple[Point, ...]] = {}  # what is known of what is marked and taken
        self._ask, self._pattern, self._present = ask, pattern, tuple(present)
        self._found = FoundPoints("", 0)
        self._marked: list[str] = []
        self._hurried = False  # Enter was pressed before what was typed had been looked up
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """The line, the list beside what is known of one, and what the keys do."""
        with Vertical() as box:
            box.border_title = "attach points"
            yield Input(self._pattern, placeholder=_PLACEHOLDER, select_on_focus=False, compact=True)
            yield Static("searching …", id="point-count")
            with Horizontal():
                yield OptionList()
                with VerticalScroll(can_focus=False):
                    yield Static(id="point-about")
            yield Static(
                f"Space adds to the {len(self._present)} chosen; {_HINT}" if self._present else _HINT, id="point-hint"
            )

    def on_mount(self) -> None:
        """Ask for what there is."""
        self.query_one(Input).focus()
        self._ask(self._wanted)

    def on_resize(self) -> None:
        """On a narrow screen one stands above the other."""
        self.set_class(self.app.size.width < 100, "-narrow")

    @property
    def _wanted(self) -> str:
        return self._typed_line or _AT_FIRST

    @property
    def _typed_line(self) -> str:
        return self.query_one(Input).value.strip()

    @property
    def _typing(self) -> bool:
        """Asked of the screen: the line itself is told a little later that the keyboard is no longer its."""
        return self.focused is self.query_one(Input)

    @property
    def _list(self) -> OptionList:
        return self.query_one(OptionList)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_SETTLE_S, lambda: self._ask(self._wanted))
        self._hurried = False

    def refreshed(self, found: FoundPoints | None) -> None:
        """An answer, perhaps that of a pattern that is typed over."""
        if found is not None and found is not self._found and found.pattern == self._wanted:
            self._found = found
            self._show()
            if self._hurried and len(found.points) == 1:
                self._take()
            self._hurried = False

    def _show(self) -> None:
        found = self._found
        shown = f", the first {len(found.points)} of them here" if len(found.points) < found.total else ""
        what = "match" if self._typed_line else "tracepoints; what is typed is looked for in every kind"
        self.query_one("#point-count", Static).update(sanitise(found.problem) or f"{found.total:,} {what}{shown}")
        rows = [Option(self._line(point), id=str(number)) for number, point in enumerate(found.points)]
        if self._is_glob and any(not point.refusal for point in found.points):
            rows.insert(0, Option(Text(f"  all {found.total:,} of them"), id=_ALL))
        self._list.clear_options().add_options(rows)
        self._list.highlighted = 0 if rows else None
        self._about()

    @property
    def _is_glob(self) -> bool:
        pattern = self._found.pattern
        return ":" in pattern and "*" in pattern and bool(self._typed_line)

    def _line(self, point: Point) -> Text:
        style = "dim" if point.refusal else ""
        line = Text("• " if str(point) in (self._marked or self._present) else "  ", style=style)
        line.append(f"{point.kind.value}:", "dim").append(sanitise(point.target))
        return line.append("  cannot be attached" if point.refusal else "")

    def _under_cursor(self) -> Point | None:
        place = self._list.highlighted
        option = None if place is None else self._list.get_option_at_index(place)
        return None if option is None or option.id in {None, _ALL} else self._found.points[int(option.id or 0)]

    @on(OptionList.OptionHighlighted)
    def _about(self) -> None:
        point = self._under_cursor()
        self.query_one("#point-about", Static).update(about(point) if point else "")

    def action_enter_list(self) -> None:
        """From the line into what was found: at once, what is typed next is meant for the list."""
        if not self._typing:
            raise SkipAction
        self.set_focus(self._list)

    def action_mark(self) -> None:
        """The one under the cursor, or no longer."""
        point, place = self._under_cursor(), self._list.highlighted
        if point is None or place is None or point.refusal:
            return
        self._marked = self._marked or list(self._present)
        (self._marked.remove if str(point) in self._marked else self._marked.append)(str(point))
        self.described[str(point)] = (point,)
        self._list.replace_option_prompt_at_index(place, self._line(point))
        marked = f"{len(self._marked)} marked; " if self._marked else ""
        self.query_one("#point-hint", Static).update(f"{marked}{_HINT}")
        self._list.action_cursor_down()

    def action_take(self) -> None:
        """In the line, go to the list; in the list, take what is chosen, as soon as it is that of the line."""
        if self._typing:
            self.action_enter_list()
        elif self._marked or self._found.pattern == self._wanted:
            self._take()
        else:
            self._hurried = True

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_take()

    def _take(self) -> None:
        point = self._under_cursor()
        if self._marked:
            self.dismiss(tuple(self._marked))
        elif not self._found.points:
            return
        elif point is None:
            pattern = spelt(self._found.pattern)
            self.described[pattern] = self._found.points
            self.dismiss((pattern,))
        elif not point.refusal:
            self.described[str(point)] = (point,)
            self.dismiss((str(point),))


def about(point: Point) -> Text:
    """What is known of a point: why it cannot be attached, what it hands over and returns."""
    text = Text()
    text.append(f"{sanitise(str(point))}\n", "bold")
    if point.refusal:
        text.append(f"cannot be attached: {sanitise(point.refusal)}\n")
    if point.arguments is None:
        return text.append("its arguments are not known\n", "dim")
    told = [(argument.name or "?", argument.type) for argument in point.arguments]
    told += [("returns", point.returns)] if point.returns else []
    width = max((len(name) for name, _ in told), default=0)
    for name, ctype in told:
        text.append(f"  {sanitise(name):<{width}}  ").append(f"{sanitise(ctype)}\n", "dim")
    return text
