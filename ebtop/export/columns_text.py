"""Lines of cells under a header, for a stream whose later widths are not known yet."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ebtop.model.format import RIGHT_ALIGNED
from ebtop.sanitise import joins
from ebtop.tool import Column

_GAP = 1


def shown_width(text: str) -> int:
    """How many cells of a terminal sanitised text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if joins(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def cut(line: str, width: int | None) -> str:
    """The line, ended by an ellipsis where it would not fit."""
    if width is None or shown_width(line) <= width:
        return line
    if line.isascii():
        return line[: max(width - 1, 0)] + "…"
    kept, used = [], 0
    for char in line:
        used += shown_width(char)
        if used > width - 1:
            break
        kept.append(char)
    return "".join(kept) + "…"


def fitting(columns: Sequence[Column], width: int | None) -> list[Column]:
    """The columns that a screen of that width has room for: those of the highest rank go first, one stays."""
    left = list(columns)
    while width is not None and len(left) > 1 and sum(c.width + _GAP for c in left) - _GAP > width:
        # Of equals the rightmost goes.
        left.remove(max(reversed(left), key=lambda column: column.rank))
    return left


class Layout:
    """Where columns begin and end. A cell that is too long pushes the next ones only as far as it must."""

    def __init__(self, columns: Sequence[Column]) -> None:
        widths = [max(column.width, len(column.title)) for column in columns]
        starts = [sum(widths[:i]) + i * _GAP for i in range(len(columns))]
        right = [column.type in RIGHT_ALIGNED for column in columns]
        self._places = [(start, start + width if is_right else 0) for start, width, is_right
                        in zip(starts, widths, right, strict=True)]  # fmt: skip

    def line(self, cells: Sequence[str]) -> str:
        """One line, without spaces at its end."""
        line, at = "", 0
        for (start, end), cell in zip(self._places, cells, strict=True):
            size = shown_width(cell)
            place = max(start, end - size, at + _GAP if at else 0)
            line += " " * (place - at) + cell
            at = place + size
        return line.rstrip()
