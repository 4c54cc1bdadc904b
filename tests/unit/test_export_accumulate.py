"""Ticks added up over an output interval, and the counts of a whole run."""

from __future__ import annotations

import numpy as np
import pytest

from ebtop.export.accumulate import Accumulator, By
from ebtop.export.summary import Tally
from ebtop.tick import Cost, Frame, Histogram, Stack, Tick

A, B = (Frame("a", "", False),), (Frame("b", "", False),)


def counts(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(numbers, np.uint64)


def tick(start: int, *histograms: Histogram, **fields: object) -> Tick:
    return Tick("x", start, start + 10, histograms=histograms, **fields)  # type: ignore[arg-type]


def test_nothing_in_nothing_out() -> None:
    accumulator = Accumulator()
    assert accumulator.take() is None
    accumulator.add(Tick("x", 1, 2))
    assert accumulator.take() == Tick("x", 1, 2)
    assert accumulator.take() is None


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("all", [("all", 0, "all", [5, 2])]),
        ("pid", [("pid", 8, "ls", [0, 9]), ("pid", 7, "sh", [4, 0])]),
        ("cgroup", []),
    ],
)
def test_histograms_of_one_group_add_up(by: By, expected: list[object]) -> None:
    whole = counts(2, 1)
    accumulator = Accumulator(by)
    accumulator.add(tick(0, Histogram("all", 0, "all", whole), Histogram("pid", 7, "sh", counts(1, 0))))
    accumulator.add(
        tick(10, Histogram("all", 0, "all", counts(3, 1)), Histogram("pid", 7, "", counts(3, 0)),
             Histogram("pid", 8, "ls", counts(0, 9)))
    )  # fmt: skip
    merged = accumulator.take()
    assert merged is not None
    assert (merged.start, merged.end) == (0, 20)
    assert [(h.group, h.key, h.label, h.counts.tolist()) for h in merged.histograms] == expected
    assert whole.tolist() == [2, 1]  # a tick is immutable


def test_stacks_names_losses_and_cost_add_up() -> None:
    accumulator = Accumulator()
    stacks = (Stack(A, 1, 1, 1, "sh"), Stack(B, 2, 1, 1, "sh"))
    first = tick(0, stacks=stacks, lost={"full": 1}, cost=Cost(5, 1), names={"cgroup": {1: "/a"}})
    second = tick(10, stacks=stacks[:1] * 2, lost={"full": 2, "cut": 1}, cost=Cost(6, 2), names={"cgroup": {2: "/b"}})
    accumulator.add(first)
    accumulator.add(second)
    assert accumulator.take() == Tick(
        "x", 0, 20, stacks=(Stack(A, 3, 1, 1, "sh"), Stack(B, 2, 1, 1, "sh")), lost={"full": 3, "cut": 1},
        cost=Cost(11, 3), names={"cgroup": {1: "/a", 2: "/b"}},
    )  # fmt: skip
    accumulator.add(second)
    again = accumulator.take()
    assert again is not None
    assert again.lost == {"full": 2, "cut": 1}
    assert again.stacks == (Stack(A, 2, 1, 1, "sh"),)


def test_tally() -> None:
    batch = np.zeros(5, np.dtype([("ts", "<u8"), ("truncated", "<u4")]))
    batch["truncated"][1:3] = 1
    tally = Tally("x")
    tally.add(Tick("x", 10**9, 2 * 10**9, events=(batch, np.zeros(3, np.dtype([("ts", "<u8")]))), lost={"full": 3}))
    tally.add(Tick("x", 2 * 10**9, 3_250_000_000, events=(batch[:2],), lost={"full": 1, "cut": 2}))
    summary = tally.summary(("probe:a",), exit_code=0)
    assert (summary.events, summary.lost, summary.truncated) == (10, 6, 3)
    assert (summary.tool, summary.probes, summary.exit_code) == ("x", ("probe:a",), 0)
    assert summary.duration_s == 2.25
    assert Tally("x").summary(()).duration_s == 0
