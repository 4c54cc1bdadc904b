"""The lines of a list of any length, drawn one at a time: a row looks the same for as long as it says the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Protocol

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar
from textual.strip import Strip

from ebtop.ui.cells import GUTTER, LEAST_LAST, Cell, Heading, fitting, padded
from ebtop.ui.still import Still

_MOST_STRIPS = 2000


class Model(Protocol):
    """What a table shows. Models are replaced, never changed. With `live_at_top` news come in above, else below. A
    model may say that it is `lasting`: a row that has the same key in a later model then looks the same there."""

    @property
    def live_at_top(self) -> bool: ...

    @property
    def headings(self) -> Sequence[Heading]: ...

    def __len__(self) -> int: ...

    def key(self, row: int) -> Hashable:
        """What tells this row from others, also in later models."""
        ...

    def find(self, key: Hashable) -> int | None:
        """The row of a key, or one near it; None when there is none."""
        ...

    def cells(self, row: int, keys: Sequence[str]) -> Sequence[Cell]:
        """The cells of a row in the columns of those keys."""
        ...


def _alike(one: Strip | None, other: Strip) -> bool:
    return one is other or one == other


def _thumb(lines: int, rows: int, window: int, position: float) -> tuple[int, int] | None:
    """Where a scrollbar's thumb begins and how long it is, in the eighths of a line it is drawn in; None when all rows
    are on the screen. As Textual's ScrollBarRender works it out."""
    if not window or rows <= window:
        return None
    long = max(1, window * lines / rows)
    return int((lines - long) * position / (rows - window) * 8), math.ceil(long * 8)


class RowLines(Still, ScrollView):
    """The heading and the rows of a model, those of the cursor and of the scrollbar's place as they are. Where both are
    is for subclasses to say."""

    DEFAULT_CSS = """
    RowLines {
        width: 1fr; height: 1fr; overflow-x: hidden; overflow-y: scroll;
        scrollbar-size-vertical: 1;
        & > .table--heading { color: $text-muted; text-style: bold; }
        & > .table--cursor { color: $block-cursor-foreground; background: $block-cursor-background; text-style: bold; }
        & > .table--dim { color: $text-disabled; }
        & > .table--warn { color: $warning; }
        & > .table--accent { color: $accent; }
        & > .table--trend { color: $primary 75%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--heading",
        "table--cursor",
        "table--dim",
        "table--warn",
        "table--accent",
        "table--trend",
    }

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name for it
        super().__init__(id=id)
        self._model: Model | None = None
        self._cursor = 0
        self._strips: dict[tuple[Hashable, bool], Strip] = {}  # by row, and whether the cursor is on it
        self._said: dict[tuple[bool, tuple[Cell, ...]], Strip] = {}  # the same by what the row says
        self._said_in: list[tuple[Heading, int]] = []
        self._seen: dict[int, Strip] = {}  # what was drawn last, by line
        self._fitting: tuple[tuple[Model, int, str, int], list[tuple[Heading, int]]] | None = None
        self._thumb: tuple[int, int] | None = None  # the scrollbar's, as it was drawn last
        self._measured: tuple[tuple[Size, bool], int] | None = None
        self._tones: dict[tuple[str, bool], Style] = {}  # asking for styles on every line is dear
        self.keep_heading = ""
        self.least_last = LEAST_LAST

    @property
    def _base(self) -> Style:
        return self._toned("", selected=False)

    @property
    def _width(self) -> int:
        """Cells of a line beside the scrollbar, 0 while the table has no place on the screen. Textual works it out from
        its place, borders and scrollbars whenever it is asked, which is for each line more than once."""
        for_what = self.outer_size, self.show_vertical_scrollbar
        if self._measured is None or self._measured[0] != for_what:
            width = self.scrollable_content_region.width
            self._measured = (for_what, width) if width else None
            return width
        return self._measured[1]

    @property
    def _top(self) -> int:
        """The row on the first line below the heading."""
        return round(self.scroll_y)

    def _columns(self) -> list[tuple[Heading, int]]:
        if self._model is None:
            return []
        for_what = self._model, self._width, self.keep_heading, self.least_last
        if self._fitting is None or self._fitting[0] != for_what:
            self._fitting = for_what, fitting(self._model.headings, *for_what[1:])
        return self._fitting[1]

    def _may_keep(self, model: Model) -> bool:
        """Whether what was drawn of the rows before is also what the new model's rows of those keys look like."""
        lasting = getattr(model, "lasting", False) and len(self._strips) < _MOST_STRIPS
        return lasting and self._model is not None and list(model.headings) == list(self._model.headings)

    def _forget_rows(self) -> None:
        """Rows of those keys may look another way; one that says the same as any that was drawn since the last time
        looks the same."""
        columns = self._columns()
        drawn = {id(strip) for strip in self._strips.values()}
        self._said = {k: s for k, s in self._said.items() if id(s) in drawn} if columns == self._said_in else {}
        self._said_in = columns
        self._strips.clear()

    def _redraw(self) -> None:
        """What was drawn does not count any more."""
        for drawn in (self._strips, self._said, self._seen, self._tones):
            drawn.clear()

    def notify_style_update(self) -> None:
        """Colours have changed."""
        super().notify_style_update()
        self._redraw()

    def _refresh_changed(self) -> None:
        """Have those lines drawn that do not look as they did: each is work, and goes to the terminal."""
        width, height = self.size
        if len(self._seen) < height:
            self.refresh()
            return
        changed = [y for y in range(height) if not _alike(self._seen.get(y), self._line(y))]
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def _set_length(self, rows: int) -> None:
        """The scrollbar is always there: setting `virtual_size` would lay the whole screen out anew."""
        self.set_reactive(ScrollView.virtual_size, Size(0, rows + 1))

    def _place_bar(self) -> None:
        """Tell the scrollbar. Textual would draw it anew for each number, though that of a long list looks the same."""
        bar, rows = self.vertical_scrollbar, self.virtual_size.height
        bar.set_reactive(ScrollBar.window_virtual_size, rows)
        bar.set_reactive(ScrollBar.position, self.scroll_y)
        looks = _thumb(self.size.height, rows, bar.window_size, self.scroll_y)
        if looks != self._thumb:
            self._thumb = looks
            bar.refresh()

    def lines_anew(self, crop: Region) -> list[Strip]:
        """Every line as it is drawn: around each, Textual would look for borders, padding and effects that a table has
        not, which takes longer than the line itself."""
        width, background = self.size.width, self.background_colors[1]
        lines = [self.render_line(y).adjust_cell_length(width, self._base) for y in crop.line_range]
        for by in self.get_line_filters():
            lines = [line.apply_filter(by, background) for line in lines]
        return [line.crop(*crop.column_span) for line in lines] if crop.width != width else lines

    def render_line(self, y: int) -> Strip:
        """The heading, then a row a line."""
        self._seen[y] = strip = self._line(y)
        return strip

    def _line(self, y: int) -> Strip:
        width = self._width
        if y == 0:
            return self._heading_strip().adjust_cell_length(width, self._base)
        row = self._top + y - 1
        if self._model is None or row >= len(self._model):
            return Strip.blank(width, self._base)
        cached = (self._model.key(row), row == self._cursor)
        if cached not in self._strips:
            self._strips[cached] = self._row_strip(row)
        return self._strips[cached]

    def _heading_strip(self) -> Strip:
        style = self.get_component_rich_style("table--heading")
        accent = self.get_component_rich_style("table--accent")
        segments = [Segment(" " * GUTTER, style)]
        for heading, width in self._columns():
            text = padded(heading.title + heading.mark, width, heading.right)
            segments += [Segment(text, accent if heading.mark else style), Segment(" ", style)]
        return Strip(segments)

    def _row_strip(self, row: int) -> Strip:
        assert self._model is not None  # noqa: S101  asked only for rows of the model
        cells = self._model.cells(row, [heading.key for heading, _ in self._columns()])
        said = (row == self._cursor, tuple(cells))
        if said not in self._said:
            strip = self._strip(cells, selected=row == self._cursor)
            self._said[said] = strip.adjust_cell_length(self._width, self._base)
        return self._said[said]

    def foot(self, cells: Callable[[Sequence[str]], Sequence[Cell]]) -> Strip:
        """A line that is no row, in the columns of the rows; `cells` gives its cells by the columns' keys."""
        found = cells([heading.key for heading, _ in self._columns()])
        return self._strip(found, selected=False).adjust_cell_length(self._width, self._base)

    def _strip(self, cells: Sequence[Cell], selected: bool) -> Strip:
        """One segment for all that is drawn alike: each costs its escape sequences."""
        columns = self._columns()
        text, base = "› " if selected else "  ", self._toned("", selected)
        style = base
        segments = []
        for cell, (heading, width) in zip(cells, columns, strict=True):
            tone = self._toned(cell.tone, selected)
            if tone is not style:
                segments.append(Segment(text, style))
                text, style = "", tone
            text += padded(cell.text, width, heading.right, heading.middle)
            if style is not base:
                segments.append(Segment(text, style))
                text, style = "", base
            text += " "
        length = GUTTER + sum(width + 1 for _, width in columns)
        strip = Strip([*segments, Segment(text, style)], length)
        return strip.extend_cell_length(self.size.width, base) if selected else strip

    def _toned(self, tone: str, selected: bool) -> Style:
        key = ("" if selected and tone == "dim" else tone), selected
        if key not in self._tones:
            base = self.get_component_rich_style("table--cursor") if selected else self.rich_style
            self._tones[key] = self._tone(key[0], base)
        return self._tones[key]

    def _tone(self, tone: str, base: Style) -> Style:
        if not tone:
            return base
        toned = self.get_component_rich_style(f"table--{tone}")
        return base + Style(color=toned.color, bold=toned.bold, dim=toned.dim)
