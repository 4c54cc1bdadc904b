"""Percentiles of histograms, and histograms added up and made coarser."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ebtop.tool import Buckets

Counts = npt.NDArray[np.uint64]
"""Counts per bucket; in two dimensions a row per histogram."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Summary:
    """What is said of one histogram, in its unit; NaN where it is empty.

    `below` is the upper edge of the highest bucket that holds something: every value is less. The largest value
    itself is not known.
    """

    total: int
    p50: float
    p90: float
    p99: float
    below: float


def percentiles(buckets: Buckets, counts: Counts, q: float) -> Floats:
    """The value below which the share `q` (0 < q <= 1) of each histogram lies, spread evenly within its bucket.

    `counts` has the buckets as its last axis; the result has the others. NaN for empty histograms.
    Raises ValueError when `q` is out of range.
    """
    if not 0 < q <= 1:
        raise ValueError(f"a percentile's share must be in (0, 1], not {q}")
    cumulated = np.cumsum(counts.astype(np.float64), axis=-1)
    total = cumulated[..., -1:]
    wanted = total * q
    at = np.minimum((cumulated < wanted).sum(axis=-1, keepdims=True), buckets.count - 1)
    inside = np.take_along_axis(counts.astype(np.float64), at, axis=-1)
    before = np.take_along_axis(cumulated, at, axis=-1) - inside
    low, high = edges(buckets)
    part = np.divide(wanted - before, inside, out=np.zeros_like(inside), where=inside > 0)
    value = low[at] + part * (high[at] - low[at])
    return np.where(total > 0, value, np.nan)[..., 0]


def upper_edges(buckets: Buckets, counts: Counts) -> Floats:
    """The upper edge of the highest bucket with counts of each histogram; NaN for empty ones."""
    filled = counts > 0
    last = buckets.count - 1 - np.argmax(filled[..., ::-1], axis=-1)
    return np.where(filled.any(axis=-1), edges(buckets)[1][last], np.nan)


def edges(buckets: Buckets) -> tuple[Floats, Floats]:
    """The lower and the upper edge of each bucket."""
    low = buckets.low.astype(np.float64)
    return low[:-1], low[1:]


def summary(buckets: Buckets, counts: Counts) -> Summary:
    """Total, percentiles and the bound of one histogram."""
    p50, p90, p99 = (float(percentiles(buckets, counts, q)) for q in (0.5, 0.9, 0.99))
    return Summary(int(counts.sum()), p50, p90, p99, float(upper_edges(buckets, counts)))


def merged(buckets: Buckets, histograms: Iterable[Counts]) -> Counts:
    """The sum of histograms over the same buckets; zeros when there is none."""
    result: Counts = np.zeros(buckets.count, dtype=np.uint64)
    for counts in histograms:
        result += counts
    return result


def starts_within(buckets: Buckets, parts: int) -> npt.NDArray[np.intp]:
    """Where buckets begin when a power of two has at most `parts` (1, 2, 4 ...) of them."""
    low = buckets.low[:-1].astype(np.int64)
    length = np.array([int(v).bit_length() - 1 for v in low.tolist()])
    step = np.maximum((1 << np.maximum(length, 0)) // parts, 1)
    return np.flatnonzero(low % step == 0)


def fold(buckets: Buckets, counts: Counts, starts: npt.NDArray[np.intp]) -> tuple[Buckets, Counts]:
    """Coarser buckets, each from one of `starts` (the first is 0) to the next, and the counts (last axis) in them."""
    low = np.append(buckets.low[starts], buckets.low[-1])
    return Buckets(buckets.unit, low), np.add.reduceat(counts, starts, axis=-1)
