"""What a time bar is drawn of, and where its cells lead."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebtop.model.activity import LEVELS, Moment, Scale, step

S = 1_000_000_000


def every_second(*amounts: int) -> list[Moment]:
    return [Moment((n + 1) * S, amount) for n, amount in enumerate(amounts)]


def test_the_busiest_cell_is_full_and_a_little_is_seen() -> None:
    activity = every_second(0, 1, 10_000, 0, 2500)
    assert Scale.of(activity, 80).levels(activity) == [0, 1, LEVELS, 0, LEVELS // 2]
    assert Scale.of(activity, 3).levels(activity) == [1, LEVELS, LEVELS // 2]


def test_nothing_is_an_empty_bar() -> None:
    activity = every_second(0, 0, 0)
    assert Scale.of(activity, 80).levels(activity) == [0, 0, 0]


@pytest.mark.parametrize("width", [10, 59, 60, 61, 200])
def test_ticks_that_come_early_or_late_leave_no_gap(width: int) -> None:
    chance = random.Random(width)
    activity = [Moment(n * S + chance.randrange(-S // 20, S // 20), 7) for n in range(1, 61)]
    found = Scale.of(activity, width).levels(activity)
    assert len(found) <= width
    assert all(found)


moments = st.lists(st.builds(Moment, st.integers(0, (1 << 63) - 1), st.integers(0, 1 << 40)), min_size=1, max_size=30)


@given(activity=moments, width=st.integers(1, 300))
def test_any_activity_in_any_width(activity: list[Moment], width: int) -> None:
    scale = Scale.of(activity, width)
    found = scale.levels(activity)
    assert len(found) == scale.count <= width
    assert all(0 <= level <= LEVELS for level in found)
    assert (max(found) == LEVELS) == any(moment.amount for moment in activity)
    for moment in activity:  # what is drawn in a cell is shown by a click on it
        assert moment.end <= scale.end(scale.cell(moment.end))


def test_steps() -> None:
    activity = [Moment(end * S // 10, 1) for end in (10, 20, 21, 22, 31, 60)]
    assert [step(activity, 60 * S // 10, by * S) for by in (-1, -4, -10, 1)] == [31 * S // 10, 2 * S, S, 6 * S]
    assert [step(activity, S, by * S) for by in (1, 2, 10, -1)] == [2 * S, 31 * S // 10, 6 * S, S]
