"""Latency over time: how ticks become the columns, and buckets the rows, of a heat map.

The layout (time on x, latency on y, counts as shade, a logarithmic scale) is that of Brendan Gregg, "Visualizing
System Latency", Communications of the ACM 53(7), 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ebtop.model.percentiles import Counts, Floats, starts_within
from ebtop.tool import Buckets

LEVELS = 8
"""Shades of a cell that holds something; level 0 is for those that do not."""

_PER_COLUMN = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600)
"""Ticks that one column may stand for: few sizes, so that the map is seldom drawn anew."""

Starts = npt.NDArray[np.intp]
Levels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the columns of a map begin in a sequence of ticks, and how many ticks one stands for."""

    starts: Starts
    ticks_each: int


def columns(starts_ns: Sequence[int], width: int, newest_only: bool) -> Columns:
    """Columns for ticks that start at these times (Unix ns, oldest first), at most `width` of them.

    With `newest_only` each tick has its column and the oldest go; otherwise all are shown, merged as much as it
    takes. Merged columns begin at multiples of their length, so that only the newest changes when a tick comes.
    """
    total = len(starts_ns)
    if total == 0 or width <= 0:
        return Columns(np.zeros(0, dtype=np.intp), 1)
    if newest_only or total <= width:
        return Columns(np.arange(max(0, total - width), total), 1)
    times = np.asarray(starts_ns, dtype=np.int64)
    step = max(int(np.median(np.diff(times))), 1)
    for each in _PER_COLUMN:
        slot = times // (each * step)
        starts = np.flatnonzero(np.append(True, np.diff(slot) != 0))
        if len(starts) <= width:
            return Columns(starts, each)
    return Columns(starts[-width:], each)


def rows(buckets: Buckets, first: int, last: int, height: int, floor: int = 0) -> Starts:
    """Where rows begin so that buckets `first` to `last` need at most `height` of them: the finest that fits.

    Rows are quarters, halves or wholes of a power of two, or several powers; rather than several, all from the one of
    bucket `floor` down are put into one. The result covers all buckets.
    """
    powers = starts_within(buckets, 1)
    lowest = int(np.searchsorted(powers, floor, "right")) - 1
    above_floor = np.concatenate([powers[:1], powers[lowest + 1 :]]) if floor > first else powers
    choices = [starts_within(buckets, parts) for parts in (4, 2)]
    choices += [powers, above_floor, *(powers[::every] for every in (2, 3, 4, 6, 8, 12))]
    return next((starts for starts in choices if covering(starts, first, last) <= height), choices[-1])


def covering(starts: Starts, first: int, last: int) -> int:
    """How many rows buckets `first` to `last` touch."""
    return int(np.searchsorted(starts, last, "right") - np.searchsorted(starts, first, "right")) + 1


def densities(buckets: Buckets, starts: Starts, folded: Counts) -> Floats:
    """Counts by row made comparable where rows are not equally high on the scale of powers of two.

    Of the halves of a power the lower one is the wider; as plain counts an even distribution would look like a saw.
    Rows that begin at 0, and those as high as most, keep their counts.
    """
    low, high = buckets.low[starts].astype(np.float64), np.append(buckets.low[starts[1:]], buckets.low[-1])
    bounded = low > 0
    height = np.log2(np.divide(high, low, out=np.ones(len(low)), where=bounded))
    return folded / np.where(bounded, height / np.median(height[bounded]), 1.0)


def merge_columns(by_tick: Counts, starts: Starts) -> Counts:
    """Counts by column from counts by tick (ticks x buckets); ticks before the first column are left out."""
    if len(starts) == 0:
        return np.zeros((0, by_tick.shape[1]), dtype=np.uint64)
    return np.add.reduceat(by_tick, starts, axis=0)


def levels(counts: Counts) -> Levels:
    """Shades on a logarithmic scale: 0 for nothing, 1 for a single one, up to LEVELS.

    The scale's top is the largest count rounded up to a power of four, so that it seldom changes.
    """
    largest = int(counts.max(initial=0))
    if largest == 0:
        return np.zeros(counts.shape, dtype=np.uint8)
    power = (largest - 1).bit_length()
    top = max(power + power % 2, 2)
    shade = 1 + np.floor(np.log2(np.maximum(counts, 1).astype(np.float64)) * LEVELS / top)
    return np.where(counts > 0, np.minimum(shade, LEVELS), 0).astype(np.uint8)
