"""A line of the screen that is drawn again only when what it says has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

from ebtop.ui.still import Still


class Line(Still, Widget):
    """One line. Subclasses say what it holds in `text(width)`."""

    DEFAULT_CSS = """
    Line {
        height: 1; width: 1fr; padding: 0 1;
        & > .line--dim { color: $text-muted; }
        & > .line--warn { color: $warning; text-style: bold; }
        & > .line--accent { color: $accent; }
        & > .line--good { color: $success; }
        & > .line--strong { text-style: bold; }
        & > .line--trend { color: $primary; }
        & > .line--chosen { color: $block-cursor-foreground; background: $block-cursor-background; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "line--dim",
        "line--warn",
        "line--accent",
        "line--good",
        "line--strong",
        "line--trend",
        "line--chosen",
    }
    TONES: ClassVar[tuple[str, ...]] = ("dim", "warn", "accent", "good", "strong", "trend", "chosen")

    _drawn: tuple[tuple[int, str], Text] | None = None
    _styles: tuple[str, Mapping[str, Style]] | None = None

    def text(self, width: int) -> Text:
        """What the line says in so many cells."""
        raise NotImplementedError

    @property
    def styles_by_tone(self) -> Mapping[str, Style]:
        """The theme's styles for parts; only the chosen one brings its own background."""
        if self._styles is None or self._styles[0] != self.app.theme:
            self._styles = self.app.theme, self._styles_now()
        return self._styles[1]

    def _styles_now(self) -> Mapping[str, Style]:
        found = {tone: self.get_component_rich_style(f"line--{tone}") for tone in self.TONES}
        return {t: s if t == "chosen" else Style(color=s.color, bold=s.bold, dim=s.dim) for t, s in found.items()}

    def render_line(self, y: int) -> Strip:
        """The line, without what Textual does for texts that may be selected, wrapped and aligned."""
        del y
        where = self._where
        if self._drawn is None or self._drawn[0] != where:
            self._drawn = where, self.text(where[0])
        base = self.rich_style
        segments = self._drawn[1].render(self.app.console)
        return Strip(Segment.apply_style(segments, base)).adjust_cell_length(where[0], base)

    def changed(self) -> None:
        """What it says may have changed: draw it again if so."""
        if self.is_mounted:
            now = self._where, self.text(self.content_size.width)
            if self._drawn != now:
                self._drawn = now
                self.refresh()

    @property
    def _where(self) -> tuple[int, str]:
        return self.content_size.width, self.app.theme
