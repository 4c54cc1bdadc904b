"""Names in formats that are UTF-8 and have no escapes of their own."""

from __future__ import annotations

import re

UNNAMED = "[unnamed]"
"""What stands for an empty name, which readers would leave out or take for a fault."""

_NO_TEXT = re.compile(r"[\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def escaped(text: str) -> str:
    """The text with what is no UTF-8, breaks a line or controls a terminal as an escape, and no byte of it lost:
    `\\n` becomes `\\x0a`, a byte that was no UTF-8 `\\xff`, a backslash two."""
    return _NO_TEXT.sub(lambda match: escape(match[0]), text)


def escape(char: str) -> str:
    """One character as an escape."""
    code = ord(char)
    if char == "\\":
        return "\\\\"
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"
