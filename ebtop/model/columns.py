"""A batch's columns as arrays: numbers to compare and distinct values to test, without a Python call per event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ebtop.model.distinct import Codes, combined, distinct, keys
from ebtop.model.format import ret_text, user
from ebtop.tool import Batch, Column, Names, Type, Value, values

NUMERIC = frozenset({Type.INT, Type.COUNT, Type.TIME, Type.DURATION, Type.BYTES, Type.RET, Type.USER, Type.BOOL})
"""Types whose values are numbers; all others are text or lists of text."""

_SAMPLE = 4


class _Watched:
    """Stands for a batch, and notes which fields are read."""

    def __init__(self, batch: Batch, used: set[str]) -> None:
        self._batch, self._used = batch, used

    def __getitem__(self, field: str) -> npt.NDArray[Any]:
        self._used.add(field)
        return self._batch[field]

    def __len__(self) -> int:
        return len(self._batch)


class _WatchedNames(dict[str, Mapping[int, "str | int"]]):
    """Stands for the names, and notes whether any are asked for."""

    used = False

    def get(self, *_args: Any) -> Any:
        self.used = True
        return {}

    def __missing__(self, _key: str) -> Mapping[int, str | int]:
        self.used = True
        return {}

    def __contains__(self, _key: object) -> bool:
        self.used = True
        return False


@dataclass(frozen=True, slots=True)
class Needs:
    """What a column is made from: fields of the batch, and perhaps names that may become known later."""

    fields: tuple[str, ...]
    names: bool


def needs(column: Column, batch: Batch) -> Needs:
    """Find out by asking for a few rows what `column.derive` reads. A raw column needs its own field alone."""
    if column.derive is None:
        return Needs((column.key,) if column.key in (batch.dtype.names or ()) else (), names=False)
    used: set[str] = set()
    names = _WatchedNames()
    column.derive(cast("Batch", _Watched(batch[:_SAMPLE], used)), names)
    return Needs(tuple(sorted(used)), names.used)


def raw(column: Column, batch: Batch) -> npt.NDArray[Any] | None:
    """The column's field when its values are just that, one item per row; else None."""
    if column.derive is not None or column.key not in (batch.dtype.names or ()):
        return None
    data: npt.NDArray[Any] = batch[column.key]
    return data if data.ndim == 1 else None


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of a batch, each distinct value once: row i holds `values[codes[i]]`, first seen in row `first[...]`.

    Values may still repeat where the column is derived (two directories and paths that give one absolute path).
    """

    values: Sequence[Value]
    codes: Codes
    first: Codes


def coded_keys(column: Column, batch: Batch) -> tuple[Codes, Codes]:
    """`(first, codes)` of the rows that differ in what the column is made from."""
    if len(batch) == 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    parts = [keys(batch[field]) for field in needs(column, batch).fields]
    if not parts:
        return np.zeros(1, np.intp), np.zeros(len(batch), np.intp)
    return distinct(combined(parts))


def coded(column: Column, batch: Batch, names: Names) -> Coded:
    """The distinct values of a column; Python sees each of them once, however many rows there are."""
    first, codes = coded_keys(column, batch)
    return Coded(values(column, batch[first], names) if len(first) else [], codes, first)


def numbers(column: Column, batch: Batch, names: Names) -> npt.NDArray[Any]:
    """A numeric column: the field itself, or float64 with NaN where a value is not known."""
    data = raw(column, batch)
    if data is not None and data.dtype.kind in "iufb":
        return data
    found = coded(column, batch, names)
    known = [float(v) if isinstance(v, (int, float)) else np.nan for v in found.values]
    return np.array(known, dtype=np.float64)[found.codes] if known else np.zeros(0)


_WRITERS: dict[Type, Callable[[int], str]] = {Type.RET: ret_text, Type.USER: user}


def as_text(column: Column, value: Value) -> str:
    """The text that `~` searches and that sorting compares; an unknown value is the empty text."""
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(str(part) for part in value)
    if isinstance(value, int) and column.type in _WRITERS:
        return _WRITERS[column.type](value)
    return str(value)
