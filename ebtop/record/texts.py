"""Strings stored once and referred to by number, without ever keeping all of them in mind."""

from __future__ import annotations

from collections.abc import Iterable

Stored = str | bytes | int | float
"""As SQLite keeps it."""

_MOST, _MOST_BYTES = 100_000, 16 << 20


def stored(raw: bytes) -> str | bytes:
    """Bytes as TEXT where that gives the same bytes back in any program, else as BLOB."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return raw
    return raw if "\0" in text else text


def original(value: object) -> bytes:
    """The bytes of a stored string. Raises ValueError for anything else."""
    if type(value) is str:
        return value.encode("utf-8", "surrogateescape")
    if type(value) is bytes:
        return value
    raise ValueError("a text is neither text nor blob")


class Texts:
    """Hands out numbers. Those of strings that were met lately are remembered; when there are too many all are
    forgotten, and what comes again is stored again. `fresh` is what has to be stored."""

    def __init__(self) -> None:
        self.first = 1  # numbers below are not handed out any more
        self.fresh: list[tuple[int, Stored]] = []
        self._next = 1
        self._known: dict[bytes | int | float, int] = {}
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to forget."""
        return len(self._known) > _MOST or self._bytes > _MOST_BYTES

    def forget(self) -> None:
        """What was stored so far will not be referred to by what comes."""
        self.first = self._next
        self._known.clear()
        self._bytes = 0

    def numbers(self, values: Iterable[bytes | int | float]) -> list[int]:
        """A number for each value."""
        known = self._known
        return [known.get(value) or self._store(value) for value in values]

    def number(self, value: bytes | float) -> int:
        """A value's number."""
        return self._known.get(value) or self._store(value)

    def _store(self, value: bytes | float) -> int:
        number = self._next
        self._next += 1
        self._known[value] = number
        if isinstance(value, bytes):
            self._bytes += len(value)
            self.fresh.append((number, stored(value)))
        else:
            self.fresh.append((number, value))
        return number
