"""The pane of processes driven by its keys, on a machine that is made up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widgets import Input

from ebtop import registry
from ebtop.config import Config
from ebtop.tick import SetFocus
from ebtop.ui.choose import Choose
from ebtop.ui.process_page import ProcessPage
from ebtop.ui.processes import ProcessesView
from ebtop.ui.processhead import Head
from ebtop.ui.processmodel import ProcessModel
from ebtop.ui.processtable import ProcessTable, Totals
from ebtop.ui.view import ToolView
from tests.ui import synthetic
from tests.ui.machinery import ACTORS, DEPLOY_FROM, identity
from tests.ui.screen import PROCESSES, SECONDS, details, filled, lines, machine, shown, until, watched

by_size = pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda s: f"{s[0]}x{s[1]}")


def view(pilot: Pilot) -> ProcessesView:
    found = pilot.app.screen_stack[0].view
    assert isinstance(found, ProcessesView)
    return found


def row_of(pilot: Pilot, text: str) -> int:
    """The row in which a command is."""
    model = view(pilot).query_one(ProcessTable).model
    return next(row for row in range(len(model)) if text in model.cells(row, ["argv"])[0].text)


def selected(pilot: Pilot) -> str:
    table = view(pilot).query_one(ProcessTable)
    return table.model.cells(table.cursor, ["argv"])[0].text


def test_it_is_the_first_pane() -> None:
    assert registry.tools()[0] is PROCESSES
    assert PROCESSES.key == "1"


async def test_what_looks_the_same_is_not_drawn_again(monkeypatch) -> None:
    async with watched(machine()).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        table, asked = view(pilot).query_one(ProcessTable), []
        monkeypatch.setattr(table, "refresh", lambda *regions, **_: asked.append(regions) or table)
        old = table.model
        table.set_model(ProcessModel(PROCESSES, old.found, old.sought, 10))
        assert asked == []
        fewer = replace(old.found, order=old.found.order[[0, 2, *range(2, len(old.found.order))]])
        table.set_model(ProcessModel(PROCESSES, fewer, old.sought, 10))
        (regions,) = asked
        assert [region.y for region in regions] == [2]


@by_size
async def test_who_does_what_at_a_glance(size) -> None:
    async with watched(machine()).run_test(size=size) as pilot:
        rows = await filled(pilot)
        await until(pilot, lambda: "47 gone" in shown(pilot))
        for text in (
            "nginx: worker",
            "burn --forever",
            "47 gone ← bash deploy.sh",
            "▲",
            "159 processes, 47 gone",
            "of 16",
            "p99",
        ):
            assert text in shown(pilot)
        shares = [rows.model.found.row(row)["cpu_ns"][0] for row in range(len(rows.model))]
        assert shares[0] == max(shares)
        assert {cell_len(line) for line in lines(pilot)} == {size[0]}


@by_size
async def test_the_last_line_is_the_sum_of_the_machine(size) -> None:
    async with watched(machine()).run_test(size=size) as pilot:
        rows = await filled(pilot)
        await until(pilot, lambda: "47 gone" in shown(pilot))
        total = sum(int(rows.model.found.row(row)["cpu_ns"][0]) for row in range(len(rows.model)))
        last = next(line for line in lines(pilot) if line.lstrip().startswith("all "))
        assert f"{total / 1e7:.0f} %" in last
        gauges = synthetic.tick(PROCESSES, SECONDS - 1, 0).gauges
        assert sum(v for k, v in gauges.items() if k.startswith("cpu")) == pytest.approx(total / 1e9, rel=0.01)


async def test_the_cursor_is_on_whoever_is_first_until_it_is_moved_and_then_on_its_process() -> None:
    source = machine(DEPLOY_FROM)
    async with watched(source).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await pilot.press("s")
        pilot.app.screen.dismiss("opens")
        await until(pilot, lambda: "OPEN/s↓" in shown(pilot))
        assert rows.cursor == 0
        source.say(synthetic.tick(PROCESSES, DEPLOY_FROM, 0))  # the shells open far more than anyone else
        await until(pilot, lambda: "47 gone" in shown(pilot))
        assert (rows.cursor, row_of(pilot, "47 gone")) == (0, 0)
        await pilot.press("down")
        held = rows.model.key(1)
        await pilot.press("r")
        await until(pilot, lambda: rows.model.find(held) > 100)
        assert rows.model.key(rows.cursor) == held
        await pilot.press("home", "r")
        await until(pilot, lambda: "OPEN/s↓" in shown(pilot))
        assert rows.cursor == 0


async def test_rows_that_change_places_above_do_not_scroll() -> None:
    source = machine(DEPLOY_FROM)
    async with watched(source).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await pilot.press("down", "down", "down")
        held, line = rows.model.key(rows.cursor), rows.cursor
        source.say(synthetic.tick(PROCESSES, DEPLOY_FROM, 0))
        await until(pilot, lambda: "47 gone" in shown(pilot))
        assert rows.model.key(rows.cursor) == held
        assert rows.cursor > line
        assert rows.scroll_y == 0


async def test_the_tree_and_what_it_hides() -> None:
    async with watched(machine()).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        every = len(rows.model)
        await pilot.press("t")
        await until(pilot, lambda: "▾ bash deploy.sh" in shown(pilot))
        assert "├ 47 gone, 5.0 ms each: sh" in shown(pilot)
        assert "└ python render.py" in shown(pilot)
        assert len(rows.model) == every
        rows._go(row_of(pilot, "bash deploy"))
        await pilot.press("left")
        await until(pilot, lambda: "▸ bash deploy.sh  +48" in shown(pilot))
        assert len(rows.model) == every - 2
        folded = rows.model.found.row(rows.cursor)[0]
        assert folded["pid"] == 8801
        assert folded["execs"] == 47
        await pilot.press("left")  # nothing left to hide: to the parent
        assert "sshd" in selected(pilot)
        rows._go(row_of(pilot, "bash deploy"))
        await pilot.press("right")
        await until(pilot, lambda: "▾ bash deploy.sh" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "▾" not in shown(pilot))


async def test_a_filter_in_the_list_and_in_the_tree() -> None:
    async with watched(machine()).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await pilot.press("slash", *"comm~nginx", "enter")
        await until(pilot, lambda: "3 of 159 shown" in shown(pilot))
        assert len(rows.model) == 3
        assert "3 of 159 processes" in shown(pilot)
        await pilot.press("t")
        await until(pilot, lambda: "▾ systemd" in shown(pilot))
        assert len(rows.model) == 4
        await pilot.press("escape")
        await until(pilot, lambda: len(rows.model) > 100)
        assert "shown" not in shown(pilot)
        assert "▾" in shown(pilot)


async def test_a_wrong_filter_says_so_and_esc_gives_the_line_back() -> None:
    async with watched(machine()).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        height = rows.size.height
        await pilot.press("slash")
        pilot.app.query_one(Input).insert_text_at_cursor("cmm=1")
        await until(pilot, lambda: "did you mean comm" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: rows.size.height == height and rows.has_focus)


async def test_sorting_by_heading_chooser_and_reversed() -> None:
    async with watched(machine()).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        heading = lines(pilot)[rows.region.y]
        await pilot.click(rows, offset=(heading.rindex("▂▅▇"), 0))  # the trend is no column to sort by
        await pilot.click(rows, offset=(heading.index("PID"), 0))
        await until(pilot, lambda: "PID↑" in shown(pilot))
        assert rows.model.found.row(0)["pid"] == 1
        await pilot.press("r")
        await until(pilot, lambda: "PID↓" in shown(pilot))
        await pilot.press("s")
        pilot.app.screen.dismiss("minor_faults")  # a hidden column is shown while it sorts
        await until(pilot, lambda: "MINFLT/s↓" in shown(pilot))


async def test_columns_are_chosen() -> None:
    async with watched(machine()).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await pilot.press("c")
        await until(pilot, lambda: "✓ PID" in shown(pilot))
        pilot.app.screen.dismiss("ppid")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choose) and "✓ PPID" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "PPID" in shown(pilot) and not isinstance(pilot.app.screen, Choose))


async def test_enter_opens_a_process_and_shows_the_row_of_who_has_gone(monkeypatch) -> None:
    opened: list[int] = []
    async with watched(machine()).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        told = type(view(pilot)).post_message

        def post(self, message):
            if isinstance(message, ToolView.OpenProcess):
                opened.append(message.pid)
            return told(self, message)

        monkeypatch.setattr(ProcessesView, "post_message", post)
        await pilot.press("enter")
        await until(pilot, lambda: opened == [2114] and isinstance(pilot.app.screen, ProcessPage))
        await pilot.press("backspace")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ProcessPage))
        assert not details(pilot).opened
        rows._go(row_of(pilot, "47 gone"))
        await pilot.press("enter")
        await until(pilot, lambda: details(pilot).opened)
        assert opened == [2114]
        await until(pilot, lambda: "failed_exits 4" in shown(pilot))
        await pilot.press("escape", "home", "d")
        await until(pilot, lambda: "voluntary" in shown(pilot))


async def test_the_focus_goes_to_the_process_and_to_nobody_who_has_gone() -> None:
    source = machine()
    async with watched(source).run_test(size=(120, 36), notifications=True) as pilot:
        rows = await filled(pilot)
        await pilot.press("F")
        rows._go(row_of(pilot, "47 gone"))
        await pilot.press("f")
        await until(pilot, lambda: "no process is selected" in shown(pilot))
        sent = [c.focus for c in source.commands if isinstance(c, SetFocus)]
        assert [focus.pids for focus in sent] == [(2114,)]


async def test_an_earlier_moment_is_shown_from_its_own_ticks() -> None:
    async with watched(machine()).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await until(pilot, lambda: "47 gone" in shown(pilot))
        await pilot.press("left_curly_bracket")
        await until(pilot, lambda: "PAUSED" in lines(pilot)[0] and "gone" not in shown(pilot))
        assert "▲" not in shown(pilot)
        assert rows.model.find(identity(next(a for a in ACTORS if a.pid == 8801))) is not None
        await pilot.press("end")
        await until(pilot, lambda: "47 gone" in shown(pilot))


async def test_little_height_leaves_the_rows() -> None:
    async with watched(machine()).run_test(size=(80, 12)) as pilot:
        await filled(pilot)
        await until(pilot, lambda: "nginx" in shown(pilot))
        assert not view(pilot).query_one(Head).display
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "run queue" in shown(pilot))
        assert view(pilot).query_one(Totals).region.height == 1


async def test_its_keys_can_be_rebound() -> None:
    config = Config(keys={"processes.tree": "T", "processes.open": "o", "ranked.down": "n"})
    async with watched(machine(), config=config).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await pilot.press("n")
        assert rows.cursor == 1
        await pilot.press("T")
        await until(pilot, lambda: "▾" in shown(pilot))
        assert "o open" in lines(pilot)[-1]
