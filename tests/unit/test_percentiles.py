"""Percentiles against the values that the histograms were made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebtop.model.percentiles import fold, merged, percentiles, starts_within, summary, upper_edges
from ebtop.tool import Buckets, log_buckets

BUCKETS = log_buckets("ns", powers=36)
VALUES = st.lists(st.integers(0, (1 << 36) - 1), min_size=1, max_size=200)


def histogram(values: list[int], buckets: Buckets = BUCKETS) -> np.ndarray:
    places = np.searchsorted(buckets.low, np.array(values, dtype=np.uint64), "right") - 1
    return np.bincount(places, minlength=buckets.count).astype(np.uint64)


def test_interpolates_within_the_bucket() -> None:
    buckets = Buckets("ns", np.array([0, 100, 200, 400], dtype=np.uint64))
    counts = np.array([10, 0, 30], dtype=np.uint64)
    assert percentiles(buckets, counts, 0.25) == 100
    assert percentiles(buckets, counts, 0.5) == pytest.approx(200 + 200 * 10 / 30)
    assert percentiles(buckets, counts, 1.0) == 400


def test_one_sample_lies_in_its_bucket() -> None:
    found = summary(BUCKETS, histogram([72]))
    assert found.total == 1
    assert 64 <= found.p50 < found.p90 < found.p99 <= found.below == 80


def test_nothing_has_no_percentiles() -> None:
    found = summary(BUCKETS, histogram([])) if BUCKETS.count else None
    assert found is not None
    assert found.total == 0
    assert all(math.isnan(value) for value in (found.p50, found.p90, found.p99, found.below))


def test_rows_are_independent() -> None:
    both = np.stack([histogram([5] * 10), histogram([]), histogram([1000])])
    p50 = percentiles(BUCKETS, both, 0.5)
    assert p50.tolist()[0] == percentiles(BUCKETS, both[0], 0.5)
    assert math.isnan(p50[1])
    assert 896 <= p50[2] <= 1024
    assert upper_edges(BUCKETS, both)[[0, 2]].tolist() == [6, 1024]


@pytest.mark.parametrize("share", [0, -0.1, 1.01])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        percentiles(BUCKETS, histogram([1]), share)


@given(VALUES, st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_lies_in_the_bucket_of_the_exact_one(values: list[int], share: float) -> None:
    exact = sorted(values)[max(math.ceil(share * len(values)), 1) - 1]
    bucket = int(np.searchsorted(BUCKETS.low, np.uint64(exact), "right")) - 1
    found = float(percentiles(BUCKETS, histogram(values), share))
    assert float(BUCKETS.low[bucket]) <= found <= float(BUCKETS.low[bucket + 1])


@given(VALUES)
def test_the_largest_is_below_the_bound(values: list[int]) -> None:
    found = summary(BUCKETS, histogram(values))
    assert max(values) < found.below <= max(max(values) * 1.25 + 1, 4)
    assert found.p50 <= found.p90 <= found.p99 <= found.below


@given(VALUES, VALUES)
def test_merged_is_as_if_counted_together(first: list[int], second: list[int]) -> None:
    together = merged(BUCKETS, [histogram(first), histogram(second)])
    assert together.tolist() == histogram(first + second).tolist()
    assert together.dtype == np.uint64
    assert merged(BUCKETS, []).tolist() == [0] * BUCKETS.count


@given(VALUES, st.sampled_from([1, 2, 4]))
def test_folding_is_as_if_counted_coarsely(values: list[int], parts: int) -> None:
    coarse, counts = fold(BUCKETS, histogram(values), starts_within(BUCKETS, parts))
    assert counts.tolist() == histogram(values, coarse).tolist()
    assert counts.sum() == len(values)


def test_powers_of_two() -> None:
    coarse, _ = fold(BUCKETS, histogram([]), starts_within(BUCKETS, 1))
    assert coarse.low.tolist() == [0, *(1 << power for power in range(37))]
