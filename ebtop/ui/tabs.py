"""The line of panes with their keys."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.message import Message

from ebtop.model.snapshot import Snapshot
from ebtop.tick import Phase
from ebtop.tool import Tool
from ebtop.ui.line import Line


class Tabs(Line):
    """Names the panes; marks the shown one, those that failed (×) and those that lost something (▲)."""

    DEFAULT_CSS = """
    Tabs { background: $panel; }
    """

    class Chosen(Message):
        """A click on a pane's name."""

        def __init__(self, tool: str) -> None:
            super().__init__()
            self.tool = tool

    def __init__(self, tools: Sequence[Tool], keys: Sequence[str]) -> None:
        super().__init__(id="tabs")
        self._tools = tuple(tools)
        self._keys = tuple(keys)
        self._current = ""
        self._marks: dict[str, str] = {}

    def show(self, current: str, snapshot: Snapshot | None) -> None:
        """Say which pane is shown and how the others stand."""
        self._current = current
        for name, part in snapshot.tools.items() if snapshot else ():
            failed = part.state.phase is Phase.FAILED
            self._marks[name] = " ×" if failed else " ▲" if any(part.lost.values()) else ""
        self.changed()

    def on_click(self, event: events.Click) -> None:
        """Go to the pane under the mouse."""
        x = 1
        for tool, label in self._labels(self.content_size.width):
            if x <= event.x < x + cell_len(label):
                self.post_message(self.Chosen(tool.name))
                return
            x += cell_len(label)

    def _labels(self, width: int) -> list[tuple[Tool, str]]:
        """What fits, the shown pane always among it; names are cut before panes are left out."""
        found = [
            (t, f" {k} {t.name}{self._marks.get(t.name, '')} ") for t, k in zip(self._tools, self._keys, strict=True)
        ]
        if sum(cell_len(label) for _, label in found) <= width:
            return found
        cut = [(t, label if t.name == self._current else f" {label.split()[0]} {t.name[:4]} ") for t, label in found]
        while len(cut) > 1 and sum(cell_len(label) for _, label in cut) > width:
            del cut[-1 if cut[-1][0].name != self._current else 0]
        return cut

    def text(self, width: int) -> Text:
        """The line."""
        styles = self.styles_by_tone
        text = Text(no_wrap=True, end="")
        for tool, label in self._labels(width):
            chosen = tool.name == self._current
            start = len(text)
            text.append(label, styles["chosen"] if chosen else "")
            if not chosen:
                text.stylize(styles["accent"], start + 1, start + 1 + len(label.split()[0]))
            if label.endswith(("× ", "▲ ")):
                text.stylize(styles["warn"], len(text) - 2, len(text))
        rest = width - text.cell_len
        if rest >= 14:
            text.append(": commands".rjust(rest), styles["dim"])
        text.truncate(width)
        return text
