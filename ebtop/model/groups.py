"""Histograms by process or cgroup: who is in a tick, added up over many, and ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from ebtop.model.percentiles import Counts, merged, percentiles, upper_edges
from ebtop.tick import Tick
from ebtop.tool import Buckets


class By(StrEnum):
    """What histograms are told apart by; the value is `Histogram.group`."""

    ALL = "all"
    PID = "pid"
    CGROUP = "cgroup"
    PART = "probe"  # of tools that have Tool.histogram_parts


@dataclass(frozen=True, slots=True)
class Sparse:
    """The histograms of one tick and one kind of group: only what is not zero, as most of it is.

    `group[i]` is an index into `keys`; it has `count[i]` in bucket `bucket[i]`. `labels` go by key.
    """

    keys: npt.NDArray[np.uint64]
    labels: dict[int, str]
    group: npt.NDArray[np.intp]
    bucket: npt.NDArray[np.intp]
    count: npt.NDArray[np.uint64]

    def of(self, key: int, buckets: Buckets) -> Counts:
        """The histogram of one group; zeros when it is not there."""
        result: Counts = np.zeros(buckets.count, dtype=np.uint64)
        found = np.flatnonzero(self.keys == key)
        if len(found):
            mine = self.group == found[0]
            result[self.bucket[mine]] = self.count[mine]
        return result


@dataclass(frozen=True, slots=True)
class Group:
    """A row of the table of groups; percentiles in the unit of the tool's buckets, as in `percentiles.Summary`."""

    key: int
    label: str
    count: int
    p50: float
    p99: float
    below: float


@dataclass(frozen=True, slots=True)
class Waiter:
    """A process that was in a cell of the heat map, and how often."""

    key: int
    label: str
    count: int


def sparse(tick: Tick, by: By) -> Sparse:
    """The tick's histograms of that kind."""
    chosen = [h for h in tick.histograms if h.group == by.value]
    keys = np.array([h.key for h in chosen], dtype=np.uint64)
    labels = {h.key: h.label for h in chosen}
    if not chosen:
        nothing = np.zeros(0, dtype=np.intp)
        return Sparse(keys, labels, nothing, nothing, np.zeros(0, dtype=np.uint64))
    dense = np.stack([h.counts for h in chosen])
    group, bucket = np.nonzero(dense)
    return Sparse(keys, labels, group, bucket, dense[group, bucket].astype(np.uint64))


def whole(tick: Tick, buckets: Buckets) -> Counts:
    """The tick's histogram of the whole system; the sum of its processes where there is none of the whole."""
    everything = [h.counts for h in tick.histograms if h.group == By.ALL.value]
    return merged(buckets, everything or [h.counts for h in tick.histograms if h.group == By.PID.value])


def ranked(buckets: Buckets, parts: Sequence[Sparse]) -> list[Group]:
    """Every group of these ticks with its percentiles over all of them, in no particular order."""
    keys, labels, flat = _added_up(buckets, parts)
    if len(keys) == 0:
        return []
    p50, p99 = percentiles(buckets, flat, 0.5), percentiles(buckets, flat, 0.99)
    total, below = flat.sum(axis=1), upper_edges(buckets, flat)
    columns = zip(keys.tolist(), total.tolist(), p50.tolist(), p99.tolist(), below.tolist(), strict=True)
    return [Group(key, labels[key], *numbers) for key, *numbers in columns if numbers[0]]


def waiters(parts: Sequence[Sparse], low: int, high: int, most: int) -> list[Waiter]:
    """Who has counts in buckets `low` to `high` (exclusive) in these ticks: at most so many, the largest first."""
    counts: dict[int, int] = {}
    labels: dict[int, str] = {}
    for part in parts:
        inside = (part.bucket >= low) & (part.bucket < high)
        if not inside.any():
            continue
        sums = np.bincount(part.group[inside], weights=part.count[inside], minlength=len(part.keys))
        for at in np.flatnonzero(sums):
            key = int(part.keys[at])
            counts[key] = counts.get(key, 0) + int(sums[at])
            labels[key] = part.labels[key]
    first = sorted(counts, key=lambda key: (-counts[key], key))[:most]
    return [Waiter(key, labels[key], counts[key]) for key in first]


def _added_up(buckets: Buckets, parts: Sequence[Sparse]) -> tuple[npt.NDArray[np.uint64], dict[int, str], Counts]:
    """All keys, their newest labels, and one histogram for each key (keys x buckets)."""
    labels: dict[int, str] = {}
    for part in parts:
        labels |= part.labels
    all_keys = np.concatenate([p.keys for p in parts]) if parts else np.zeros(0, dtype=np.uint64)
    keys, place = np.unique(all_keys, return_inverse=True)
    counts: Counts = np.zeros((len(keys), buckets.count), dtype=np.uint64)
    begin = 0
    for part in parts:
        mine = place[begin : begin + len(part.keys)]
        counts[mine[part.group], part.bucket] += part.count
        begin += len(part.keys)
    return keys, labels, counts
