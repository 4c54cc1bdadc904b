"""Reads numbers from bytes that anyone may have made, with bounds."""

from __future__ import annotations

import struct

_MOST_LEB = 10
"""Bytes of a number of 64 bits."""


class BytesError(Exception):
    """There are fewer bytes than what is to be read takes, or a number has too many."""


class Bytes:
    """Bytes, read from the front. Everything raises BytesError when too little is left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    @property
    def left(self) -> int:
        """How many bytes have not been read."""
        return len(self._data) - self.position

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if not 0 <= count <= self.left:
            raise BytesError("unwind tables are cut")
        self.position += count
        return self._data[self.position - count : self.position]

    def number(self, kind: str) -> int:
        """A little-endian number of a format of `struct`."""
        return int(struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0])

    def unsigned(self, size: int) -> int:
        """A number of `size` bytes without a sign."""
        return int.from_bytes(self.take(size), "little")

    def uleb(self) -> int:
        """A number in LEB128."""
        return self._leb()[0]

    def sleb(self) -> int:
        """A number in LEB128 with a sign."""
        value, bits, negative = self._leb()
        return value - (1 << bits) if negative else value

    def _leb(self) -> tuple[int, int, bool]:
        value = 0
        for index in range(_MOST_LEB):
            byte = self.unsigned(1)
            value |= (byte & 0x7F) << (7 * index)
            if not byte & 0x80:
                return value, 7 * index + 7, bool(byte & 0x40)
        raise BytesError("a number of too many bytes")

    def until_zero(self) -> bytes:
        """The bytes up to a NUL, which is taken, too."""
        end = self._data.find(b"\0", self.position)
        if end < 0:
            raise BytesError("unwind tables are cut")
        found = self.take(end - self.position)
        self.take(1)
        return found
