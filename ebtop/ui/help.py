"""`?`: what the pane shows, its columns, the keys, what was lost and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ebtop.model.snapshot import Snapshot, ToolSnapshot
from ebtop.sanitise import sanitise
from ebtop.ui.header import explanation


def key_lines(bindings: Sequence[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    """Keys and what they do; bindings are keys, description, tooltip."""
    for keys, description, tooltip in bindings:
        yield keys, tooltip or description


def help_text(tool: ToolSnapshot, snapshot: Snapshot, view_help: str, bindings: Sequence[tuple[str, str, str]]) -> Text:
    """All of it as one text."""
    text = Text()
    text.append(f"{tool.tool.name}: {tool.tool.title}\n", "bold").append(f"{tool.tool.help}\n")
    if tool.state.probes:
        text.append("\nprobes\n", "bold")
        text.append("".join(f"  {sanitise(probe)}\n" for probe in tool.state.probes))
    for attempt in tool.state.tried:
        text.append(f"  tried {sanitise(attempt.probe)}: {sanitise(attempt.error)}\n", "dim")
    text.append("\nlost, and what ebtop costs\n", "bold")
    text.append("\n".join(f"  {line}" for line in _losses(tool) + explanation(snapshot).plain.splitlines()) + "\n")
    if tool.tool.columns:
        text.append("\ncolumns (KEY in filters)\n", "bold")
        wide = max(12, *(len(column.key) + 1 for column in tool.tool.columns))
        titles = max(9, *(len(column.title) + 1 for column in tool.tool.columns))
        for column in tool.tool.columns:
            text.append(f"  {column.key:<{wide}}", "bold").append(f"{column.title:<{titles}}", "dim")
            text.append(f"{column.help}{' (in the details)' if column.hidden else ''}\n")
    text.append("\nkeys\n", "bold")
    for keys, meaning in key_lines(bindings):
        text.append(f"  {keys:<16}", "bold").append(f"{meaning}\n")
    return text.append("\n").append("\n\n".join(view_help.split("\n")))


def _losses(tool: ToolSnapshot) -> list[str]:
    if not any(tool.lost.values()):
        return [f"{tool.tool.name} lost nothing of {tool.events:,} events"]
    return [f"{tool.tool.name} had {tool.events:,} events; what was lost is not among them"]


class Help(ModalScreen[None]):
    """Shows the text; any of Esc, q, ? leaves it."""

    DEFAULT_CSS = """
    Help { align: center middle; background: $background 50%; }
    Help VerticalScroll { width: 96; max-width: 96%; height: 90%; background: $panel; border: round $border;
                          padding: 0 2; border-title-color: $accent; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", "Back", id="help.back"),
        Binding("j", "scroll('down')", show=False, id="help.down"),
        Binding("k", "scroll('up')", show=False, id="help.up"),
    ]

    def __init__(self, text: Text, title: str) -> None:
        super().__init__()
        self._text = text
        self._about = title

    def compose(self) -> ComposeResult:
        """One text that scrolls."""
        box = VerticalScroll(Static(self._text))
        box.border_title = self._about
        yield box

    def on_mount(self) -> None:
        """The arrows scroll."""
        self.query_one(VerticalScroll).focus()

    def action_scroll(self, where: str) -> None:
        """A line down or up."""
        self.query_one(VerticalScroll).scroll_relative(y=1 if where == "down" else -1, animate=False)
