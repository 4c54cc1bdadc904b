"""Heat maps: which ticks are a column, which buckets a row, and how dark a cell is; groups and who is in a cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebtop.model.groups import By, ranked, sparse, waiters, whole
from ebtop.model.heat import LEVELS, columns, covering, densities, levels, merge_columns, rows
from ebtop.model.latency import LatencyReader
from ebtop.model.percentiles import Counts, starts_within
from ebtop.model.window import Window, said, spanned, within
from ebtop.tick import Histogram, Tick
from ebtop.tool import log_buckets

SECOND = 10**9
BUCKETS = log_buckets("ns", powers=36)


def counts(**at: int) -> Counts:
    """Counts by bucket: counts(b5=2)."""
    result = np.zeros(BUCKETS.count, dtype=np.uint64)
    for bucket, number in at.items():
        result[int(bucket[1:])] = number
    return result


def tick(second: int, *histograms: Histogram) -> Tick:
    return Tick("t", second * SECOND, (second + 1) * SECOND, histograms=histograms)


def test_a_column_per_tick_newest_kept() -> None:
    found = columns([i * SECOND for i in range(100)], 30, newest_only=True)
    assert found.starts.tolist() == list(range(70, 100))
    assert found.ticks_each == 1
    assert len(columns([], 30, newest_only=True).starts) == 0


def test_merged_columns_only_change_at_the_newest() -> None:
    times = [i * SECOND + 3_000_000 for i in range(1000, 1400)]
    before, after = columns(times[:-1], 50, newest_only=False), columns(times, 50, newest_only=False)
    assert before.ticks_each == after.ticks_each == 10
    assert len(after.starts) <= 50
    assert before.starts.tolist()[:-1] == after.starts.tolist()[: len(before.starts) - 1]


@given(st.integers(1, 700), st.integers(1, 90))
def test_merging_loses_nothing_while_all_fits(ticks: int, width: int) -> None:
    by_tick = np.ones((ticks, 3), dtype=np.uint64)
    found = columns([i * SECOND for i in range(ticks)], width, newest_only=False)
    assert 0 < len(found.starts) <= width
    if found.ticks_each < 600:
        assert merge_columns(by_tick, found.starts).sum() == by_tick.sum()


@given(st.integers(0, BUCKETS.count - 1), st.integers(0, BUCKETS.count - 1), st.integers(4, 60))
def test_rows_fit_and_cover_everything(one: int, other: int, height: int) -> None:
    first, last = sorted((one, other))
    starts = rows(BUCKETS, first, last, height)
    assert covering(starts, first, last) <= height
    assert starts[0] == 0
    assert np.add.reduceat(np.ones(BUCKETS.count), starts).sum() == BUCKETS.count


def test_rows_are_the_finest_that_fit() -> None:
    first, last = 40, 79  # ten powers of two
    assert [covering(rows(BUCKETS, first, last, h), first, last) for h in (40, 39, 20, 10, 9, 5)] == [
        40,
        20,
        20,
        10,
        5,
        5,
    ]


def test_what_is_below_the_floor_shares_a_row() -> None:
    starts = rows(BUCKETS, 40, 79, 8, floor=51)
    assert BUCKETS.low[starts].tolist()[:3] == [0, 1 << 14, 1 << 15]
    assert covering(starts, 40, 79) == 8


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_an_even_distribution_is_no_saw(parts: int) -> None:
    starts = starts_within(BUCKETS, parts)
    even = np.round(1000 * np.diff(np.log2(np.append(BUCKETS.low[starts[20:]], BUCKETS.low[-1])))).astype(np.uint64)
    found = densities(BUCKETS, starts, np.concatenate([np.zeros(20, dtype=np.uint64), even]))[20:]
    assert found.max() / found.min() < 1.02
    if parts == 1:
        assert found.tolist() == even.tolist()


def test_levels_are_logarithmic_and_keep_their_scale() -> None:
    found = levels(np.array([[0, 1, 2, 16, 200, 256]], dtype=np.uint64)).tolist()[0]
    assert found == [0, 1, 2, 5, 8, 8]
    assert levels(np.array([[1, 200]], dtype=np.uint64))[0, 0] == levels(np.array([[1, 255]], dtype=np.uint64))[0, 0]
    assert levels(np.zeros((2, 2), dtype=np.uint64)).max() == 0
    assert levels(np.array([[1 << 63]], dtype=np.uint64)).max() == LEVELS
    assert levels(np.array([[1]], dtype=np.uint64)).tolist() == [[1]]


def test_who_waited() -> None:
    ticks = [
        tick(0, Histogram("pid", 7, "nginx", counts(b50=4, b10=100)), Histogram("pid", 8, "bash", counts(b51=5))),
        tick(1, Histogram("pid", 7, "nginx", counts(b51=3)), Histogram("cgroup", 7, "/x", counts(b50=99))),
    ]
    parts = [sparse(t, By.PID) for t in ticks]
    assert [(w.key, w.label, w.count) for w in waiters(parts, 50, 52, 5)] == [(7, "nginx", 7), (8, "bash", 5)]
    assert [w.key for w in waiters(parts, 50, 52, 1)] == [7]
    assert waiters(parts, 60, 70, 5) == []


def test_groups_are_added_up_over_ticks() -> None:
    big = (1 << 64) - 2  # cgroup ids are 64 bits wide
    ticks = [tick(i, Histogram("cgroup", big, f"/{i}", counts(b20=2)), Histogram("cgroup", 3, "/c", counts(b40=i)))
             for i in range(3)]  # fmt: skip
    groups = {g.key: g for g in ranked(BUCKETS, [sparse(t, By.CGROUP) for t in ticks])}
    assert (groups[big].label, groups[big].count, groups[big].below) == ("/2", 6, 80)
    assert groups[3].count == 3
    assert 64 < groups[big].p50 < groups[big].p99 < 80
    assert ranked(BUCKETS, []) == []


def test_the_whole_is_the_sum_where_it_is_not_told() -> None:
    parts = Histogram("pid", 1, "a", counts(b1=1)), Histogram("pid", 2, "b", counts(b1=2))
    assert whole(tick(0, *parts), BUCKETS)[1] == 3
    assert whole(tick(0, Histogram("all", 0, "", counts(b1=9)), *parts), BUCKETS)[1] == 9


def test_windows() -> None:
    ticks = [tick(i) for i in range(100)]
    assert [len(within(w, ticks)) for w in Window] == [1, 60, 100]
    assert [len(within(w, [])) for w in Window] == [0, 0, 0]
    assert spanned(ticks) == 100
    assert Window.LAST.next.next.next is Window.LAST
    assert said(Window.MINUTE, 20) == "last minute (20 s so far)"
    assert said(Window.MINUTE, 60) == "last minute"


def test_reading_follows_window_group_and_choice() -> None:
    ticks = [tick(i, Histogram("all", 0, "", counts(b9=3)), Histogram("pid", 5, "x", counts(b9=1))) for i in range(70)]
    reader = LatencyReader(BUCKETS)
    assert reader.read(ticks, Window.LAST, By.ALL, None).counts.sum() == 3
    assert reader.read(ticks, Window.MINUTE, By.ALL, None).counts.sum() == 180
    found = reader.read(ticks, Window.HELD, By.PID, None)
    assert found.chosen is not None
    assert found.chosen.key == 5
    assert found.counts.sum() == 70
    assert found.by_tick.shape == (70, BUCKETS.count)
    gone = reader.read(ticks, Window.HELD, By.PID, 6)
    assert gone.chosen is None
    assert gone.counts.sum() == 0
    assert reader.read([], Window.HELD, By.PID, None).counts.sum() == 0


def test_reading_forgets_what_history_has_dropped() -> None:
    reader = LatencyReader(BUCKETS)
    ticks = [tick(i, Histogram("all", 0, "", counts(b9=3))) for i in range(30)]
    reader.read(ticks, Window.HELD, By.ALL, None)
    reader.read(ticks[20:], Window.HELD, By.ALL, None)
    assert len(reader._whole) == len(reader._sparse) == 10
