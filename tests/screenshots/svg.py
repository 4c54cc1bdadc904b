"""A terminal's screen as SVG: one rectangle per run of background, one text per run of one style."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple
from xml.sax.saxutils import escape

import pyte
from pyte.screens import Char

# DejaVu Sans Mono's advance and line height, in ems: blocks and lines of neighbouring cells then meet exactly.
SIZE = 14.0
WIDTH, HEIGHT, BASELINE = SIZE * 0.60205, SIZE * 1.1640625, SIZE * 0.928
FAMILY = "'DejaVu Sans Mono', 'Menlo', 'Consolas', monospace"
MARGIN = 10.0

# The 16 colours that programs name instead of giving them; pyte calls yellow brown.
_NAMED = {
    "black": "1c1c1c", "red": "d05c5c", "green": "6fae6f", "brown": "c9a554", "blue": "6a8fc8", "magenta": "b07fc0",
    "cyan": "5fb0b0", "white": "c8c8c8", "brightblack": "6c6c6c", "brightred": "f07878", "brightgreen": "8fd08f",
    "brightbrown": "e8c870", "brightblue": "8ab0f0", "brightmagenta": "d09fe0", "brightcyan": "80d8d8",
    "brightwhite": "ffffff",
}  # fmt: skip
FOREGROUND, BACKGROUND = "d8d8d8", "121212"


class Style(NamedTuple):
    """How a cell looks."""

    fg: str
    bg: str
    bold: bool
    italic: bool
    underline: bool


def _style(char: Char) -> Style:
    fg = _NAMED.get(char.fg, char.fg) if char.fg != "default" else FOREGROUND
    bg = _NAMED.get(char.bg, char.bg) if char.bg != "default" else BACKGROUND
    fg, bg = (bg, fg) if char.reverse else (fg, bg)
    return Style(fg, bg, char.bold, char.italics, char.underscore)


def _runs(screen: pyte.Screen, row: int) -> Iterator[tuple[int, str, Style]]:
    """Column, text and style of each run of cells that look alike; a wide character's second cell is empty."""
    cells = [screen.buffer[row][column] for column in range(screen.columns)]
    for style, group in groupby(enumerate(cells), key=lambda cell: _style(cell[1])):
        members = list(group)
        yield members[0][0], "".join(char.data or "\u200b" for _, char in members), style


def _rectangle(row: int, column: int, cells: int, colour: str) -> str:
    # A little wider and higher than its cells, as else the seams between neighbours show when it is scaled.
    x, y = MARGIN + column * WIDTH, MARGIN + row * HEIGHT
    width, height = cells * WIDTH + 0.3, HEIGHT + 0.3
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="#{colour}"/>'


def _text(row: int, column: int, text: str, style: Style) -> Iterator[str]:
    """Words of a run, each placed by its own column, so that a viewer's other font cannot shift what follows."""
    y = MARGIN + row * HEIGHT + BASELINE
    looks = f'fill="#{style.fg}"' + ' font-weight="bold"' * style.bold + ' font-style="italic"' * style.italic
    looks += ' text-decoration="underline"' * style.underline
    for blank, group in groupby(enumerate(text), key=lambda cell: cell[1] == " "):
        if blank:
            continue
        members = list(group)
        places = " ".join(f"{MARGIN + (column + offset) * WIDTH:.2f}" for offset, _ in members)
        word = "".join(char for _, char in members).replace("\u200b", "")
        yield f'<text x="{places}" y="{y:.2f}" {looks}>{escape(word)}</text>'


def render(screen: pyte.Screen, title: str) -> str:
    """The screen as a standalone SVG document."""
    width, height = 2 * MARGIN + screen.columns * WIDTH, 2 * MARGIN + screen.lines * HEIGHT
    behind: list[str] = []
    front: list[str] = []
    for row in range(screen.lines):
        for column, text, style in _runs(screen, row):
            if style.bg != BACKGROUND:
                behind.append(_rectangle(row, column, len(text), style.bg))
            front += _text(row, column, text, style)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}" font-family="{FAMILY}" font-size="{SIZE}">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="100%" height="100%" rx="6" fill="#{BACKGROUND}"/>'
    )
    return "\n".join([head, *behind, *front, "</svg>\n"])
