"""From rows of a recording back to batches, exactly as they were."""

from __future__ import annotations

import sqlite3
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from ebtop.record.database import RecordingError, columns_of, string, whole
from ebtop.record.packing import is_whole
from ebtop.record.remembered import Numbers
from ebtop.record.schema import OWN, at, quoted
from ebtop.record.texts import original
from ebtop.source.wire_arrays import parse
from ebtop.source.wire_json import WireError
from ebtop.tool import Batch

MOST_BYTES = 512 << 20
"""The records of one tick may take so much memory."""

_MOST_TEXTS, _MOST_TEXT_BYTES = 100_000, 32 << 20
_AT_ONCE = 10_000


class TextReader:
    """Texts by their numbers; those read lately are kept."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._known: OrderedDict[int, Any] = OrderedDict()
        self._bytes = 0

    def values(self, numbers: Iterable[int]) -> dict[int, Any]:
        """What SQLite has for each. Raises RecordingError for one that is not there."""
        wanted = set(numbers)
        missing = [number for number in wanted if number not in self._known]
        if len(self._known) + len(missing) > _MOST_TEXTS or self._bytes > _MOST_TEXT_BYTES:
            self._known.clear()
            self._bytes = 0
            missing = list(wanted)
        for first in range(0, len(missing), _AT_ONCE):
            listed = orjson.dumps(missing[first : first + _AT_ONCE]).decode()
            query = "SELECT id, value FROM text WHERE id IN (SELECT value FROM json_each(?))"
            for number, value in self._database.execute(query, (listed,)):
                self._known[number] = value
                self._bytes += len(value) if isinstance(value, (str, bytes)) else 8
        try:
            return {number: self._known[number] for number in wanted}
        except KeyError:
            raise RecordingError("a text is missing") from None

    def text(self, number: Any) -> str:
        """One as str."""
        return string(self.values([whole(number)])[number])


class Table:
    """Reads one table of batches."""

    def __init__(self, database: sqlite3.Connection, name: str, texts: TextReader) -> None:
        self._database, self._name, self._texts = database, name, texts
        self._columns: list[str] = []

    def batches(self, tick: int) -> tuple[Batch, ...]:
        """Those of a tick. Raises RecordingError."""
        query = f'SELECT * FROM {quoted(self._name)} WHERE "tick id" = ? ORDER BY "part no"'
        cursor = self._database.execute(query, (tick,))
        columns = [name for name, *_rest in cursor.description]
        if columns != self._columns:
            columns_of(self._database, self._name)
            self._columns = columns
        if not set(OWN) <= set(columns):
            raise RecordingError(f"the table {self._name} lacks a column")
        parts: dict[int, list[Batch]] = {}
        size = 0
        for values in cursor:
            row = dict(zip(columns, values, strict=True))
            layout = self._layout(row)
            size += layout.itemsize * whole(row["event count"])
            if not 0 <= size <= MOST_BYTES:
                raise RecordingError("a tick holds more than can be")
            parts.setdefault(whole(row["batch no"]), []).append(self._part(row, layout))
        return tuple(_joined(parts[number]) for number in sorted(parts))

    def _layout(self, row: Mapping[str, Any]) -> np.dtype[Any]:
        try:
            layout = parse(self._texts.text(row["record layout"]))
        except WireError as error:
            raise RecordingError(str(error)) from None
        if layout.names is None:
            raise RecordingError("a batch holds no records")
        return layout

    def _part(self, row: Mapping[str, Any], layout: np.dtype[Any]) -> Batch:
        count = whole(row["event count"])
        batch = np.zeros(count, layout)
        if not count:
            return batch
        matrix = _matrix(string(row["event values"]), count)
        for name in layout.names or ():
            if name not in row:
                raise RecordingError(f"the field {name} is missing")
            numbers = _numbers(matrix, whole(row[name]), row.get(at(name)))
            if is_whole(layout[name]):
                batch[name] = numbers if layout[name] != np.dtype("<u8") else numbers.view(np.uint64)
            else:
                batch[name] = self._looked_up(numbers, layout[name])
        return batch

    def _looked_up(self, numbers: Numbers, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        distinct, codes = np.unique(numbers, return_inverse=True)
        values = self._texts.values(distinct.tolist())
        room = dtype.itemsize
        try:
            raw = [original(values[number])[:room] for number in distinct.tolist()]
        except ValueError as error:
            raise RecordingError(str(error)) from None
        found = np.array(raw, f"S{room}")
        base = dtype if dtype.shape == () else dtype.base
        if base.kind == "S" and not dtype.shape:
            return found[codes]
        return found.view(base).reshape(len(raw), *dtype.shape)[codes]


def _joined(parts: Sequence[Batch]) -> Batch:
    if any(part.dtype != parts[0].dtype for part in parts):
        raise RecordingError("the parts of a batch have different records")
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _matrix(text: str, count: int) -> Numbers:
    """`[[1,2],[3,4]]` as a matrix. Raises RecordingError for anything else."""
    if text == "[" + ",".join(["[]"] * count) + "]":
        return np.empty((count, 0), np.int64)
    if not (text.startswith("[[") and text.endswith("]]")) or text.count("],[") != count - 1:
        raise RecordingError("a batch's events are malformed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # older NumPy warns of what is no number; it is found below
            flat = np.fromstring(text[2:-2].replace("],[", ","), np.int64, sep=",")
    except ValueError as error:
        raise RecordingError("a batch's events are malformed") from error
    if len(flat) % count or len(flat) != text.count(",") + 1 or not len(flat):
        raise RecordingError("a batch's events are malformed")
    return flat.reshape(count, -1)


def _numbers(matrix: Numbers, base: int, place: Any) -> Numbers:
    if not -(1 << 63) <= base < 1 << 63:
        raise RecordingError("a number is too long")
    if place is None:
        return np.full(len(matrix), base, np.int64)
    text = string(place)
    digits = text[2:-1]
    if text != f"$[{digits}]" or not digits.isdecimal() or len(digits) > 4 or int(digits) >= matrix.shape[1]:
        raise RecordingError("a field has no place in its events")
    column: Numbers = matrix[:, int(digits)]
    return column + base  # of any file: what is too long goes round
