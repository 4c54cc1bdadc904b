"""Rows in the order of a column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ebtop.model.columns import NUMERIC, as_text, coded, numbers
from ebtop.model.rows import Part, Positions, SortedRows
from ebtop.tool import Column, Names, Type

SORTED = 200_000
"""At most so many of the newest matches are sorted by a number."""

SORTED_TEXTS = 50_000
"""At most so many are sorted by a text, which Python compares while the screen has to wait for it."""

DESCENDING_FIRST = frozenset({Type.COUNT, Type.DURATION, Type.BYTES, Type.TIME})
"""Types of which people want the largest on top."""


def bound(column: Column) -> int:
    """How many of the newest matches are sorted by a column."""
    return SORTED if column.type in NUMERIC else SORTED_TEXTS


def sort(parts: Sequence[Part], names: Names, column: Column, descending: bool) -> SortedRows:
    """The newest matches by a column; unknown values come last either way."""
    serials, positions, keys = _keys(parts, names, column)
    order = np.argsort(keys, kind="stable")
    if descending:
        order = order[::-1]
        known = ~np.isnan(keys[order])
        order = np.concatenate([order[known], order[~known]])
    return SortedRows(parts, names, serials[order], positions[order])


def _keys(parts: Sequence[Part], names: Names, column: Column) -> tuple[Positions, Positions, npt.NDArray[np.float64]]:
    """Serial, position and sort key (NaN: unknown) of the newest matches."""
    serials, positions = [], []
    numeric: list[npt.NDArray[np.float64]] = []
    texts: list[tuple[list[str], npt.NDArray[np.intp]]] = []
    room = bound(column)
    for part in reversed(parts):
        chosen = part.positions(newest=room)
        for batch, places in part.split(chosen):
            serials.append(np.full(len(places), part.serial))
            positions.append(chosen[places])
            if column.type in NUMERIC:
                numeric.append(numbers(column, batch, names).astype(np.float64))
            else:
                found = coded(column, batch, names)
                texts.append(([as_text(column, v) for v in found.values], found.codes))
        room -= len(chosen)
        if room <= 0:
            break
    if not serials:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    keys = numeric if column.type in NUMERIC else _ranks(texts)
    # Joined newest part first: turned round, rows that are equal stay in the order of time.
    return tuple(np.concatenate(column_[::-1]) for column_ in (serials, positions, keys))  # type: ignore[return-value]


def _ranks(texts: list[tuple[list[str], npt.NDArray[np.intp]]]) -> list[npt.NDArray[np.float64]]:
    """Texts as their places in the alphabet, regardless of case; the empty text counts as unknown."""
    known = sorted({t for values, _ in texts for t in values}, key=lambda t: (t.casefold(), t))
    rank = {text: float(place) if text else np.nan for place, text in enumerate(known)}
    return [np.array([rank[t] for t in values], dtype=np.float64)[codes] for values, codes in texts]
