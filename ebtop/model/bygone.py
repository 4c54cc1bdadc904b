"""A column of earlier ticks, by process: what a trend is drawn of, and what keeps an order calm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ebtop.model.census import Keys, fold_keys, identity, short_lived, span_ns
from ebtop.model.columns import numbers
from ebtop.tick import Tick
from ebtop.tool import Column, Names, Type

Floats = npt.NDArray[np.float64]

TICKS = 30
"""So many ticks are looked back on."""


def adds_up(column: Column) -> bool:
    """Whether what several processes have of it can be added; of a latency the largest counts instead."""
    return column.rate or column.type in {Type.COUNT, Type.BYTES} or column.key == "threads"


def told_always(column: Column) -> bool:
    """Whether a process without a row in a tick has nothing of it, rather than the same as before."""
    return column.rate or (column.type is Type.DURATION and column.derive is not None)


@dataclass(frozen=True, slots=True)
class Bygone:
    """One tick's figures a second (of what is no rate: as they are). `keys` ascend, as census.Folded.keys has them."""

    keys: Keys
    values: Floats

    def of(self, keys: Keys) -> Floats:
        """The figures of some; 0 for who did nothing then."""
        if not len(self.keys):
            return np.zeros(len(keys))
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.values[at], 0.0)


def bygone(tick: Tick, column: Column, names: Names) -> Bygone:
    """What a tick says of a column of numbers."""
    rows = tick.rows
    if rows is None or not len(rows):
        return Bygone(np.zeros(0, np.uint64), np.zeros(0))
    span = span_ns(tick)
    found = np.nan_to_num(numbers(column, rows, names).astype(np.float64))
    if column.rate:
        found = found / (span / 1e9)
    keys = np.where(short_lived(rows, span), fold_keys(rows["ppid"]), rows["id"].astype(np.uint64))
    known, which = np.unique(keys, return_inverse=True)
    values = np.zeros(len(known))
    (np.add if adds_up(column) else np.maximum).at(values, which, found)
    return Bygone(known, values)


class Past:
    """Bygones of the newest ticks, each made once. For one thread."""

    def __init__(self) -> None:
        self._column = ""
        self._made: dict[tuple[int, int, int], Bygone] = {}

    def of(self, ticks: Sequence[Tick], column: Column, names: Names) -> Sequence[Bygone]:
        """Those of the newest TICKS of `ticks`, oldest first."""
        before = self._made if column.key == self._column else {}
        self._column, self._made = column.key, {}
        for tick in ticks[-TICKS:]:
            found = before.get(key := identity(tick))
            self._made[key] = found if found is not None else bygone(tick, column, names)
        return tuple(self._made.values())
