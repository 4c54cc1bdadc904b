"""The top of an event stream: its events counted by the value of a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ebtop.model.columns import as_text, coded, numbers, raw
from ebtop.model.distinct import Codes, Keys, distinct, keys
from ebtop.model.rows import Part
from ebtop.tool import Batch, Column, Names, Tool, Type, Value, values

Floats = npt.NDArray[np.float64]

MEASURES = ("count", "failed", "total", "mean", "max")
"""What a top can be sorted by, beside the value itself ("value")."""

NAMED = 5_000
"""Sorted by value, a top lists so many of the most frequent: each of them has to be decoded."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts per distinct value, columns of equal length. `where` is an event that has the value: part, position."""

    keys: Keys
    part: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    count: Floats
    failed: Floats
    timed: Floats  # how many have a known duration
    total: Floats
    max: Floats

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def mean(self) -> Floats:
        """Mean duration in ns; 0 where none is known."""
        return self.total / np.maximum(self.timed, 1)


_NONE = Tally(np.zeros(0, np.uint64), *(np.zeros(0, np.int64),) * 2, *(np.zeros(0),) * 5)


@dataclass(frozen=True, slots=True)
class Measured:
    """The columns from which a tool's top takes failures and durations, where it has them."""

    ret: Column | None
    duration: Column | None

    @classmethod
    def of(cls, tool: Tool) -> Measured:
        """The tool's result column and its first duration."""
        return cls(
            next((c for c in tool.columns if c.type is Type.RET), None),
            next((c for c in tool.columns if c.type is Type.DURATION), None),
        )


def tally(part: Part, column: Column, measured: Measured, names: Names) -> Tally:
    """Count one tick's matching events by a column."""
    found = []
    positions = part.positions()
    for batch, places in part.split(positions):
        group, first, codes = _groups(column, batch, names)
        failed, duration = _measures(batch, measured, names)
        known = ~np.isnan(duration)
        duration = np.where(known, duration, 0.0)
        size = len(first)
        largest = np.zeros(size)
        np.maximum.at(largest, codes, duration)
        where = positions[places][first]
        found.append(
            Tally(
                group,
                np.full(size, part.serial),
                where,
                _sums(codes, np.ones(len(codes)), size),
                _sums(codes, failed, size),
                _sums(codes, known, size),
                _sums(codes, duration, size),
                largest,
            )
        )
    return merged(found)


def merged(tallies: Sequence[Tally]) -> Tally:
    """Several tallies as one; of the events that stand for a value the newest stays."""
    held = [t for t in tallies if len(t)][::-1]
    if len(held) < 2:
        return held[0] if held else _NONE
    joined = {name: np.concatenate([getattr(t, name) for t in held]) for name in Tally.__dataclass_fields__}
    first, codes = distinct(joined["keys"])
    largest = np.zeros(len(first))
    np.maximum.at(largest, codes, joined["max"])
    count, failed, timed, total = (_sums(codes, joined[n], len(first)) for n in ("count", "failed", "timed", "total"))
    where = joined["part"][first], joined["position"][first]
    return Tally(joined["keys"][first], *where, count, failed, timed, total, largest)


def _sums(codes: Codes, weights: npt.NDArray[Any], size: int) -> Floats:
    """The sum of the weights of each code."""
    return np.bincount(codes, weights=weights, minlength=size).astype(np.float64)


def _groups(column: Column, batch: Batch, names: Names) -> tuple[Keys, Codes, Codes]:
    """`(keys, first, codes)` of the values: raw fields by their bytes, derived ones by the values that come out."""
    data = raw(column, batch)
    if data is not None:
        every = keys(data)
        first, codes = distinct(every)
        return every[first], first, codes
    found = coded(column, batch, names)
    hashed = [hash(tuple(v) if isinstance(v, list) else v) & (2**64 - 1) for v in found.values]
    every = np.array(hashed, dtype=np.uint64)
    again, renumbered = distinct(every)
    return every[again], found.first[again], renumbered[found.codes]


def _measures(batch: Batch, measured: Measured, names: Names) -> tuple[npt.NDArray[np.bool_], Floats]:
    failed = np.zeros(len(batch), dtype=np.bool_)
    duration = np.full(len(batch), np.nan)
    if measured.ret is not None:
        failed = numbers(measured.ret, batch, names) < 0
    if measured.duration is not None:
        duration = numbers(measured.duration, batch, names).astype(np.float64)
    return failed, duration


class Top:
    """A tally in its order. `span_s` is how long the counted ticks lasted."""

    def __init__(
        self,
        column: Column,
        counted: Tally,
        parts: Sequence[Part],
        names: Names,
        by: str,
        descending: bool,
        span_s: float,
    ) -> None:
        self.column = column
        self.counted = counted
        self.names = names
        self.span_s = span_s
        self.total = int(counted.count.sum())
        self._parts = {p.serial: p for p in parts}
        self._order = self._sorted(by, descending)

    def __len__(self) -> int:
        return len(self._order)

    def place(self, row: int) -> int:
        """The index into `counted` of what is listed in a row; IndexError outside the list."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        return int(self._order[row])

    def key(self, row: int) -> int:
        """What tells the row's value from others, now and later."""
        return int(self.counted.keys[self.place(row)])

    def find(self, key: int) -> int | None:
        """The row of a key."""
        found = np.flatnonzero(self.counted.keys[self._order] == np.uint64(key))
        return int(found[0]) if len(found) else None

    def event(self, row: int) -> Batch:
        """An event that has the row's value."""
        place = self.place(row)
        return self._parts[int(self.counted.part[place])].event(int(self.counted.position[place]))

    def value(self, row: int) -> Value:
        """The value of a row, decoded when asked for."""
        return values(self.column, self.event(row), self.names)[0]

    def _sorted(self, by: str, descending: bool) -> npt.NDArray[np.intp]:
        if by == "value":
            frequent = np.argsort(-self.counted.count, kind="stable")[:NAMED]
            texts = {place: self._sort_key(place) for place in frequent.tolist()}
            return np.array(sorted(texts, key=texts.__getitem__, reverse=descending), dtype=np.intp)
        measure: Floats = getattr(self.counted, by)
        # Equal ones by their duration, then by the values' keys: a row moves only when its numbers do.
        order = np.lexsort((self.counted.keys, -self.counted.total, -measure if descending else measure))
        return order.astype(np.intp)

    def _sort_key(self, place: int) -> tuple[bool, float, str]:
        event = self._parts[int(self.counted.part[place])].event(int(self.counted.position[place]))
        value = values(self.column, event, self.names)[0]
        number = float(value) if isinstance(value, (int, float)) else 0.0
        return value is not None, number, as_text(self.column, value).casefold()
