"""Batches of records as JSON of what varies in them; see schema.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from ebtop.model.distinct import Keys, keys
from ebtop.record.remembered import Numbers, Remembered
from ebtop.record.texts import Texts
from ebtop.tool import Batch

PART = 1 << 14
"""Events in one row at most: what is read at once stays small, and so does what a row's fields vary."""

_LIMIT = 1 << 63
_SAMPLE = 32


@dataclass(frozen=True, slots=True)
class Packed:
    """`base` is of all events, `at` the place of what each adds to it (None: nothing), `events` the JSON."""

    base: Mapping[str, int]
    at: Mapping[str, str | None]
    events: str


class Part:
    """Up to PART records, and the keys of their fields, each worked out once."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._keys: dict[str, Keys] = {}
        self._varies: dict[str, bool] = {}

    def keys(self, field: str) -> Keys:
        """Equal keys where the field's values are equal."""
        if field not in self._keys:
            self._keys[field] = keys(_hashable(self.batch[field]))
        return self._keys[field]

    def varies(self, field: str) -> bool:
        """Whether the field is not the same in all records."""
        if field not in self._varies:
            found = self.keys(field)
            self._varies[field] = bool((found != found[0]).any())
        return self._varies[field]

    def numbers(self, field: str, known: Remembered | None, texts: Texts) -> Numbers:
        """The field as signed numbers; all that is no whole number as numbers of texts, by what is `known` of them."""
        data = self.batch[field]
        if known is None or is_whole(self.batch.dtype[field]):
            return as_signed(data)
        keys = self.keys(field) if self.varies(field) else self.keys(field)[:1]
        numbers, missing, first, codes = known.look_up(keys)
        if len(missing):
            new = np.array(texts.numbers(_bytes(data[first])), np.int64)
            known.learn(keys[first], new)
            numbers[missing] = new[codes]
        return np.broadcast_to(numbers, len(data))


def is_whole(dtype: np.dtype[Any]) -> bool:
    """Whether a field's values are stored as numbers."""
    return dtype.kind in "iub" and not dtype.shape


def as_signed(data: npt.NDArray[Any]) -> Numbers:
    """Whole numbers as 64 signed bits."""
    if data.dtype.kind == "u" and data.dtype.itemsize == 8:
        return np.ascontiguousarray(data).view(np.int64)
    return data.astype(np.int64)


def _hashable(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What is neither whole numbers nor strings is told apart by its bytes."""
    if data.ndim == 1 and data.dtype.kind in "iubS":
        return data
    return np.ascontiguousarray(data).view(np.uint8).reshape(len(data), -1)


def _bytes(data: npt.NDArray[Any]) -> list[bytes]:
    if data.dtype.kind == "S" and data.ndim == 1:
        found: list[bytes] = data.tolist()
        return found
    return [row.tobytes() for row in data]


def pack(columns: Mapping[str, Numbers], count: int) -> Packed:
    """`count` events of these columns."""
    base: dict[str, int] = {}
    at: dict[str, str | None] = {}
    varying: list[Numbers] = []
    for name, column in columns.items():
        base[name], at[name] = _base(column), None
        if base[name]:
            column = column - base[name]
        if column.any():
            at[name] = f"$[{len(varying)}]"
            varying.append(column)
    matrix = np.stack(varying, axis=1) if varying else np.empty((count, 0), np.int64)
    return Packed(base, at, orjson.dumps(matrix, option=orjson.OPT_SERIALIZE_NUMPY).decode("ascii"))


def _base(column: Numbers) -> int:
    """What is taken off all numbers of a column: what most of them are, so that these become zeros, or the lowest where
    that leaves fewer digits."""
    usual = int(np.sort(column[:: max(len(column) // _SAMPLE, 1)])[_SAMPLE // 2 if len(column) >= _SAMPLE else 0])
    low, high = int(column.min()), int(column.max())
    if high - low >= _LIMIT:  # it would go round
        return 0
    if low == high or 2 * int(np.count_nonzero(column == usual)) > len(column):
        return usual
    return 0 if len(str(high - low)) >= len(str(high)) + (low < 0) else low
