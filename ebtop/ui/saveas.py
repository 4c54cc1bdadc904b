"""In which format, and under which name: a list and a line to type in, on top of the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

_WIDTH = 64
"""An option is one line of at most so many cells."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A format, what it is, and what a file of it would be called."""

    format: str
    about: str
    file: str


class SaveAs(ModalScreen[tuple[str, str] | None]):
    """Gives a format and the name of a file, None after Esc."""

    DEFAULT_CSS = """
    SaveAs { align: center middle; background: $background 50%; }
    SaveAs > Vertical { width: 72; max-width: 95%; height: auto; max-height: 90%; background: $panel;
                        border: round $border; padding: 0 1; overflow-y: auto; }
    SaveAs Static { color: $text-muted; }
    SaveAs Horizontal { height: 1; }
    SaveAs Horizontal > Static { width: auto; padding: 0 1 0 2; }
    SaveAs Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    SaveAs Input:focus { background: $background; }
    SaveAs OptionList { height: auto; background: $panel; border: none; padding: 0; margin: 1 0; text-wrap: nowrap;
                        text-overflow: ellipsis; }
    SaveAs OptionList:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", id="export.back"),
        Binding("j", "down", show=False, id="export.down"),
        Binding("k", "up", show=False, id="export.up"),
    ]

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._title = title
        self._choices = {choice.format: choice for choice in choices}
        self._suggested = choices[0].file

    def compose(self) -> ComposeResult:
        """A title, the list, the file, and what the keys do."""
        width = max(map(len, self._choices))
        with Vertical():
            yield Static(Text(self._title))
            yield OptionList(*(Option(_line(c, width), id=c.format) for c in self._choices.values()))
            with Horizontal():
                yield Static("file")
                yield Input(self._suggested, select_on_focus=False, compact=True)
            yield Static("  Enter writes it, Tab goes to its name, Esc leaves")

    def on_mount(self) -> None:
        """Begin with the first format."""
        self.query_one(OptionList).highlighted = 0
        self.query_one(OptionList).focus()

    @property
    def _list(self) -> OptionList:
        return self.query_one(OptionList)

    def _chosen(self) -> str:
        return list(self._choices)[self._list.highlighted or 0]

    def action_down(self) -> None:
        """The next one."""
        self._list.action_cursor_down()

    def action_up(self) -> None:
        """The one before."""
        self._list.action_cursor_up()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """A name that nobody has typed goes with the format."""
        event.stop()
        box = self.query_one(Input)
        file = self._choices[event.option.id or ""].file
        if box.value == self._suggested:
            box.value = file
            box.cursor_position = len(file)
        self._suggested = file

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    def _done(self, event: OptionList.OptionSelected | Input.Submitted) -> None:
        event.stop()
        self.dismiss((self._chosen(), self.query_one(Input).value))


def _line(choice: Choice, width: int) -> Text:
    line = Text("  ")
    line.append(choice.format.ljust(width)).append(f"  {choice.about}", style="dim")
    line.truncate(_WIDTH, overflow="ellipsis")
    return line
