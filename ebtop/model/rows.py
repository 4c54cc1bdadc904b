"""The rows of an event stream: those that pass a filter, as one virtual list over all ticks held."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ebtop.model.filter import Filter
from ebtop.tick import Tick
from ebtop.tool import Batch, Names

Positions = npt.NDArray[np.int64]


class RowId(NamedTuple):
    """An event for as long as it is held: its tick's number, and its place among the tick's batches joined."""

    serial: int
    position: int


@dataclass(frozen=True, slots=True)
class Part:
    """The matching events of one tick. `order` lists their positions by time; None means all, in place."""

    tick: Tick
    serial: int
    offsets: tuple[int, ...]  # where each batch begins, and the end of the last
    order: Positions | None
    uses_names: bool = False

    def __len__(self) -> int:
        return self.offsets[-1] if self.order is None else len(self.order)

    def position(self, row: int) -> int:
        """The position of a matching event."""
        return row if self.order is None else int(self.order[row])

    def positions(self, newest: int | None = None) -> Positions:
        """The positions of all matching events, or of the newest."""
        order = np.arange(self.offsets[-1]) if self.order is None else self.order
        return order if newest is None else order[max(len(order) - newest, 0) :]

    def event(self, position: int) -> Batch:
        """The event as a batch of one."""
        index = bisect_right(self.offsets, position) - 1
        place = position - self.offsets[index]
        return self.tick.events[index][place : place + 1]

    def numbers(self, field: str) -> frozenset[int]:
        """The different numbers that a field of the matching events has."""
        found: set[int] = set()
        for batch, begin in zip(self.tick.events, self.offsets, strict=False):
            if field in (batch.dtype.names or ()):
                mine = slice(None) if self.order is None else self._within(begin, begin + len(batch)) - begin
                found.update(np.unique(batch[field][mine]).tolist())
        return frozenset(found)

    def _within(self, begin: int, end: int) -> Positions:
        """Of the positions of matching events those from `begin` to before `end`."""
        order = self.positions()
        return order[(order >= begin) & (order < end)]

    def nearest(self, position: int) -> int:
        """The row of that position; where it does not match, of the last match before it."""
        if self.order is None:
            return min(position, max(len(self) - 1, 0))
        exact = np.flatnonzero(self.order == position)
        if len(exact):
            return int(exact[0])
        return max(int(np.count_nonzero(self.order < position)) - 1, 0)

    def picked(self, positions: Positions) -> Iterator[tuple[Batch, npt.NDArray[np.intp]]]:
        """Events in any order, by batch: the events of each batch, and where each stands in `positions`."""
        which = np.searchsorted(self.offsets, positions, side="right") - 1
        for index in np.unique(which).tolist():
            places = np.flatnonzero(which == index)
            yield self.tick.events[index][positions[places] - self.offsets[index]], places

    def split(self, positions: Positions) -> list[tuple[Batch, npt.NDArray[np.intp]]]:
        """Positions by batch: each batch with the places in `positions` that lie in it."""
        if self.order is None and len(positions) == self.offsets[-1]:
            return [(batch, np.arange(len(batch))) for batch in self.tick.events]
        found = []
        for index, batch in enumerate(self.tick.events):
            inside = (positions >= self.offsets[index]) & (positions < self.offsets[index + 1])
            places = np.flatnonzero(inside)
            if len(places):
                found.append((batch[positions[places] - self.offsets[index]], places))
        return found


def part(tick: Tick, serial: int, wanted: Filter | None, names: Names) -> Part:
    """Filter one tick's events and put those of several rings into the order of time.

    Batches of one ring (they have one layout) follow each other as the ring was read, and stay so.
    """
    offsets = (0, *np.cumsum([len(b) for b in tick.events]).tolist())
    several = any(batch.dtype != tick.events[0].dtype for batch in tick.events)
    if wanted is None and not several:
        return Part(tick, serial, offsets, None)
    places, times = [], []
    for batch, offset in zip(tick.events, offsets, strict=False):
        here = np.arange(len(batch)) if wanted is None else np.flatnonzero(wanted.mask(batch, names))
        places.append(here + offset)
        times.append(batch["ts"][here])
    order = np.concatenate(places) if places else np.zeros(0, np.int64)
    if several:
        order = order[np.argsort(np.concatenate(times), kind="stable")]
    return Part(tick, serial, offsets, order, wanted is not None and any(wanted.uses_names(b) for b in tick.events))


class Rows:
    """What a stream shows, oldest first (or newest first, or sorted). Immutable; cheap to ask for any row.

    `total` counts the events held, `held` the matches among them, of which `len` are listed (sorting has a bound).
    """

    def __init__(self, parts: Sequence[Part], names: Names, newest_first: bool = False) -> None:
        self.names = names
        self.newest_first = newest_first
        self.parts = tuple(parts)
        self.ends = np.cumsum([len(p) for p in self.parts]) if self.parts else np.zeros(0, np.int64)
        self.total = sum(p.offsets[-1] for p in self.parts)
        self.held = int(self.ends[-1]) if len(self.ends) else 0

    def __len__(self) -> int:
        return self.held

    def id(self, row: int) -> RowId:
        """Which event is listed there; IndexError outside the list."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        row = self.held - 1 - row if self.newest_first else row
        index = int(np.searchsorted(self.ends, row, side="right"))
        start = int(self.ends[index - 1]) if index else 0
        return RowId(self.parts[index].serial, self.parts[index].position(row - start))

    def batches(self, first: int, last: int) -> Iterator[tuple[Batch, npt.NDArray[np.intp]]]:
        """The events that are listed from row `first` to before `last`, by batch, and the row of each."""
        serials, positions = self._ids(np.arange(first, min(last, len(self))))
        for serial in np.unique(serials).tolist():
            mine = np.flatnonzero(serials == serial)
            index = self._index(serial)
            if index is not None:
                for batch, places in self.parts[index].picked(positions[mine]):
                    yield batch, first + mine[places]

    def _ids(self, rows: Positions) -> tuple[Positions, Positions]:
        """Serials and positions of the events that are listed in some rows."""
        rows = self.held - 1 - rows if self.newest_first else rows
        indices = np.searchsorted(self.ends, rows, side="right")
        serials, positions = np.zeros_like(rows), np.zeros_like(rows)
        for index in np.unique(indices).tolist():
            mine = indices == index
            start = int(self.ends[index - 1]) if index else 0
            serials[mine] = self.parts[index].serial
            positions[mine] = self.parts[index].positions()[rows[mine] - start]
        return serials, positions

    def find(self, event: RowId) -> int | None:
        """The row of an event, or one near it that matches; None when it is held no more."""
        index = self._index(event.serial)
        if index is None or not len(self):
            return None
        start = int(self.ends[index - 1]) if index else 0
        row = min(start + self.parts[index].nearest(event.position), len(self) - 1)
        return self.held - 1 - row if self.newest_first else row

    def event(self, event: RowId) -> Batch | None:
        """The event as a batch of one, while it is held."""
        index = self._index(event.serial)
        return None if index is None else self.parts[index].event(event.position)

    def _index(self, serial: int) -> int | None:
        index = serial - self.parts[0].serial if self.parts else -1
        return index if 0 <= index < len(self.parts) else None


class SortedRows(Rows):
    """Rows in the order of a column: `serials` and `positions` name the events, first row first."""

    def __init__(self, parts: Sequence[Part], names: Names, serials: Positions, positions: Positions) -> None:
        super().__init__(parts, names)
        self._serials, self._positions = serials, positions

    def __len__(self) -> int:
        return len(self._serials)

    def id(self, row: int) -> RowId:
        """Which event is listed there; IndexError outside the list."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        return RowId(int(self._serials[row]), int(self._positions[row]))

    def _ids(self, rows: Positions) -> tuple[Positions, Positions]:
        return self._serials[rows], self._positions[rows]

    def find(self, event: RowId) -> int | None:
        """The row of an event; None when it is not listed."""
        found = np.flatnonzero((self._positions == event.position) & (self._serials == event.serial))
        return int(found[0]) if len(found) else None
