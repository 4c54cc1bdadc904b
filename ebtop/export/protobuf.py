"""Writes protocol buffers (https://protobuf.dev/programming-guides/encoding/): what one message takes, and no more.

The protobuf package is not used: it would add a compiled library and a generated module, which has to be made anew for
each of its major versions, for two kinds of field that have not changed since 2008.
"""

from __future__ import annotations

from collections.abc import Iterable

_VARINT, _BYTES = 0, 2  # wire types
_64_BITS = (1 << 64) - 1


def varint(number: int) -> bytes:
    """A number, seven bits a byte; negative ones in two's complement, as int64 has them."""
    number &= _64_BITS
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def number(field: int, value: int) -> bytes:
    """A field that is a number; 0 is what a reader takes where there is none."""
    return varint(field << 3 | _VARINT) + varint(value) if value else b""


def block(field: int, content: bytes) -> bytes:
    """A field that is text in UTF-8, or a message."""
    return varint(field << 3 | _BYTES) + varint(len(content)) + content


def numbers(field: int, values: Iterable[int]) -> bytes:
    """A field of many numbers, packed."""
    return block(field, b"".join(map(varint, values)))
