"""A text of several parts in one scroll, some lines of which lead on: the cursor goes from one of these to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

GUTTER = 2
"""Columns left of the text, for the cursor's mark."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the sheet. `text` gives it for a width, in styles named by tone; `leads` says that it is one line that
    can be chosen. Parts with equal `content` look alike."""

    key: str
    content: object
    text: Callable[[int], Text]
    leads: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    key: str
    leads: bool
    text: Text


class Sheet(ScrollView, can_focus=True):
    """Shows parts."""

    DEFAULT_CSS = """
    Sheet {
        width: 1fr; height: 1fr; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1;
        & > .sheet--cursor { color: $block-cursor-foreground; background: $block-cursor-background; text-style: bold; }
        & > .sheet--dim { color: $text-muted; }
        & > .sheet--warn { color: $warning; }
        & > .sheet--accent { color: $accent; }
        & > .sheet--strong { text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "sheet--cursor",
        "sheet--dim",
        "sheet--warn",
        "sheet--accent",
        "sheet--strong",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="sheet.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="sheet.down"),
        Binding("pageup,b", "page(-1)", "Page up", show=False, id="sheet.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="sheet.page_down"),
        Binding("home", "edge(-1)", "Top", show=False, id="sheet.first"),
        Binding("end,G", "edge(1)", "Bottom", show=False, id="sheet.last"),
        Binding("enter", "choose", "Open", id="sheet.choose", tooltip="Go to the line's process or tool"),
    ]

    class Moved(Message):
        """The cursor is on another line."""

    class Chosen(Message):
        """Enter, or a click on a line that leads on."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name for it
        super().__init__(id=id)
        self._parts: Sequence[Part] = ()
        self._lines: list[_Line] = []
        self._laid_out: tuple[int, list[tuple[str, object]]] | None = None
        self._taken = False  # the user has moved the cursor: it is to stay where it is on the screen
        self.cursor = ""

    def set_parts(self, parts: Sequence[Part]) -> None:
        """Show other parts. The cursor stays on its line, and that where it is on the screen; until the user has moved
        it, it is on the first one, as parts may come in after others that stand below them."""
        self._parts = parts
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width - GUTTER
        now = width, [(part.key, part.content) for part in self._parts]
        if width < 1 or now == self._laid_out:
            return
        before = self._place
        self._laid_out = now
        self._lines = [line for part in self._parts for line in self._lines_of(part, width)]
        self._tell_length()
        place = self._place
        if not (self._taken or self.scroll_y):
            self.cursor = self._nearest(0)
        elif place is None:
            self.cursor = self._nearest(before or 0)
        elif before is not None:
            self._scroll(round(self.scroll_y) + place - before)
        self.refresh()

    def _nearest(self, place: int) -> str:
        """The line that leads on nearest to a line that is not there any more."""
        leading = [(abs(n - place), line.key) for n, line in enumerate(self._lines) if line.leads]
        return min(leading, default=(0, ""))[1]

    def _tell_length(self) -> None:
        """Tell the scrollbar, which is always there: setting `virtual_size` would lay the whole screen out anew."""
        self.set_reactive(ScrollView.virtual_size, Size(0, len(self._lines)))
        self.vertical_scrollbar.window_virtual_size = len(self._lines)
        if round(self.scroll_y) > self._last_top:
            self._scroll(self._last_top)

    def _lines_of(self, part: Part, width: int) -> list[_Line]:
        text = part.text(width)
        if part.leads:
            text.truncate(width, overflow="ellipsis")
            return [_Line(part.key, True, text)]
        return [_Line(part.key, False, line) for line in text.wrap(self.app.console, width, overflow="fold")]

    @property
    def _place(self) -> int | None:
        """The line of the cursor."""
        return next((n for n, line in enumerate(self._lines) if line.leads and line.key == self.cursor), None)

    @property
    def _last_top(self) -> int:
        return max(len(self._lines) - max(self.size.height, 1), 0)

    def _scroll(self, top: int) -> None:
        self.scroll_target_y = self.scroll_y = min(max(top, 0), self._last_top)

    def action_move(self, by: int) -> None:
        """To the next line that leads on, if it is near; else on by a line of text."""
        top, page, place = round(self.scroll_y), max(self.size.height, 1), self._place
        ways = range(place + by, len(self._lines) if by > 0 else -1, by) if place is not None else range(0)
        near = next((n for n in ways if self._lines[n].leads), None)
        if near is None or not top - 1 <= near <= top + page:
            self._scroll(top + by)
            self.refresh()
            return
        self.cursor = self._lines[near].key
        self._scroll(min(max(top, near - page + 1), near))
        self._moved()

    def action_page(self, pages: int) -> None:
        """By what is seen at once; the cursor comes along."""
        self._to(round(self.scroll_y) + pages * max(self.size.height - 1, 1))

    def action_edge(self, end: int) -> None:
        """To the first line, or the last."""
        self._to(self._last_top if end > 0 else 0, last=end > 0)

    def _to(self, top: int, last: bool = False) -> None:
        self._scroll(top)
        top = round(self.scroll_y)
        seen = [line.key for line in self._lines[top : top + max(self.size.height, 1)] if line.leads]
        if seen:
            self.cursor = seen[-1 if last else 0]
        self._moved()

    def _moved(self) -> None:
        self._taken = True
        self.refresh()
        self.post_message(self.Moved())

    def action_choose(self) -> None:
        """Tell that the line is chosen."""
        if self._place is not None:
            self.post_message(self.Chosen(self.cursor))

    def on_click(self, event: events.Click) -> None:
        """A line that leads on is followed."""
        row = round(self.scroll_y) + event.y
        if row < len(self._lines) and self._lines[row].leads:
            self.cursor = self._lines[row].key
            self._moved()
            self.action_choose()

    def on_resize(self) -> None:
        """Lines break elsewhere now."""
        self._lay_out()

    def notify_style_update(self) -> None:
        """Colours have changed."""
        super().notify_style_update()
        self._styles_by_tone = {}

    _styles_by_tone: dict[str, Style] = {}  # noqa: RUF012  replaced, never changed in place

    def _toned(self, tone: str) -> Style:
        if tone not in self._styles_by_tone:
            style = self.get_component_rich_style(f"sheet--{tone}")
            plain = style if tone == "cursor" else Style(color=style.color, bold=style.bold, dim=style.dim)
            self._styles_by_tone = {**self._styles_by_tone, tone: plain}
        return self._styles_by_tone[tone]

    def render_line(self, y: int) -> Strip:
        """A line of the text, marked where the cursor is."""
        width, base = self.scrollable_content_region.width, self.rich_style
        row = round(self.scroll_y) + y
        if row >= len(self._lines):
            return Strip.blank(width, base)
        line = self._lines[row]
        chosen = line.leads and line.key == self.cursor
        style = base + self._toned("cursor") if chosen else base
        segments = [Segment("› " if chosen else "  ", style), *self._segments(line.text, style, chosen)]
        return Strip(segments).adjust_cell_length(width, style)

    def _segments(self, text: Text, base: Style, chosen: bool) -> list[Segment]:
        found, start = [], 0
        for span in sorted(text.spans):
            if span.start > start:
                found.append(Segment(text.plain[start : span.start], base))
            tone = str(span.style)
            quiet = chosen and tone in {"dim", "accent"}
            found.append(
                Segment(text.plain[span.start : span.end], base if quiet or not tone else base + self._toned(tone))
            )
            start = span.end
        return [*found, Segment(text.plain[start:], base)]
