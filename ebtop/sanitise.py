"""The one door through which other people's strings reach a terminal."""

from __future__ import annotations

import unicodedata
from itertools import chain

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that move, hide or reorder what is shown: controls, bidi and zero-width marks, lone surrogates."""

_UNSEEN = frozenset(chain(
    (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),  # fillers and blanks that are letters or marks
    range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0),  # variation selectors
    range(0x1F1E6, 0x1F200), range(0x1F3FB, 0x1F400),  # flags' letters and skin tones: no two terminals agree on width
))  # fmt: skip
"""Characters that nobody sees, or that shift what follows by a cell here and not there."""

_MOST_JOINED = 6
"""Marks that one letter may carry: of real scripts Tibetan needs most. More of them paint over the lines around."""


def joins(char: str) -> bool:
    """Whether a character is drawn into the cell of the one before: marks, and the vowels of decomposed Hangul."""
    return unicodedata.category(char)[0] == "M" or "\u1160" <= char <= "\u11ff" or "\ud7b0" <= char <= "\ud7ff"


def _visible(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}.get(code, f"\\x{code:02x}")
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def sanitise(text: str) -> str:
    """`text` with every character that could act on a terminal written as an escape: ESC becomes `\\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    joined = 0
    for char in text:
        joined = joined + 1 if joins(char) else 0
        alone = joined > _MOST_JOINED or joined > len(shown)  # the first would join what is drawn before the text
        act = alone or unicodedata.category(char) in _HIDDEN or ord(char) in _UNSEEN
        shown.append(_visible(char) if act else char)
    return "".join(shown)
