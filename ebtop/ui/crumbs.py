"""The way to the page that is shown: `tool › bash deploy.sh 8801 › python 8944`; a click leads back."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.message import Message

from ebtop.ui.line import Line

_BETWEEN = " › "
_CUT = "…"


class Crumbs(Line):
    """Where there is no room for all, those after the first go, the oldest before the others."""

    DEFAULT_CSS = """
    Crumbs { background: $panel; }
    """

    class Chosen(Message):
        """A click on a place of the trail."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self) -> None:
        super().__init__(id="crumbs")
        self._names: Sequence[str] = ()
        self._note = ""

    def show(self, names: Sequence[str], note: str) -> None:
        """The names of the trail (safe to draw), and what is said at the right."""
        self._names, self._note = tuple(names), note
        self.changed()

    def _fitting(self, width: int) -> list[tuple[int, str]]:
        """Places and names; -1 for those that were left out."""
        found = list(enumerate(self._names))
        while len(found) > 2 and _length(found) > width:
            first = 2 if found[1][0] < 0 else 1
            if first == len(found) - 1:
                break
            found[1 : first + 1] = [(-1, _CUT)]
        return found

    def text(self, width: int) -> Text:
        """The line."""
        styles = self.styles_by_tone
        text = Text(no_wrap=True, end="")
        found = self._fitting(width)
        for place, name in found:
            last = place == len(self._names) - 1
            text.append(_BETWEEN if text else "", styles["dim"])
            text.append(name, styles["strong"] if last else styles["accent"] if place >= 0 else styles["dim"])
        rest = width - text.cell_len
        if rest > cell_len(self._note):
            text.append(self._note.rjust(rest), styles["dim"])
        text.truncate(width, overflow="ellipsis")
        return text

    def on_click(self, event: events.Click) -> None:
        """Go back to what is under the mouse."""
        x = 1
        for place, name in self._fitting(self.content_size.width):
            if x <= event.x < x + cell_len(name) and place >= 0:
                self.post_message(self.Chosen(place))
                return
            x += cell_len(name) + len(_BETWEEN)


def _length(found: Sequence[tuple[int, str]]) -> int:
    return sum(cell_len(name) for _, name in found) + len(_BETWEEN) * (len(found) - 1)
