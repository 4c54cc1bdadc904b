"""Bars and a heat map that share their rows: latency upwards, the newest tick at the right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from ebtop.model.format import NOTHING, count, duration
from ebtop.model.heat import Columns, columns, covering, densities, levels, merge_columns, rows
from ebtop.model.percentiles import Counts, Floats, Summary
from ebtop.tool import Buckets
from ebtop.ui.cells import padded

SHADES = "·▁▂▃▄▅▆▇█"
_EIGHTHS = "▏▎▍▌▋▊▉█"
_AXIS, _MARK, _COUNT, _GAP = 7, 5, 8, 2
_LEAST_BAR, _MOST_BAR = 10, 48


def amount(buckets: Buckets, value: float) -> str:
    """A value of the histogram with its unit; `-` for none."""
    if buckets.unit == "ns":
        return duration(value)
    return NOTHING if math.isnan(value) else f"{count(round(value))} {buckets.unit}".rstrip()


def bar(value: float, largest: float, width: int) -> str:
    """A bar of eighths of a cell; what is not nothing is seen."""
    if value == 0 or largest == 0:
        return " " * width
    eighths = max(round(value * width * 8 / largest), 1)
    whole, part = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[part - 1] if part else "")).ljust(width)


@dataclass(frozen=True)
class Picture:
    """What is drawn: the histogram of the window, and one per tick (ticks x buckets), oldest first.

    `starts` and `ends` are the ticks' times (Unix ns). With `newest_only` the map has a column for each tick.
    """

    buckets: Buckets
    counts: Counts
    summary: Summary
    by_tick: Counts
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    newest_only: bool

    @cached_property
    def span(self) -> tuple[int, int] | None:
        """The lowest and the highest bucket that hold anything; None when all are empty."""
        filled = np.flatnonzero(self.by_tick.sum(axis=0) + self.counts)
        return (int(filled[0]), int(filled[-1])) if len(filled) else None

    @property
    def floor(self) -> int:
        """The bucket of the lowest hundredth of all ticks: what lies below it needs no rows of its own."""
        cumulated = np.cumsum(self.by_tick.sum(axis=0))
        return int(np.searchsorted(cumulated, cumulated[-1] // 100, "right")) if len(self.by_tick) else 0


@dataclass(frozen=True, slots=True)
class Picked:
    """A cell of the map: ticks `first` to `last` (exclusive), buckets `low` to `high` (exclusive), what is in it."""

    first: int
    last: int
    low: int
    high: int
    count: int
    of: int


@dataclass(frozen=True)
class _Layout:
    starts: npt.NDArray[np.intp]
    first: int  # the row of the lowest latency that is drawn
    shown: int
    bar_width: int
    columns: Columns
    cells: Counts
    shades: npt.NDArray[np.uint8]
    folded: Counts
    lengths: Floats


class Chart(Widget, can_focus=True):
    """Draws a Picture. The cursor is a time and a latency: it stays with its second while the map moves on."""

    DEFAULT_CSS = """
    Chart {
        width: 1fr; height: 1fr;
        & > .chart--axis { color: $foreground 65%; }
        & > .chart--bar { color: $primary 85%; }
        & > .chart--mark { color: $accent; text-style: bold; }
        & > .chart--none { color: $foreground 25%; }
        & > .chart--few { color: $primary 45%; }
        & > .chart--some { color: $primary 65%; }
        & > .chart--many { color: $primary; }
        & > .chart--cursor { color: $block-cursor-foreground; background: $block-cursor-background; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"chart--{part}" for part in ("axis", "bar", "mark", "none", "few", "some", "many", "cursor")
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1, 0)", "Earlier", show=False, id="heat.earlier"),
        Binding("right", "move(1, 0)", "Later", show=False, id="heat.later"),
        Binding("up", "move(0, 1)", "Slower", show=False, id="heat.slower"),
        Binding("down", "move(0, -1)", "Faster", show=False, id="heat.faster"),
        Binding("home", "move(-100000, 0)", "Oldest", show=False, id="heat.oldest"),
        Binding("end", "move(100000, 0)", "Newest", show=False, id="heat.newest"),
    ]

    class PickedCell(Message):
        """Another cell is chosen, or none."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name for it
        super().__init__(id=id)
        self.picture: Picture | None = None
        self.empty = ""
        self._layout_now: _Layout | None = None
        self._at: tuple[int, int] | None = None  # the cursor: a tick's start (Unix ns), a bucket

    def set_picture(self, picture: Picture) -> None:
        """Draw this."""
        self.picture = picture
        self._lay_out()

    def on_resize(self) -> None:
        """Rows and columns are of this screen."""
        self._lay_out()

    def _lay_out(self) -> None:
        self.refresh()
        picture, (width, height) = self.picture, self.size
        self._layout_now = None
        if picture is None or picture.span is None or height < 2 or width < 30:
            return
        low, high = picture.span
        starts = rows(picture.buckets, low, high, height - 1, picture.floor)
        shown = min(covering(starts, low, high), height - 1)
        first = int(np.searchsorted(starts, high, "right")) - shown
        room = width - _AXIS - _MARK - _COUNT - _GAP
        bar_width = min(max(room // 4, _LEAST_BAR), _MOST_BAR)
        cols = columns(picture.starts, room - bar_width, picture.newest_only)
        cells = np.add.reduceat(merge_columns(picture.by_tick, cols.starts), starts, axis=1)
        folded = np.add.reduceat(picture.counts, starts)
        lengths = densities(picture.buckets, starts, folded)
        self._layout_now = _Layout(starts, first, shown, bar_width, cols, cells, levels(cells), folded, lengths)

    @property
    def ticks_each(self) -> int:
        """How many ticks a column of the map stands for."""
        return self._layout_now.columns.ticks_each if self._layout_now else 1

    # The cursor

    def _cell(self) -> tuple[int, int] | None:
        """The cursor as column and row, both from 0 (the row of the lowest latency)."""
        drawn, picture = self._layout_now, self.picture
        if drawn is None or picture is None or self._at is None or not len(drawn.columns.starts):
            return None
        times = [picture.starts[i] for i in drawn.columns.starts.tolist()]
        column = max(int(np.searchsorted(times, self._at[0], "right")) - 1, 0)
        row = int(np.searchsorted(drawn.starts, self._at[1], "right")) - 1
        return column, min(max(row, drawn.first), drawn.first + drawn.shown - 1)

    def picked(self) -> Picked | None:
        """The cell of the cursor, if there is one."""
        cell, drawn, picture = self._cell(), self._layout_now, self.picture
        if cell is None or drawn is None or picture is None:
            return None
        column, row = cell
        ticks = [*drawn.columns.starts.tolist(), len(picture.starts)]
        edges = [*drawn.starts.tolist(), picture.buckets.count]
        within = drawn.cells[column]
        low, high = edges[row], edges[row + 1]
        return Picked(ticks[column], ticks[column + 1], low, high, int(within[row]), int(within.sum()))

    def _pick(self, column: int, row: int) -> None:
        drawn, picture = self._layout_now, self.picture
        if drawn is None or picture is None or not len(drawn.columns.starts):
            return
        column = min(max(column, 0), len(drawn.columns.starts) - 1)
        row = min(max(row, drawn.first), drawn.first + drawn.shown - 1)
        self._at = picture.starts[int(drawn.columns.starts[column])], int(drawn.starts[row])
        self.refresh()
        self.post_message(self.PickedCell())

    def action_move(self, by_columns: int, by_rows: int) -> None:
        """Move the cursor; the first time it comes to the slowest cell of the newest column."""
        cell = self._cell()
        if cell is not None:
            self._pick(cell[0] + by_columns, cell[1] + by_rows)
        elif self._layout_now is not None and len(self._layout_now.cells):
            filled = np.flatnonzero(self._layout_now.cells[-1])
            self._pick(len(self._layout_now.cells) - 1, int(filled[-1]) if len(filled) else 0)

    def action_unpick(self) -> None:
        """No cell any more."""
        self._at = None
        self.refresh()
        self.post_message(self.PickedCell())

    def on_click(self, event: events.Click) -> None:
        """Choose the cell under the mouse."""
        drawn = self._layout_now
        if drawn is None or event.y >= drawn.shown:
            return
        column = event.x - self._map_left(drawn)
        if 0 <= column < len(drawn.columns.starts):
            self._pick(column, drawn.first + drawn.shown - 1 - event.y)

    # Drawing

    def _map_left(self, drawn: _Layout) -> int:
        """Where the first column of the map is: the newest is at the right edge."""
        return self.size.width - len(drawn.columns.starts)

    def render_line(self, y: int) -> Strip:
        """A row, or below them the axis of time."""
        drawn, picture, width = self._layout_now, self.picture, self.size.width
        if drawn is None or picture is None:
            text = padded(f"  {self.empty}" if y == min(1, self.size.height - 1) else "", width, right=False)
            return Strip([Segment(text, self.get_component_rich_style("chart--axis"))])
        if y < drawn.shown:
            return Strip(self._row(drawn, picture, drawn.first + drawn.shown - 1 - y)).adjust_cell_length(width)
        if y == drawn.shown:
            return self._time_axis(drawn, picture).adjust_cell_length(width, self.rich_style)
        return Strip.blank(width, self.rich_style)

    def _row(self, drawn: _Layout, picture: Picture, row: int) -> list[Segment]:
        cell = self._cell()
        value = int(drawn.folded[row])
        part = self.get_component_rich_style
        axis = part("chart--cursor" if cell is not None and cell[1] == row else "chart--axis")
        number = part("chart--axis" if value else "chart--none")
        here = [
            Segment(padded(self._axis(drawn, picture, row), _AXIS, right=True), axis),
            Segment(padded(f" {self._mark(drawn, picture, row)}", _MARK, right=False), part("chart--mark")),
            Segment(bar(float(drawn.lengths[row]), float(drawn.lengths.max()), drawn.bar_width), part("chart--bar")),
            Segment(padded(count(value) if value else "·", _COUNT, right=True), number),
        ]
        used = _AXIS + _MARK + drawn.bar_width + _COUNT
        here.append(Segment(" " * (self._map_left(drawn) - used), self.rich_style))
        return here + self._map_row(drawn, row, cell)

    def _map_row(self, drawn: _Layout, row: int, cell: tuple[int, int] | None) -> list[Segment]:
        """Neighbours of one style in one segment."""
        tones = [self.get_component_rich_style(f"chart--{tone}") for tone in ("none", "few", "some", "many")]
        cursor = self.get_component_rich_style("chart--cursor") + Style(reverse=self.app.no_color)
        segments: list[Segment] = []
        for column, level in enumerate(drawn.shades[:, row].tolist()):
            style = tones[0 if level == 0 else 1 if level <= 2 else 2 if level <= 5 else 3]
            if cell == (column, row):
                style = cursor
            if segments and segments[-1].style is style:
                segments[-1] = Segment(segments[-1].text + SHADES[level], style)
            else:
                segments.append(Segment(SHADES[level], style))
        return segments

    def _axis(self, drawn: _Layout, picture: Picture, row: int) -> str:
        """Where a row begins; of one that begins at 0 and is not the lowest bucket, where it ends."""
        edges = [*drawn.starts.tolist(), picture.buckets.count]
        low, high = (float(picture.buckets.low[i]) for i in edges[row : row + 2])
        return amount(picture.buckets, low) if low or edges[row + 1] == 1 else f"<{amount(picture.buckets, high)}"

    def _mark(self, drawn: _Layout, picture: Picture, row: int) -> str:
        """The highest percentile that lies in a row."""
        edges = [*drawn.starts.tolist(), picture.buckets.count]
        low, high = (float(picture.buckets.low[edges[row + i]]) for i in (0, 1))
        values = (("p99", picture.summary.p99), ("p90", picture.summary.p90), ("p50", picture.summary.p50))
        return next((name for name, value in values if low <= value < high), "")

    def _time_axis(self, drawn: _Layout, picture: Picture) -> Strip:
        """How far back the map goes, and what a column is when it is not one tick."""
        left = self._map_left(drawn)
        style = self.get_component_rich_style("chart--axis")
        if not len(drawn.columns.starts):
            return Strip([])
        back = duration(picture.ends[-1] - picture.starts[int(drawn.columns.starts[0])])
        room = self.size.width - left
        each = f"{drawn.columns.ticks_each} ticks a column" if drawn.columns.ticks_each > 1 else ""
        begin, end = f"{back} ago", "now"
        if room < len(begin) + len(end) + 1:
            begin = ""
        middle = each if room >= len(begin) + len(end) + len(each) + 4 else ""
        line = begin + middle.center(room - len(begin) - len(end)) + end
        return Strip([Segment(" " * left, self.rich_style), Segment(line, style)])
