"""How frames are called on the screen: safe, short where there is little room, marked where they are the kernel's."""

from __future__ import annotations

import re
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

from ebtop.model.stacktree import PROCESS
from ebtop.sanitise import sanitise
from ebtop.tick import Frame

USER_EDGE, KERNEL_EDGE = "▏", "▌"
"""What a frame begins with: it parts neighbours, and says whose code it is without colour."""


@lru_cache(maxsize=20_000)
def name_of(frame: Frame) -> str:
    """A frame's name, safe to draw."""
    return sanitise(frame.name) or "[unknown]"


@lru_cache(maxsize=2_000)
def module_of(frame: Frame) -> str:
    """The file that a frame's code is from, without its folders, safe to draw."""
    if frame.module == PROCESS:
        return ""
    return sanitise(frame.module.rstrip("/").rsplit("/", 1)[-1]) or ("kernel" if frame.kernel else "")


def percent(part: int, whole: int) -> str:
    """A share: `41 %`, `9.3 %`, `<0.1 %`."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.1:
        return "<0.1 %"
    return f"{share:.0f} %" if share >= 9.95 or share == 0 else f"{share:.1f} %"


@lru_cache(maxsize=4_000)
def shortened(name: str, width: int) -> str:
    """A function's name in at most `width` cells: without arguments, then without scopes, then cut.

    "" where only a few letters would be left.
    """
    if cell_len(name) <= width:
        return name
    shorter = _shorter(name)
    whole = next((text for text in shorter if text and cell_len(text) <= width), None)
    if whole is not None or width < 7:
        return whole or ""
    cut = set_cell_size(shorter[-1] or name, width - 1).rstrip()
    word = cut.rfind("_")  # rather a whole word less than half of one more
    return (cut[: word + 1] if word > len(cut) // 2 else cut) + "…"


def _shorter(name: str) -> list[str]:
    """The name without arguments; without template arguments as well; without scopes as well."""
    bare = re.sub(r"(?<!operator)(?<=[\w>)])\(.*", "", name)
    plain = _without_template_arguments(bare).removeprefix("::")
    return [bare, plain, plain.rsplit("::", 1)[-1]]


def _without_template_arguments(name: str) -> str:
    """The name without what stands in `<...>`, in one go however deep they are nested; without partners they stay."""
    kept: list[str] = []
    opened: list[int] = []
    for char in name:
        kept.append(char)
        if char == "<":
            opened.append(len(kept) - 1)
        elif char == ">" and opened:
            del kept[opened.pop() :]
    return "".join(kept)
