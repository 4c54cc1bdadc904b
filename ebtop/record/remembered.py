"""Which numbers were given to which values of late: whole columns looked up at once, in a bounded table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ebtop.model.distinct import Codes, Keys, distinct

Numbers = npt.NDArray[np.int64]

_BITS = 16
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: keys that are small numbers fill the table evenly
_EMPTY = -1


class Remembered:
    """A direct-mapped table from keys to numbers (0 and up). Of two keys with one place the later one stays, so that a
    value may be asked for again, but never gets another's number."""

    def __init__(self) -> None:
        self._keys = np.zeros(1 << _BITS, np.uint64)
        self._numbers = np.full(1 << _BITS, _EMPTY, np.int64)

    def forget(self) -> None:
        """All of it."""
        self._numbers.fill(_EMPTY)

    def look_up(self, keys: Keys) -> tuple[Numbers, Codes, Codes, Codes]:
        """The number of each key; the rows without one, of these the first row of each distinct key, and for each of
        them which it has."""
        places = _places(keys)
        numbers = self._numbers[places]
        missing = np.flatnonzero((self._keys[places] != keys) | (numbers == _EMPTY))
        if not len(missing):
            return numbers, missing, missing, missing
        first, codes = distinct(keys[missing])
        return numbers, missing, missing[first], codes

    def learn(self, keys: Keys, numbers: Numbers) -> None:
        """From now on these."""
        places = _places(keys)
        self._keys[places] = keys
        self._numbers[places] = numbers


def _places(keys: Keys) -> Codes:
    return ((keys * _SPREAD) >> np.uint64(64 - _BITS)).astype(np.intp)
