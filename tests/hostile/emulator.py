"""A terminal that remembers all that could be done to it."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pyte
from pyte import modes

from ebtop.sanitise import joins

OWN = re.compile(rb"\x1b\[[<=>][0-9;]*[a-z]|\x1b\[\?[0-9;]*\$p|\x1b\]22;[a-z]+\x07")
"""What Textual says about the keyboard, the mouse's shape and what the terminal can do; pyte takes it for something
else."""


class Screen(pyte.Screen):
    """Keeps what is sent back, and rings that nobody would hear."""

    bells = 0
    answers = ""

    def bell(self, *_args: Any) -> None:
        """Count it."""
        self.bells += 1

    def write_process_input(self, data: str) -> None:
        """What the terminal would type, on its own, into the shell."""
        self.answers += data

    def draw(self, data: str) -> None:
        """A character at a time, as pyte forgets what follows one that takes no cell; those are left out."""
        for char in data:
            if not joins(char):
                super().draw(char)


class Emulator:
    """Takes bytes as a terminal does; `state` is everything about it but the text on it."""

    def __init__(self, columns: int, rows: int, utf8: bool = True) -> None:
        self.screen = Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        if not utf8:
            self._stream.select_other_charset("@")

    def feed(self, data: bytes) -> None:
        """Draw."""
        self._stream.feed(OWN.sub(b"", data))

    @property
    def state(self) -> dict[str, Any]:
        """Title, modes, cursor, charsets, tab stops, margins, size, bells, answers."""
        s, c = self.screen, self.screen.cursor
        return {
            "title": (s.title, s.icon_name),
            "modes": frozenset(s.mode - {modes.DECTCEM}),
            "cursor": (c.x, c.y, c.hidden),
            "attributes": c.attrs._replace(data=" "),
            "charsets": (s.charset, s.g0_charset, s.g1_charset),
            "tabstops": frozenset(s.tabstops),
            "margins": s.margins,
            "size": (s.columns, s.lines),
            "saved": len(s.savepoints),
            "bells": s.bells,
            "answers": s.answers,
        }

    def lines(self) -> list[str]:
        """What is read on it, without marks."""
        return list(self.screen.display)


def acting(text: str) -> str:
    """The characters of a text that act on a terminal, move or hide what is shown; "" if it is safe to draw."""
    return "".join(c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
