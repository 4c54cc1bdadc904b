"""What comes in every second is drawn into a layout that stays: working the layout out anew takes longer than drawing,
and whatever then moves by a cell is what an eye follows."""

from __future__ import annotations

import pytest
from textual.screen import Screen
from textual.scrollbar import ScrollBar

from tests.ui import synthetic
from tests.ui.screen import OPENS, TOOLS, dashboard, filled, settled, started, table, until
from tests.ui.synthetic import Scripted

BEFORE, AFTER = 8, 12
SEEN = [t for t in TOOLS if t.make is None]


def _counted(monkeypatch: pytest.MonkeyPatch, of: type, method: str) -> list[object]:
    calls: list[object] = []
    real = getattr(of, method)

    def counting(self, *args, **how):
        calls.append(self)
        return real(self, *args, **how)

    monkeypatch.setattr(of, method, counting)
    return calls


async def _go_on(pilot, source: Scripted, tool) -> None:
    """Second after second, each drawn before the next."""
    for number in range(BEFORE, AFTER):
        source.say(synthetic.tick(tool, number, 200))
        await until(pilot, lambda n=number: len(pilot.app.screen._snapshot.tools[tool.name].ticks) == n + 1)
        await settled(pilot, 0.1)


@pytest.mark.parametrize("tool", SEEN, ids=lambda t: t.name)
@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_a_tick_lays_nothing_out_anew(monkeypatch, tool, size):
    source = Scripted(started(BEFORE))
    async with dashboard(source, first=tool.name).run_test(size=size) as pilot:
        await until(pilot, lambda: len(pilot.app.screen._snapshot.tools[tool.name].ticks) == BEFORE)
        await settled(pilot)
        layouts = _counted(monkeypatch, Screen, "_refresh_layout")
        await _go_on(pilot, source, tool)
        assert not layouts


async def test_the_scrollbar_of_a_long_list_is_drawn_when_it_looks_another_way(monkeypatch):
    source = Scripted(started(BEFORE, rate=2000))
    async with dashboard(source, first=OPENS.name).run_test() as pilot:
        await filled(pilot)
        await settled(pilot)
        drawn = _counted(monkeypatch, ScrollBar, "render")
        await _go_on(pilot, source, OPENS)
        assert not drawn
        bar = table(pilot).vertical_scrollbar
        assert bar.position == table(pilot).scroll_y > 0
        assert bar.window_virtual_size == len(table(pilot).model) + 1
        await pilot.press("home")
        await until(pilot, lambda: drawn)
        assert bar.position == 0


async def test_the_scrollbar_is_where_the_mouse_takes_hold_of_it():
    """Its numbers are right though it was not drawn for each: dragged half the way up, it shows the middle."""
    async with dashboard(Scripted(started(BEFORE, rate=2000)), first=OPENS.name).run_test(size=(120, 36)) as pilot:
        shown = await filled(pilot)
        await settled(pilot)
        bar = shown.vertical_scrollbar
        region = bar.region
        assert shown.following
        await pilot.mouse_down(offset=(region.x, region.bottom - 1))
        await pilot.hover(offset=(region.x, region.y + region.height // 2))
        await pilot.mouse_up(offset=(region.x, region.y + region.height // 2))
        await until(pilot, lambda: not shown.following)
        rows = len(shown.model)
        assert 0.4 * rows < shown.scroll_y < 0.6 * rows
