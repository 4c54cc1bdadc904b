"""The table of what is counted: the most first, with rates of the last interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ebtop import countrow, registry
from ebtop.model.activity import amount
from ebtop.model.snapshot import ToolSnapshot
from ebtop.probing.plan import Mode
from ebtop.tick import Phase, Tick, ToolState
from ebtop.ui.counts import CountRows, counts
from tests.unit.planned import PLAN

POINT = PLAN.points[0]
TOOL = registry.made(replace(PLAN, mode=Mode.COUNT, points=(POINT, replace(POINT, name="kprobe:\x1b[2J"))))
SECOND = 1_000_000_000


def tick(at: int, *rows: tuple[int, int]) -> Tick:
    return Tick(TOOL.name, at * SECOND, (at + 1) * SECOND, rows=np.array([(k, 0, n) for k, n in rows], countrow.ROW))


def test_counts_of_all_that_is_held_and_rates_of_the_last_interval() -> None:
    ticks = (
        tick(0, (0, 5), (1, 7)),
        tick(1, (0, 4)),
        Tick(TOOL.name, 2 * SECOND, 4 * SECOND, rows=tick(0, (1, 3)).rows),
    )
    found = counts(ToolSnapshot(TOOL, ToolState(TOOL.name, Phase.RUNNING), ticks))
    assert [(one.key, one.total, one.rate) for one in found] == [(1, 10, 1.5), (0, 9, 0.0)]
    assert "\x1b" not in found[0].name and found[1].name == POINT.name
    assert [amount(each) for each in ticks] == [12, 4, 3]


def test_nothing_was_counted_yet() -> None:
    assert counts(ToolSnapshot(TOOL, ToolState(TOOL.name, Phase.RUNNING))) == ()
    empty = Tick(TOOL.name, 0, SECOND, rows=np.zeros(0, countrow.ROW))
    assert counts(ToolSnapshot(TOOL, ToolState(TOOL.name, Phase.RUNNING), (empty,))) == ()


def test_a_row_is_found_again_when_the_order_is_another() -> None:
    rows = CountRows(
        counts(ToolSnapshot(TOOL, ToolState(TOOL.name, Phase.RUNNING), (tick(0, (0, 5), (1, 7)),))), "PROBE"
    )
    assert [rows.key(row) for row in range(len(rows))] == [1, 0]
    assert rows.find(0) == 1 and rows.find(9) is None
    assert [cell.text for cell in rows.cells(0, ["total", "rate"])] == ["7", "7"]
