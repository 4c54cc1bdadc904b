"""Equal values found in linear time, in NumPy: filters and tops look at each distinct value, not at each row."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.intp]

_WORDS = 1024
# Odd multipliers, drawn anew by each process: whoever chooses file names cannot choose names that collide.
_MULTIPLIERS = np.array([secrets.randbits(64) | 1 for _ in range(_WORDS)], dtype=np.uint64)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: Knuth, The Art of Computer Programming, 6.4
_SLOT_BITS = 16


def _mixed(words: npt.NDArray[np.uint64], multiplier: np.uint64) -> Keys:
    """Zero stays zero, so that strings hash alike in fields of any width."""
    product = words * multiplier
    product ^= product >> np.uint64(29)
    product *= _SPREAD
    product ^= product >> np.uint64(32)
    return product


def _words(data: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Strings or rows of bytes as rows of 8-byte words, padded with zeros."""
    if data.dtype.kind != "S":
        data = np.ascontiguousarray(data).reshape(len(data), -1).view(f"S{data.dtype.itemsize * data[0].size}")[:, 0]
    width = -(-data.dtype.itemsize // 8)
    padded = data.astype(f"S{width * 8}", order="C")
    return padded.view(np.uint64).reshape(len(data), width)


def keys(data: npt.NDArray[Any]) -> Keys:
    """One 64-bit key per row of a field: equal rows have equal keys, others differ but for one chance in 2**64.

    `data` holds integers, byte strings of any width, or rows of bytes. Integers are their own keys.
    """
    if data.ndim == 1 and data.dtype.kind in "iub":
        return data.astype(np.int64).view(np.uint64) if data.dtype.kind == "i" else data.astype(np.uint64)
    result = np.zeros(len(data), dtype=np.uint64)
    if len(data) == 0:
        return result
    words = _words(data)
    for index in range(words.shape[1]):
        result += _mixed(words[:, index], _MULTIPLIERS[index % _WORDS])
    return result


def combined(parts: Sequence[Keys]) -> Keys:
    """One key per row for several fields together."""
    if len(parts) == 1:
        return parts[0]
    result = np.zeros(len(parts[0]), dtype=np.uint64)
    for index, part in enumerate(parts):
        # + 1: a field of zeros must not vanish beside another order of the same fields
        result += _mixed(part + np.uint64(1), _MULTIPLIERS[-1 - index])
    return result


def distinct(values: Keys) -> tuple[Codes, Codes]:
    """`(first, codes)`: the row where each distinct key is first seen, and for each row which of them it is.

    A table of 2**16 slots settles all rows whose slot was taken by their own key; the rest are sorted.
    """
    rows = np.arange(len(values), dtype=np.intp)
    slots = ((values * _SPREAD) >> np.uint64(64 - _SLOT_BITS)).astype(np.intp)
    owner = np.full(1 << _SLOT_BITS, -1, dtype=np.intp)
    owner[slots[::-1]] = rows[::-1]  # of several rows with one slot the last assigned, that is the first row, stays
    settled = values[owner[slots]] == values
    used = np.flatnonzero(owner >= 0)
    numbering = np.empty(1 << _SLOT_BITS, dtype=np.intp)
    numbering[used] = np.arange(len(used))
    codes = numbering[slots]
    if settled.all():
        return owner[used], codes
    rest = np.flatnonzero(~settled)
    first, rest_codes = _by_sorting(values[rest])
    codes[rest] = rest_codes + len(used)
    return np.concatenate([owner[used], rest[first]]), codes


def _by_sorting(values: Keys) -> tuple[Codes, Codes]:
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lengths = np.diff(np.append(starts, len(values)))
    codes = np.empty(len(values), dtype=np.intp)
    codes[order] = np.repeat(np.arange(len(starts)), lengths)
    return np.minimum.reduceat(order, starts), codes
