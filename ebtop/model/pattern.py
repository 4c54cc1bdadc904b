"""Regular expressions that the user types and that are held against strings that attackers choose.

RE2 looks once at each byte. Python's own engine tries again and again: one path that was made for it keeps it busy
for years, and as it lets no other thread run meanwhile, the screen with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_MOST_MEMORY = 1 << 20
_SAID = 80


class PatternError(ValueError):
    """What was typed is no regular expression; the reason in a few words."""


def searcher(pattern: str, ignore_case: bool) -> Callable[[str], bool]:
    """A function that tells whether the pattern is found in a text. Raises PatternError."""
    import re2  # only who types a regular expression waits for it

    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.max_mem = _MOST_MEMORY
    options.log_errors = False  # it would write on the terminal
    try:
        search: Callable[[bytes], Any] = re2.compile(_bytes(pattern), options).search
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise PatternError(said if len(said) <= _SAID else f"{said[:_SAID]}…") from None
    return lambda text: search(_bytes(text)) is not None


def _bytes(text: str) -> bytes:
    """The bytes that the kernel gave; half a character that came from elsewhere is three bytes that nothing matches."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
