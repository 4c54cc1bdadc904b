"""The time that is held: when there was activity, which moment is shown, and a click to go there."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual import events
from textual.message import Message

from ebtop.model.activity import Moment, Scale
from ebtop.model.format import duration
from ebtop.ui.line import Line

_BARS = " ▁▂▃▄▅▆▇█"
_HEAD = "time "
_LEAST = 8


class TimeBar(Line):
    """Draws the shown tool's activity over all that is held, and the keys that move in it."""

    DEFAULT_CSS = """
    TimeBar { color: $text-muted; }
    """

    class Chosen(Message):
        """A click on a time (Unix ns)."""

        def __init__(self, moment: int) -> None:
            super().__init__()
            self.moment = moment

    def __init__(self) -> None:
        super().__init__(id="timebar")
        self._activity: Sequence[Moment] = ()
        self._at: int | None = None
        self._end = ""

    def show(self, activity: Sequence[Moment], at: int | None, end: str = "End now") -> None:
        """Draw the activity of what there is; `at` is the moment that is shown, None for now; `end` what End does."""
        self._activity, self._at, self._end = activity, at, end
        self.changed()

    def _label(self) -> str:
        span = duration(self._activity[-1].end - self._activity[0].end)
        return f"[ back  ] on  {self._end}  {span}" if self._at is not None else f"[ back  {span}"

    def _scale(self, width: int) -> Scale | None:
        """None where there is no room, or nothing to draw."""
        room = width - len(_HEAD) - len(self._label()) - 2 if len(self._activity) > 1 else 0
        return Scale.of(self._activity, room) if room >= _LEAST else None

    def text(self, width: int) -> Text:
        """The line; only its label where there is little room."""
        text = Text(no_wrap=True, end="")
        if len(self._activity) < 2:
            return text
        scale = self._scale(width)
        if scale:
            text.append(_HEAD)
            self._draw(text, scale)
            text.append(" " * (width - text.cell_len - len(self._label())))
        text.append(self._label())
        text.truncate(width)
        return text

    def _draw(self, text: Text, scale: Scale) -> None:
        bars = "".join(_BARS[level] for level in scale.levels(self._activity))
        if self._at is None:
            text.append(bars)
            return
        shown = scale.cell(self._at)
        text.append(bars[:shown], self.styles_by_tone["accent"])
        text.append(bars[shown].replace(" ", "│"), self.styles_by_tone["chosen"])
        text.append(bars[shown + 1 :])

    def on_click(self, event: events.Click) -> None:
        """Go to the time under the mouse."""
        scale, cell = self._scale(self.content_size.width), event.x - 1 - len(_HEAD)
        if scale and 0 <= cell < scale.count:
            self.post_message(self.Chosen(min(scale.end(cell), max(moment.end for moment in self._activity))))
