"""Arguments as a command line that a shell (bash, zsh, ksh) reads back as exactly these arguments, and as no more.

What a person pastes is run at a newline, completed at a tab, edited by control characters, and expanded at `!` before
any quotes are looked at: none of these is ever in the text itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ebtop.sanitise import acting

_PLAIN = re.compile(r"[A-Za-z0-9_@+:,./-][A-Za-z0-9_@%+:,./-]*")
_RESERVED = frozenset({
    "if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac", "in", "select",
    "function", "time", "coproc", "foreach", "end", "repeat",
})  # fmt: skip
"""Words that begin something else than a command, unless they are quoted."""

_ENCODED = frozenset("'\\!")


def word(argument: str, *, first: bool = False) -> str:
    """One argument. Raises ValueError for what no argument can hold (a NUL)."""
    if "\0" in argument:
        raise ValueError("an argument with a NUL in it")
    if _PLAIN.fullmatch(argument) and not (first and argument in _RESERVED):
        return argument
    chars = list(acting(argument))
    if not any(act or char in _ENCODED for char, act in chars):
        return f"'{argument}'"
    return "$'" + "".join(_octal(char) if act or char in _ENCODED else char for char, act in chars) + "'"


def _octal(char: str) -> str:
    """Its bytes in three octal digits each: fewer, and hexadecimal ones, may run into what follows."""
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", errors))


def command_line(argv: Sequence[str], directory: str = "") -> str:
    """A command, in one line without an end; with a directory it is run there, and only if that is possible.

    Raises ValueError where there is no such line.
    """
    if not argv:
        raise ValueError("no arguments")
    if argv[0].startswith("%"):
        raise ValueError("a name that shells take for one of their jobs, even in quotes")
    line = " ".join(word(argument, first=place == 0) for place, argument in enumerate(argv))
    return f"(cd -- {word(directory)} && {line})" if directory else line
