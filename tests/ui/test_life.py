"""`l`: all events of what the selected one is about, in order; in a recording, too."""

from __future__ import annotations

import pytest

from ebtop.ui.streammodel import TopModel
from tests.ui.screen import OPENS, TOOLS, dashboard, details, filled, lines, shown, started, table, until
from tests.ui.synthetic import Scripted
from tests.ui.test_replay import Hand, recorded, replayed

LIVING = next(tool for tool in TOOLS if tool.life)
ENDED = ["socket", "setsockopt", "bind", "close"]


def ops(pilot):
    """What is listed, oldest first."""
    model = table(pilot).model
    return [model.value(row, "op") for row in range(len(model))]


async def choose(pilot, op):
    """Put the cursor on the newest event of that op."""
    await filled(pilot)
    for _ in range(40):
        rows = table(pilot)
        if rows.model.value(rows.cursor, "op") == op:
            return
        await pilot.press("up")
    raise AssertionError(f"no {op} among the newest:\n{shown(pilot)}")


async def test_from_the_first_call_to_close_and_back():
    async with dashboard(Scripted(started()), first=LIVING.name).run_test(size=(120, 36)) as pilot:
        await choose(pilot, "close")
        every = len(ops(pilot))
        await pilot.press("l")
        await until(pilot, lambda: ops(pilot) == ENDED)
        assert f"{LIVING.life}=" in shown(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: len(ops(pilot)) == every)
        assert f"filter {LIVING.life}" not in shown(pilot)


async def test_what_was_looked_at_comes_back():
    async with dashboard(Scripted(started()), first=LIVING.name).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await pilot.press("slash", *"op=close", "enter")
        await until(pilot, lambda: set(ops(pilot)) == {"close"})
        await pilot.press("r")
        await choose(pilot, "close")
        await pilot.press("l")
        await until(pilot, lambda: len(set(ops(pilot))) > 1)
        assert ops(pilot)[-1] == "close"
        await pilot.press("l", "escape")
        await until(pilot, lambda: set(ops(pilot)) == {"close"})
        assert "filter op=close" in shown(pilot)
        assert "newest first" in shown(pilot)


async def test_an_accept_leads_on_to_the_connection():
    async with dashboard(Scripted(started()), first=LIVING.name).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await pilot.press("slash", *"op=accept4 ret>=0", "enter")
        await until(pilot, lambda: set(ops(pilot)) == {"accept4"})
        rows = table(pilot)
        both = rows.model.value(rows.cursor, LIVING.life)
        assert len(both) == 2
        await pilot.press("l")
        await until(pilot, lambda: f"{LIVING.life}={both[1]}" in shown(pilot))


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_details_offer_it(size):
    async with dashboard(Scripted(started()), first=LIVING.name).run_test(size=size) as pilot:
        await filled(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: details(pilot).opened)
        assert "l life" in shown(pilot)


async def test_other_panes_have_no_such_key():
    async with dashboard(Scripted(started()), first=OPENS.name).run_test(size=(160, 36)) as pilot:
        await filled(pilot)
        every = len(table(pilot).model)
        assert "l life" not in lines(pilot)[-1]
        await pilot.press("l")
        await pilot.pause(0.2)
        assert len(table(pilot).model) == every


async def test_a_top_has_no_life():
    app = dashboard(Scripted(started()), first=LIVING.name)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await filled(pilot)
        await pilot.press("g", "enter")
        await until(pilot, lambda: isinstance(table(pilot).model, TopModel))
        await pilot.press("l")
        await until(pilot, lambda: f"no {LIVING.life} is selected" in shown(pilot))
        assert isinstance(table(pilot).model, TopModel)


async def test_in_a_recording(tmp_path):
    recorded(tmp_path / "r", started())
    hand = Hand()
    async with replayed(tmp_path / "r", hand, LIVING.name).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: pilot.app._panes.view is not None)
        hand.seconds += 10
        await choose(pilot, "close")
        await pilot.press("l")
        await until(pilot, lambda: ops(pilot) == ENDED)
