"""What stays as it is while other parts of the screen change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from textual.geometry import Region
from textual.strip import Strip

if TYPE_CHECKING:
    from textual.widget import Widget as _Widget
else:
    _Widget = object  # Textual takes styles and keys from the first widget among a class's bases


class Still(_Widget):
    """Stands before the other bases of a widget. Whenever lines change, Textual asks all widgets between the first
    and the last of them for all of their lines: this one answers with what it said before, until it is refreshed."""

    _rendered: tuple[Region, list[Strip]] | None = None

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines."""
        if self._rendered is None or self._rendered[0] != crop:
            self._rendered = crop, self.lines_anew(crop)
        return self._rendered[1]

    def lines_anew(self, crop: Region) -> list[Strip]:
        """What the lines look like now."""
        return super().render_lines(crop)

    def refresh(self, *regions: Region, **how: Any) -> Self:
        """Say something new."""
        self._rendered = None
        return super().refresh(*regions, **how)

    def notify_style_update(self) -> None:
        """Colours have changed."""
        self._rendered = None
        super().notify_style_update()

    def _set_dirty(self, *regions: Region) -> None:
        """What Textual itself calls where it refreshes something."""
        self._rendered = None
        super()._set_dirty(*regions)
