"""Looking at what was so a while ago, while capture goes on."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from tests.ui import synthetic
from tests.ui.screen import OPENS, TOOLS, dashboard, filled, lines, shown, started, ticks, until
from tests.ui.synthetic import Scripted


async def test_the_past_is_looked_at_while_capture_goes_on():
    source = Scripted(started(6))
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        every = len(rows.model)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: len(rows.model) < every)
        one_back = len(rows.model)
        times = [rows.model.value(r, "ts") for r in range(one_back)]
        assert "PAUSED at" in lines(pilot)[0]
        source.say(synthetic.tick(OPENS, 8, 200))
        await pilot.pause(0.3)
        assert [rows.model.value(r, "ts") for r in range(len(rows.model))] == times  # what is looked at does not move
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: len(rows.model) < one_back)
        await pilot.press("slash", *"ret<0", "enter")
        await until(pilot, lambda: all(rows.model.value(r, "ret") < 0 for r in range(len(rows.model))))
        await pilot.press("escape", "right_square_bracket")
        await until(pilot, lambda: len(rows.model) == one_back)
        await pilot.press("left_curly_bracket")
        await until(pilot, lambda: len(rows.model) == every // 6)
        await pilot.press("right_curly_bracket")
        await until(pilot, lambda: len(rows.model) > every)
        assert "PAUSED at" in lines(pilot)[0]
        await pilot.press("end")
        await until(pilot, lambda: "LIVE" in lines(pilot)[0])
        assert "End now" not in shown(pilot)


async def test_a_click_on_the_time_bar_leads_to_that_time():
    source = Scripted(started(10))
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        every = len(rows.model)
        await pilot.click("#timebar", offset=(6, 0))
        await until(pilot, lambda: len(rows.model) == every // 10)
        await pilot.click("#timebar", offset=(10, 0))
        await until(pilot, lambda: len(rows.model) == every // 2)
        assert "End now" in shown(pilot)


async def test_end_types_where_a_filter_is_typed():
    source = Scripted(started(4))
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "PAUSED at" in lines(pilot)[0])
        await pilot.press("slash", *"ret", "home", "end", *"<0")
        assert pilot.app.query_one(Input).value == "ret<0"
        assert "PAUSED at" in lines(pilot)[0]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
async def test_every_pane_shows_what_it_showed_then(tool):
    then, now = ticks(3, tools=[tool]), ticks(6, tools=[tool])
    screens = []
    for said in (then, now):
        source = Scripted([synthetic.vitals(), *map(synthetic.running, TOOLS), *said])
        async with dashboard(source, first=tool.name).run_test(size=(120, 36)) as pilot:
            await until(pilot, lambda: "[ back" in shown(pilot))
            if said is now:
                await pilot.press(*["left_square_bracket"] * 3)
            else:
                await pilot.press("space")
            await until(pilot, lambda: "PAUSED at" in lines(pilot)[0])
            await pilot.pause(0.3)
            screens.append("\n".join(lines(pilot)[2:-2]))
    assert screens[0] == screens[1]
