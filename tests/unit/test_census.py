"""Who is there, and what adds up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ebtop.model.census import DONE, SUMMED, WIDE, census, fold_keys, folded, since_keyframe, summed
from ebtop.processrow import KEYFRAME, KEYFRAME_EVERY, ROW, joined
from tests.unit.processticks import MS, SECOND, batch, gone, process, tick


def pids(found) -> list[int]:
    return found.rows["pid"].tolist()


def test_nobody_is_there_before_the_first_tick() -> None:
    assert len(census(()).rows) == 0
    assert len(census([tick(0)]).rows) == 0
    assert len(census([replace(tick(0), rows=None)]).rows) == 0


def test_who_did_nothing_stays_with_zeros_and_grows_older() -> None:
    ticks = [tick(0, process(5, cpu_ns=7, rss=900, wait={3: 2}), process(6)), tick(1, process(6, cpu_ns=9))]
    found = census(ticks)
    assert pids(found) == [5, 6]
    idle, busy = found.rows
    assert all(not idle[name].any() for name in DONE)
    assert (idle["rss"], idle["age_ns"], idle["count"]) == (900, 101 * SECOND, 1)
    assert (busy["cpu_ns"], busy["age_ns"]) == (9, 100 * SECOND)


def test_who_ended_is_seen_in_that_tick_and_no_later() -> None:
    ticks = [tick(0, process(5), process(6)), tick(1, process(5, state=b"X", cpu_ns=3)), tick(2, process(6, cpu_ns=1))]
    assert pids(census(ticks[:1])) == [5, 6]
    then = census(ticks[:2])
    assert (pids(then), then.living) == ([6, 5], 1)
    assert then.rows["cpu_ns"].tolist() == [0, 3]
    assert pids(census(ticks)) == [6]


def test_a_pid_that_is_used_again_is_somebody_else() -> None:
    ticks = [tick(0, process(5)), tick(1, process(5, state=b"X"), process(5, id=77, comm=b"new"))]
    found = census(ticks)
    assert found.rows["comm"].tolist() == [b"new", b"p5"]
    assert census([*ticks, tick(2)]).rows["comm"].tolist() == [b"new"]


def test_a_keyframe_forgets_who_is_not_in_it() -> None:
    ticks = [tick(0, process(5), process(6)), tick(1, process(6)), replace(tick(2, process(6)), gauges={KEYFRAME: 1.0})]
    assert pids(census(ticks[:2])) == [5, 6]
    assert pids(census(ticks)) == [6]


def test_without_a_word_of_keyframes_the_last_few_ticks_name_everyone() -> None:
    ticks = [replace(tick(n, *([process(5)] if n == 0 else [])), gauges={}) for n in range(KEYFRAME_EVERY + 1)]
    assert pids(census(ticks[:-1])) == [5]
    assert pids(census(ticks)) == []
    assert len(since_keyframe(ticks)) == KEYFRAME_EVERY


def test_a_census_needs_no_more_than_the_ticks_since_the_keyframe() -> None:
    ticks = [tick(n, process(5 + n)) for n in range(4)]
    ticks[2] = replace(ticks[2], gauges={KEYFRAME: 1.0})
    assert since_keyframe(ticks) == ticks[2:]
    assert pids(census(ticks)) == pids(census(ticks[2:])) == [7, 8]


def test_sums_are_those_of_every_row_and_do_not_overflow() -> None:
    most = (1 << 32) - 1
    rows = census([tick(0, *(process(n, opens=most, wait={2: most, 4: 1}, cpu_ns=n) for n in range(1, 5)))]).rows
    total = summed(rows)[0]
    assert total["opens"] == 4 * most
    assert total["wait"].tolist()[2:5] == [4 * most, 0, 4]
    assert total["cpu_ns"] == 1 + 2 + 3 + 4
    assert total["pid"] == 0


def test_every_field_of_a_count_adds_up() -> None:
    """A field that the row is given one day has to be put on one side."""
    who = {"id", "start", "age_ns", "cgroup", "pid", "ppid", "uid", "exit_code", "comm", "state", "kind"}
    assert set(ROW.names or ()) == who | set(SUMMED)


def test_short_lived_ones_are_folded_below_their_parent() -> None:
    rows = [
        process(8), process(9), gone(20, 8, b"sh", 20, cpu_ns=100 * MS, failed_exits=2, wait={1: 3}, age_ns=4 * MS),
        gone(21, 8, b"sed", 27, cpu_ns=200 * MS, wait={1: 4}, age_ns=6 * MS), gone(22, 9, b"sh", 1, cpu_ns=7),
        process(30, 8, state=b"X", age_ns=5 * SECOND),
    ]  # fmt: skip
    found = census([tick(0, *rows)])
    whole = folded(found.rows, found.short)
    assert whole.rows["pid"].tolist()[: whole.first_fold] == [8, 9, 30]  # who lived longer stands alone
    folds = {int(row["ppid"]): row for row in whole.rows[whole.first_fold :]}
    assert (folds[8]["count"], folds[8]["exits"], folds[8]["failed_exits"]) == (47, 47, 2)
    assert (folds[8]["cpu_ns"], folds[8]["wait"][1], folds[9]["cpu_ns"]) == (300 * MS, 7, 7)
    assert folds[8]["age_ns"] == pytest.approx((20 * 4 + 27 * 6) / 47 * MS, rel=1e-6)
    members = dict(zip(whole.rows["ppid"][whole.first_fold :].tolist(), whole.members, strict=True))
    assert members == {8: [(b"sed", 27), (b"sh", 20)], 9: [(b"sh", 1)]}
    assert whole.keys[whole.first_fold :].tolist() == fold_keys(np.array([9, 8], np.uint32)).tolist()
    assert summed(whole.rows) == summed(found.rows)


def test_the_length_of_the_interval_is_never_nothing() -> None:
    odd = replace(tick(0, process(5, cpu_ns=5)), end=0)
    assert census([odd]).seconds > 0


def test_batches_are_joined_in_the_layout_of_the_first() -> None:
    """Be they of one layout or of several, whole or every second row."""
    rows = batch(process(5, wait={3: 2}), process(6), process(7))
    assert joined([rows, rows[::2]]).tobytes() == rows.tobytes() + rows[::2].tobytes()
    assert joined([rows, rows.astype(WIDE)]).tobytes() == 2 * rows.tobytes()
    assert joined([rows.astype(WIDE), rows]).tobytes() == 2 * rows.astype(WIDE).tobytes()
