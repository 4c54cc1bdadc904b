"""Cells and headings of tables, and how they share a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from ebtop.model.format import cut

GUTTER = 2
"""Columns left of the first cell, for the cursor's mark."""

LEAST_LAST = 16
"""The last column takes what is left, but no less than this (or its own width)."""


class Cell(NamedTuple):
    """A text that is safe to draw, and its tone: "" or one of dim, warn, accent, trend."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """A column of a table. `mark` is drawn behind the title; higher ranks go first when there is no room. Of texts that
    are too long `middle` leaves beginning and end."""

    key: str
    title: str
    width: int
    rank: int = 5
    right: bool = False
    mark: str = ""
    middle: bool = False

    @property
    def least(self) -> int:
        """The width that holds the title too."""
        return max(self.width, cell_len(self.title + self.mark))


def fitting(
    headings: Sequence[Heading], width: int, keep: str = "", least_last: int = LEAST_LAST
) -> list[tuple[Heading, int]]:
    """The headings that fit into `width`, and their widths; `keep` and the last stay. A column is whole or absent."""
    left = list(headings)
    while len(left) > 1:
        needed = GUTTER + sum(h.least for h in left[:-1]) + len(left) - 1 + min(left[-1].least, least_last)
        if needed <= width:
            break
        spare = [h for h in left[:-1] if h.key != keep] or left[:-1]
        left.remove(max(spare, key=lambda h: h.rank))
    rest = max(width - GUTTER - sum(h.least + 1 for h in left[:-1]), 1)
    if left and left[-1].right:  # a number at the far edge would stand away from its row
        rest = min(rest, left[-1].least)
    return [(h, h.least) for h in left[:-1]] + [(left[-1], rest)] if left else []


def padded(text: str, width: int, right: bool, middle: bool = False) -> str:
    """Exactly `width` cells; what is cut ends in an ellipsis, or has one in its middle. Wide characters count as 2."""
    plain = text.isascii()  # then each takes one cell: what is sanitised has no control characters
    size = len(text) if plain else cell_len(text)
    if size > width and middle and plain:
        return cut(text, width)
    if size > width:
        kept = width - 1 if width > 1 else width
        return (text[:kept] if plain else set_cell_size(text, kept)) + "…"[: width - kept]
    return " " * (width - size) + text if right else text + " " * (width - size)
