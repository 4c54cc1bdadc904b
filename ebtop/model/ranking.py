"""The order of processes: by a column, and calm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ebtop.model.bygone import told_always
from ebtop.model.census import Indices, Keys
from ebtop.tool import Column

Floats = npt.NDArray[np.float64]

PEAK_TICKS = 3
"""A row stands where the most that it had in so many ticks puts it: rests of a second do not move it down."""

_HELD = 0.25
"""A row keeps its place until its figure has changed by more than this share since it took it."""


class Ranking:
    """Sorts by figures that are held while they change little. For one thread.

    The order of a moment that was not reached from the one before it (a jump in time, another column) is exact.
    """

    def __init__(self) -> None:
        self._of: tuple[str, bool, int] | None = None
        self._keys: Keys = np.zeros(0, np.uint64)
        self._held: Floats = np.zeros(0)

    def settled(self, keys: Keys, figures: Floats, column: Column, tree: bool, end: int) -> Floats:
        """The figures to sort by; `end` is that of the tick that they are of."""
        if not told_always(column):
            self._of = None
            return figures
        known = self._known(column.key, tree, end)
        found = self._hold(keys, figures) if known and len(self._keys) else figures
        order = np.argsort(keys)
        self._of, self._keys, self._held = (column.key, tree, end), keys[order], found[order]
        return found

    def _known(self, key: str, tree: bool, end: int) -> bool:
        return self._of is not None and self._of[:2] == (key, tree) and self._of[2] <= end

    def _hold(self, keys: Keys, figures: Floats) -> Floats:
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        held = self._held[at]
        calm = (self._keys[at] == keys) & (np.abs(figures - held) <= _HELD * held)
        return np.where(calm, held, figures)


def ordered(figures: Floats, descending: bool, *ties: npt.NDArray[np.generic]) -> Indices:
    """Rows by their figures, unknown ones last either way; equal ones by `ties`, the first of which counts most."""
    unknown = np.isnan(figures)
    keys = np.where(unknown, 0.0, -figures if descending else figures)
    return np.lexsort((*reversed(ties), keys, unknown))
