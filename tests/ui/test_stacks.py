"""`k`: the stack of every event, asked for by a key, and shown in the details."""

from __future__ import annotations

import pytest

from ebtop import registry
from ebtop.config import Config
from ebtop.tick import TakeStacks
from tests.ui import synthetic
from tests.ui.screen import OPENS, TOOLS, dashboard, details, filled, lines, shown, started, table, until
from tests.ui.synthetic import Scripted, Synthetic

ABLE = [tool for tool in registry.tools() if tool.stacks]
OTHER = next(tool for tool in TOOLS if not tool.stacks)
HINT = "takes the stack of each event from now on"


def with_stacks():
    running = [synthetic.running(t, stacks=t.stacks) for t in TOOLS]
    return [synthetic.vitals(), *running, *(synthetic.tick(t, n, 200, stacks=True) for n in range(3) for t in TOOLS)]


def footer(pilot):
    return lines(pilot)[-1]


@pytest.mark.parametrize("tool", ABLE, ids=lambda t: t.name)
async def test_k_asks_for_stacks_and_again_no_longer(tool):
    source = Scripted(started())
    async with dashboard(source, first=tool.name).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        assert "k stacks" in footer(pilot)
        await pilot.press("k", "k", "k")
        await until(pilot, lambda: len([c for c in source.commands if isinstance(c, TakeStacks)]) == 3)
        asked = [c for c in source.commands if isinstance(c, TakeStacks)]
        assert asked == [TakeStacks(tool.name, on=on) for on in (True, False, True)]


async def test_the_pane_says_that_stacks_are_taken():
    async with dashboard(Synthetic(TOOLS, 100)).run_test(size=(80, 24)) as pilot:
        await filled(pilot)
        assert "stacks on" not in shown(pilot)
        await pilot.press("k")
        await until(pilot, lambda: "stacks on" in lines(pilot)[2])
        await pilot.press("k")
        await until(pilot, lambda: "stacks on" not in shown(pilot))


async def test_what_came_with_stacks_on_is_turned_off_by_the_first_press():
    source = Scripted(with_stacks())
    async with dashboard(source).run_test() as pilot:
        await filled(pilot)
        await until(pilot, lambda: "stacks on" in shown(pilot))
        await pilot.press("k")
        await until(pilot, lambda: TakeStacks(OPENS.name, on=False) in source.commands)


async def test_a_pane_whose_events_have_none_has_no_such_key():
    source = Scripted(started())
    async with dashboard(source, first=OTHER.name).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: OTHER.title.split()[0] in shown(pilot))
        await pilot.press("k")
        await pilot.pause()
        assert "stacks" not in footer(pilot)
        assert not [c for c in source.commands if isinstance(c, TakeStacks)]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_details_show_both_parts_root_first_and_nothing_that_acts(size):
    async with dashboard(Scripted(with_stacks())).run_test(size=size) as pilot:
        rows = await filled(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: details(pilot).opened)
        seen = set()
        for _ in range(6):
            row = rows.cursor
            frames = [rows.model.value(row, key) for key in ("stack", "kstack")]
            key = rows.model.rows.event(rows.model.rows.id(row))["stack_id"][0]
            seen.add(int(key))
            text = " › ".join(frames[0] or []).replace("\x1b", "\\x1b").replace("\x07", "\\x07") or "-"
            wanted = f"stack {text}" if key else "the stack of this event was not taken"
            await until(pilot, lambda wanted=wanted: wanted.replace(" ", "") in panel(pilot))
            if key:
                assert f"kstack{'›'.join(frames[1])}" in panel(pilot)
            assert "\x1b" not in shown(pilot)
            await pilot.press("up")
        assert seen == {0, 1, 2, 3, 4}


def panel(pilot):
    """The details without blanks: where lines break is of no matter here."""
    text = str(details(pilot).query_one("#details-text").render())
    return "".join(text.split())


async def test_without_stacks_one_line_says_how_to_get_them():
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: f"k {HINT}" in shown(pilot))
        assert "kstack" not in shown(pilot)


async def test_the_line_names_the_key_that_it_is_bound_to():
    config = Config(keys={"stream.stacks": "y"})
    async with dashboard(Scripted(started()), config=config).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: f"y {HINT}" in shown(pilot))


async def test_a_top_of_stacks_and_back_to_the_events_of_one():
    async with dashboard(Scripted(with_stacks())).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        every = len(rows.model)
        pilot.app.screen_stack[0].view.group_by("stack")
        await until(pilot, lambda: len(table(pilot).model) == len(synthetic.STACKS["stack"]) + 1)
        assert HINT not in shown(pilot)
        await pilot.press("end", "up", "enter")
        await until(pilot, lambda: 0 < len(rows.model) < every)


async def test_capture_that_is_started_again_takes_stacks_again():
    first, second = Scripted(started()), Scripted(started())
    async with dashboard(first, restart=lambda: second).run_test() as pilot:
        await filled(pilot)
        await pilot.press("k")
        await until(pilot, lambda: TakeStacks(OPENS.name, on=True) in first.commands)
        pilot.app.reader.restart(second, OPENS.name)
        await until(pilot, lambda: TakeStacks(OPENS.name, on=True) in second.commands)


async def test_a_source_that_knows_nothing_of_it_goes_on():
    """A recording: what was taken is there, and nothing else can be."""
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await pilot.press("k", "k", "k", "enter")
        await until(pilot, lambda: details(pilot).opened)
        assert len(rows.model)
        assert "stacks on" not in shown(pilot)
