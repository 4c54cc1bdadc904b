"""Lines of parts: where there is no room for all, the least important go first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text


class Part(NamedTuple):
    """A piece of a line: safe text, its tone, and its rank (the highest goes first)."""

    text: str
    tone: str = ""
    rank: int = 0


def kept(left: Sequence[Part], right: Sequence[Part], width: int, between: int = 3) -> tuple[list[Part], list[Part]]:
    """The parts that fit into `width` cells with `between` cells after each; those of rank 0 always stay."""
    here, there = [p for p in left if p.text], [p for p in right if p.text]
    while sum(cell_len(p.text) + between for p in (*here, *there)) > width:
        worst = max((*here, *there), key=lambda p: p.rank)
        if worst.rank == 0:
            break
        (here if worst in here else there).remove(worst)
    return here, there


def line(
    left: Sequence[Part], right: Sequence[Part], width: int, styles: Mapping[str, Style], separator: str = " · "
) -> Text:
    """Left parts with separators between, right ones at the right edge; exactly one line."""
    here, there = kept(left, right, width, max(len(separator), 2))
    text = _joined(here, styles, separator)
    end = _joined(there, styles, "  " if width < 100 else "   ")
    text.append(" " * max(width - text.cell_len - end.cell_len, 1 if there else 0))
    text.append_text(end)
    text.truncate(width, overflow="ellipsis")
    return text


def _joined(parts: Sequence[Part], styles: Mapping[str, Style], separator: str) -> Text:
    text = Text(no_wrap=True, end="")
    for index, part in enumerate(parts):
        if index:
            text.append(separator, styles.get("dim", Style()))
        text.append(part.text, styles.get(part.tone, Style()))
    return text
