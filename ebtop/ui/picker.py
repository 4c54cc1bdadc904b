"""One of a few things, on one line: left and right go through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from ebtop.sanitise import sanitise


class Picker(Widget, can_focus=True):
    """`options` are values with an explanation each; `value` is the one that is shown, "" where there is none."""

    DEFAULT_CSS = """
    Picker { height: 1; width: 1fr; }
    Picker:focus { background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "The one before", show=False, id="picker.previous"),
        Binding("right,space", "step(1)", "The next", show=False, id="picker.next"),
    ]

    class Changed(Message):
        """Another one is picked."""

        def __init__(self, picker: Picker) -> None:
            super().__init__()
            self.picker = picker

        @property
        def control(self) -> Picker:
            """Which was changed."""
            return self.picker

    def __init__(self, options: Sequence[tuple[str, str]], value: str = "", *, id: str) -> None:  # noqa: A002  Textual's
        super().__init__(id=id)
        self._options = tuple(options)
        self._place = 0
        self.pick(value)

    @property
    def value(self) -> str:
        """What is picked."""
        return self._options[self._place][0] if self._options else ""

    def pick(self, value: str) -> None:
        """Show this one, if it is among them."""
        values = [option for option, _ in self._options]
        self._place = values.index(value) if value in values else 0
        self.refresh()

    def offer(self, options: Sequence[tuple[str, str]]) -> None:
        """Others from now on; what is picked stays if it is among them."""
        value = self.value
        self._options = tuple(options)
        self.pick(value)

    def action_step(self, by: int) -> None:
        """The next one, or the one before; behind the last comes the first."""
        if self._options:
            self._place = (self._place + by) % len(self._options)
            self.refresh()
            self.post_message(self.Changed(self))

    def on_click(self, event: events.Click) -> None:
        """The next one; at the left edge the one before."""
        self.action_step(-1 if event.x == 0 else 1)

    def render(self) -> Text:
        """The one that is picked between what moves on from it, and what it is."""
        if not self._options:
            return Text("-", style="dim")
        value, about = self._options[self._place]
        text = Text("‹ ", style="dim", no_wrap=True, overflow="ellipsis")
        text.append(sanitise(value), "bold not dim").append(" ›").append(f"  {sanitise(about)}")
        return text
