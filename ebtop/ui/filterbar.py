"""The line above a stream: what is shown of how much; while a filter is typed, its input and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from ebtop.model.filter import FilterError
from ebtop.sanitise import sanitise
from ebtop.ui.line import Line

_SETTLE_S = 0.15
"""A filter is applied when no key was typed for so long."""


class _Status(Line):
    """What is shown, left, and of how much, right."""

    def __init__(self) -> None:
        super().__init__(id="filter-status")
        self._parts = ("", "")

    def show(self, status: str, count: str) -> None:
        """Say something else; both texts are safe to draw."""
        self._parts = status, count
        self.changed()

    def text(self, width: int) -> Text:
        """The count keeps its room."""
        status, count = self._parts
        line = Text(status, no_wrap=True, overflow="ellipsis")
        line.truncate(max(width - cell_len(count) - 2, 0), overflow="ellipsis")
        return line.append(" " * max(width - line.cell_len - cell_len(count), 1)).append(count)


class FilterBar(Horizontal):
    """Shows `status` left and `count` right; `edit` opens the input. `check` raises FilterError for a wrong filter."""

    DEFAULT_CSS = """
    FilterBar { height: 1; width: 1fr; }
    FilterBar #filter-status { width: 1fr; height: 1; color: $text-muted; padding: 0 2; }
    FilterBar #filter-prompt { width: auto; height: 1; color: $accent; padding: 0 1 0 2; display: none; }
    FilterBar Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; display: none; }
    FilterBar #filter-error { width: auto; max-width: 60%; height: 1; color: $warning; padding: 0 1; display: none; }
    FilterBar.-editing #filter-status { display: none; }
    FilterBar.-editing #filter-prompt, FilterBar.-editing Input, FilterBar.-editing #filter-error { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear", "Clear the filter", id="filter.clear"),
        Binding("enter", "done", "Done", id="filter.done", priority=True),
    ]

    class Changed(Message):
        """A filter that means something was typed; "" means none."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """The input is gone."""

    def __init__(self, check: Callable[[str], object]) -> None:
        super().__init__()
        self._check = check
        self._applied = ""

    def compose(self) -> ComposeResult:
        """The status, and the input in its place."""
        yield _Status()
        yield Static("filter", id="filter-prompt")
        yield Input(placeholder="comm~nginx err!=0 lat>5ms path~^/etc", select_on_focus=False, compact=True)
        yield Static(id="filter-error")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Its keys count while a filter is typed."""
        del parameters
        return self.has_class("-editing") if action in {"clear", "done"} else True

    def edit(self, text: str) -> None:
        """Open the input with a filter."""
        self._applied = text
        self.add_class("-editing")
        box = self.query_one(Input)
        box.value = text
        box.cursor_position = len(text)
        self._say("")
        box.focus()

    def show_status(self, status: str, count: str) -> None:
        """Set the line; both texts are safe to draw."""
        self.query_one(_Status).show(status, count)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say at once what is wrong, apply what is right a moment later."""
        event.stop()
        if not self.has_class("-editing"):
            return
        try:
            self._check(event.value)
        except FilterError as error:
            self._say(str(error))
        else:
            self._say("")
            self.set_timer(_SETTLE_S, lambda: self._apply(event.value))

    def action_clear(self) -> None:
        """Esc: no filter."""
        self._close()
        self.post_message(self.Changed(""))

    def action_done(self) -> None:
        """Enter: keep the filter, if it means something."""
        text = self.query_one(Input).value
        try:
            self._check(text)
        except FilterError as error:
            self._say(str(error))
            return
        self._close()
        self._applied = text
        self.post_message(self.Changed(text))

    def _apply(self, text: str) -> None:
        """Apply what was typed, unless more was typed since."""
        if self.has_class("-editing") and self.query_one(Input).value == text != self._applied:
            self._applied = text
            self.post_message(self.Changed(text))

    def _say(self, error: str) -> None:
        self.query_one("#filter-error", Static).update(Text(sanitise(error), no_wrap=True, overflow="ellipsis"))

    def _close(self) -> None:
        self.remove_class("-editing")
        self.post_message(self.Closed())
