"""Batches of records as JSON of what varies in them; see schema.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from ebtop.model.distinct import Codes, Keys, distinct, keys
from ebtop.record.texts import Texts
from ebtop.tool import Batch

PART = 1 << 14
"""Events in one row at most: what is read at once stays small, and so does what a row's fields vary."""

Numbers = npt.NDArray[np.int64]
_LIMIT = 1 << 63


@dataclass(frozen=True, slots=True)
class Packed:
    """`base` is of all events, `at` the place of what each adds to it (None: nothing), `events` the JSON."""

    base: Mapping[str, int]
    at: Mapping[str, str | None]
    events: str


class Part:
    """Up to PART records, and what is found out about their fields once."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._keys: dict[str, Keys] = {}
        self._distinct: dict[str, tuple[Codes, Codes]] = {}

    def keys(self, field: str) -> Keys:
        """Equal keys where the field's values are equal."""
        if field not in self._keys:
            self._keys[field] = keys(_hashable(self.batch[field]))
        return self._keys[field]

    def distinct(self, field: str) -> tuple[Codes, Codes]:
        """The first rows of the field's distinct values, and for each row which it has."""
        if field not in self._distinct:
            self._distinct[field] = distinct(self.keys(field))
        return self._distinct[field]

    def varies(self, field: str) -> bool:
        """Whether the field is not the same in all records."""
        found = self.keys(field)
        return bool((found != found[0]).any())

    def numbers(self, field: str, texts: Texts) -> Numbers:
        """The field as signed numbers; all that is no whole number as numbers of texts."""
        data = self.batch[field]
        if is_whole(self.batch.dtype[field]):
            return as_signed(data)
        first, codes = self.distinct(field)
        return np.array(texts.numbers(_bytes(data[first])), np.int64)[codes]


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
        low, high = int(column.min()), int(column.max())
        base[name], at[name] = low, None
        if low == high:
            continue
        if high - low >= _LIMIT or len(str(high - low)) >= len(str(high)) + (low < 0):
            base[name] = 0
        else:
            column = column - low
        at[name] = f"$[{len(varying)}]"
        varying.append(column)
    matrix = np.stack(varying, axis=1) if varying else np.empty((count, 0), np.int64)
    return Packed(base, at, orjson.dumps(matrix, option=orjson.OPT_SERIALIZE_NUMPY).decode("ascii"))
