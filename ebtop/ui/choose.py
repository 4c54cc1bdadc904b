"""A list to choose one thing from, on top of the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

_WIDTH = 52
"""An option is one line of at most so many cells."""


class Choose(ModalScreen[str | None]):
    """Gives the key of what was chosen, None after Esc. `options` are keys, names and explanations."""

    DEFAULT_CSS = """
    Choose { align: center middle; background: $background 50%; }
    Choose > Vertical { width: 60; max-width: 95%; height: auto; max-height: 90%; background: $panel;
                        border: round $border; padding: 0 1; }
    Choose Static { color: $text-muted; }
    Choose OptionList { height: auto; max-height: 20; background: $panel; border: none; padding: 0; }
    Choose OptionList:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Back", id="choose.back"),
        Binding("j", "down", show=False, id="choose.down"),
        Binding("k", "up", show=False, id="choose.up"),
    ]

    def __init__(self, title: str, options: Sequence[tuple[str, str, str]], current: str = "") -> None:
        super().__init__()
        self._title = title
        self._options = tuple(options)
        self._current = current

    def compose(self) -> ComposeResult:
        """A title and the list."""
        with Vertical():
            yield Static(Text(self._title))
            width = max((len(name) for _, name, _ in self._options), default=0)
            yield OptionList(*(Option(self._line(o, width), id=o[0]) for o in self._options))

    def on_mount(self) -> None:
        """Begin at what is chosen now."""
        keys = [key for key, _, _ in self._options]
        self.query_one(OptionList).highlighted = keys.index(self._current) if self._current in keys else 0

    def _line(self, option: tuple[str, str, str], width: int) -> Text:
        key, name, explanation = option
        line = Text("• " if key == self._current else "  ")
        line.append(name.ljust(width)).append(f"  {explanation}", style="dim")
        line.truncate(_WIDTH, overflow="ellipsis")
        return line

    def action_down(self) -> None:
        """The next one."""
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        """The one before."""
        self.query_one(OptionList).action_cursor_up()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Chosen."""
        event.stop()
        self.dismiss(event.option.id)
