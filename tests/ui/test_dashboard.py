"""The dashboard driven by its keys, on sources that need no kernel and no root."""

from __future__ import annotations

import unicodedata

import pytest
from textual.widgets import Input

from ebtop.config import Config, ConfigError
from ebtop.tick import Attempt, Focus, Gone, Load, Notice, Phase, Resolve, SetFocus, Tick, ToolState
from ebtop.ui.cells import padded
from ebtop.ui.streammodel import TopModel
from tests.ui import synthetic
from tests.ui.screen import (
    CONNECTS,
    EXECS,
    OPENS,
    TOOLS,
    dashboard,
    details,
    filled,
    lines,
    shown,
    started,
    table,
    ticks,
    until,
)
from tests.ui.synthetic import Scripted


async def test_all_tools_are_asked_for_and_the_shown_one_first():
    source = Scripted(started())
    async with dashboard(source, first=CONNECTS.name).run_test() as pilot:
        await filled(pilot)
        asked = [c.tool for c in source.commands if isinstance(c, Load)]
        assert asked[0] == CONNECTS.name
        assert sorted(asked) == sorted(t.name for t in TOOLS if t.make is None)
    assert source.closed


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
@pytest.mark.parametrize("size", [(80, 24), (120, 36), (40, 10)])
async def test_every_pane_opens_by_its_key(tool, size):
    async with dashboard(Scripted(started())).run_test(size=size) as pilot:
        await pilot.press(tool.key)
        await until(pilot, lambda: tool.title.split()[0] in shown(pilot) or size[0] < 80)
        assert pilot.app.screen.current == tool.name
        assert all(len(line) <= size[0] for line in lines(pilot))


async def test_tab_goes_round_the_panes():
    async with dashboard(Scripted(started()), first=TOOLS[0].name).run_test() as pilot:
        await filled(pilot)
        seen = []
        for _ in TOOLS:
            seen.append(pilot.app.screen.current)
            await pilot.press("tab")
        assert seen == [t.name for t in TOOLS]
        await pilot.press("shift+tab")
        assert pilot.app.screen.current == TOOLS[-1].name
        await pilot.press("1")
        assert pilot.app.screen.current == TOOLS[0].name


async def test_the_cursor_follows_the_news_until_it_is_moved_up_and_again_after_end():
    source = Scripted(started(2))
    async with dashboard(source).run_test() as pilot:
        rows = await filled(pilot)
        assert rows.cursor == len(rows.model) - 1
        await pilot.press("up", "up")
        held, line = rows.model.key(rows.cursor), rows.cursor - rows._top
        before = len(rows.model)
        source.say(synthetic.tick(OPENS, 2, 200))
        await until(pilot, lambda: len(rows.model) > before)
        assert rows.model.key(rows.cursor) == held
        assert rows.cursor - rows._top == line
        await pilot.press("end")
        source.say(synthetic.tick(OPENS, 3, 200))
        await until(pilot, lambda: len(rows.model) > before + 300)
        assert rows.cursor == len(rows.model) - 1
        assert rows.max_scroll_y == rows.scroll_y


async def test_the_cursor_stays_on_its_row_when_old_ticks_go():
    source = Scripted([synthetic.vitals(), synthetic.running(OPENS)])
    one = synthetic.tick(OPENS, 0, 5000).nbytes
    async with dashboard(source, config=Config(history=int(one * 4.2))).run_test() as pilot:
        source.say(*(synthetic.tick(OPENS, n, 5000) for n in range(3)))
        rows = await filled(pilot)
        await until(pilot, lambda: len(rows.model) > 15_000)
        await pilot.press(*["pageup"] * 3)
        held, line, row = rows.model.key(rows.cursor), rows.cursor - rows._top, rows.cursor
        source.say(*(synthetic.tick(OPENS, n, 5000) for n in range(3, 6)))
        await until(pilot, lambda: rows.model.rows.parts[-1].serial == 5)
        assert rows.cursor < row
        assert rows.model.key(rows.cursor) == held
        assert rows.cursor - rows._top == line


async def test_a_filter_is_applied_and_cleared():
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        every = len(rows.model)
        await pilot.press("slash", *"ret<0")
        await until(pilot, lambda: len(rows.model) < every)
        assert rows.model.rows.total == every
        assert all(rows.model.value(r, "ret") < 0 for r in range(len(rows.model)))
        await pilot.press("enter")
        assert f"{len(rows.model)} of {every} shown" in shown(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: len(rows.model) == every)


async def test_a_wrong_filter_says_what_is_wrong_and_changes_nothing():
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        every = len(rows.model)
        await pilot.press("slash")
        pilot.app.query_one(Input).insert_text_at_cursor("pth=1")  # at once: "pth" alone is a filter
        await until(pilot, lambda: "did you mean path" in shown(pilot))
        await pilot.press("enter")
        assert len(rows.model) == every
        await pilot.press("escape")
        await until(pilot, lambda: "did you mean" not in shown(pilot))


async def test_sorting_by_key_and_by_heading():
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await pilot.press("s", *["down"] * 20)
        keys = [c.key for c in OPENS.columns]
        pilot.app.screen.dismiss("latency_ns")
        await until(pilot, lambda: rows.model.live_at_top)
        found = [rows.model.value(r, "latency_ns") for r in range(len(rows.model))]
        assert found == sorted(found, reverse=True)
        assert rows.cursor == 0
        await pilot.press("r")
        await until(pilot, lambda: rows.model.value(0, "latency_ns") == min(found))
        await pilot.click(table(pilot), offset=(20, 0))  # PID
        await until(pilot, lambda: "PID↑" in shown(pilot))
        assert "pid" in keys
        found = [rows.model.value(r, "pid") for r in range(len(rows.model))]
        assert found == sorted(found)


async def test_the_top_of_a_column_and_into_one_of_its_rows():
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await pilot.press("g", "enter")
        await until(pilot, lambda: isinstance(rows.model, TopModel))
        top = rows.model.top
        counts = [top.counted.count[top.place(r)] for r in range(len(top))]
        assert counts == sorted(counts, reverse=True)
        assert sum(counts) == top.total
        value = top.value(0)
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(rows.model, TopModel))
        assert len(rows.model) == counts[0]
        assert {rows.model.value(r, OPENS.group_by) for r in range(len(rows.model))} == {value}
        await pilot.press("g", "enter")
        await until(pilot, lambda: isinstance(rows.model, TopModel))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(rows.model, TopModel))


async def test_details_show_every_field_and_the_process():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: any(isinstance(c, Resolve) for c in source.commands))
        assert "abspath" in shown(pilot)
        pid = rows.model.value(rows.cursor, "pid")
        assert [c.pid for c in source.commands if isinstance(c, Resolve)] == [pid]
        source.say(synthetic.details(pid))
        await until(pilot, lambda: "← bash deploy.sh 8801 ←" in shown(pilot))
        assert "web-build" in shown(pilot)
        await pilot.press("escape")
        assert not details(pilot).opened


async def test_focus_is_sent_as_a_command_and_shown_when_capture_says_so():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        pid = rows.model.value(rows.cursor, "pid")
        await pilot.press("f", "F", "u")
        sent = [c.focus for c in source.commands if isinstance(c, SetFocus)]
        assert sent == [Focus(pids=(pid,)), Focus(pids=(pid,), follow=True), Focus()]
        source.say(synthetic.vitals(Focus(pids=(pid,))))
        await until(pilot, lambda: f"focus pid {pid}" in lines(pilot)[0])


async def test_a_top_of_files_has_no_process_to_focus_on():
    source = Scripted(started())
    async with dashboard(source).run_test(notifications=True) as pilot:
        rows = await filled(pilot)
        await pilot.press("g", "enter")
        await until(pilot, lambda: isinstance(rows.model, TopModel))
        await pilot.press("f")
        await until(pilot, lambda: "no process is selected" in shown(pilot))
        assert not any(isinstance(c, SetFocus) for c in source.commands)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_notices_do_not_pile_up_to_the_header(size):
    async with dashboard(Scripted(started())).run_test(size=size, notifications=True) as pilot:
        await filled(pilot)
        for number in range(12):
            pilot.app.notify(f"focus not changed: no process {number}", severity="error", timeout=30)
        await until(pilot, lambda: "no process 11" in shown(pilot))
        assert "LIVE" in lines(pilot)[0]
        assert [n for n in range(12) if f"no process {n} " in shown(pilot)] == [9, 10, 11]


async def test_the_header_says_what_was_lost_to_who_points_at_it():
    source = Scripted(started())
    async with dashboard(source).run_test(tooltips=True) as pilot:
        await filled(pilot)
        header = pilot.app.screen.query_one("#header")
        assert header.tooltip is None
        await pilot.hover("#header")
        await until(pilot, lambda: "of one core" in str(header.tooltip))
        source.say(Tick(OPENS.name, 0, 1, lost={"ring full": 12}))
        await until(pilot, lambda: "opensnoop lost 12: ring full" in str(header.tooltip))


async def test_paused_stands_still_while_capture_goes_on():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await pilot.press("space")
        await until(pilot, lambda: "PAUSED at 11:06:43" in lines(pilot)[0])
        before = len(rows.model)
        lost = Tick(OPENS.name, 0, 1, lost={"ring full": 12})
        source.say(synthetic.tick(OPENS, 3, 200), lost)
        await until(pilot, lambda: "lost 12 ▲" in lines(pilot)[0])
        assert len(rows.model) == before
        await pilot.press("r")  # other wishes are granted from what stands still
        await until(pilot, lambda: rows.model.live_at_top)
        assert len(rows.model) == before
        await pilot.press("r", "space")
        await until(pilot, lambda: len(rows.model) > before)
        assert "LIVE" in lines(pilot)[0]


async def test_a_tool_that_failed_says_why_and_what_to_do_and_the_others_go_on():
    tried = (Attempt("raw_tracepoint:sys_enter", "Operation not permitted"),)
    failed = ToolState(OPENS.name, Phase.FAILED, (), tried, "the kernel refused every probe", "run it as root")
    source = Scripted([synthetic.vitals(), failed, *ticks(tools=[EXECS])])
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "the kernel refused every probe" in shown(pilot))
        for text in ("run it as root", "raw_tracepoint:sys_enter: Operation not permitted", f"{OPENS.name} ×"):
            assert text in shown(pilot)
        await pilot.press(EXECS.key)
        assert len((await filled(pilot)).model) > 0


async def test_loading_is_said_and_the_keyboard_goes_to_the_rows_once_there_are_some():
    source = Scripted([synthetic.vitals(), ToolState(OPENS.name, Phase.LOADING)])
    async with dashboard(source).run_test() as pilot:
        await until(pilot, lambda: "loading" in shown(pilot))
        await pilot.pause(0.3)
        source.say(synthetic.tick(OPENS, 0, 200))
        await filled(pilot)
        await pilot.press("up")
        assert table(pilot).cursor == len(table(pilot).model) - 2


async def test_capture_that_ends_is_said_and_can_be_started_again():
    source, second = Scripted(started()), Scripted()
    async with dashboard(source, restart=lambda: second).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        before = len(rows.model)
        await pilot.press("f")
        source.say(Gone("killed by signal 9"))
        await until(pilot, lambda: "CAPTURE ENDED" in lines(pilot)[0])
        assert len(rows.model) == before
        await until(pilot, lambda: "start again" in lines(pilot)[-1])
        await pilot.press("R")
        await until(pilot, lambda: sum(isinstance(c, Load) for c in second.commands) == len(TOOLS) - 1)
        await until(pilot, lambda: any(isinstance(c, SetFocus) for c in second.commands))
        second.say(synthetic.vitals(), synthetic.tick(OPENS, 9, 200))
        await until(pilot, lambda: len(rows.model) > before)
        assert "LIVE" in lines(pilot)[0]


async def test_a_source_that_raises_is_a_source_that_ended():
    class Broken(Scripted):
        def messages(self):
            yield synthetic.vitals()
            raise OSError("the pipe broke")

    async with dashboard(Broken()).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "CAPTURE ENDED" in lines(pilot)[0])


async def test_notices_are_shown_as_text():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36), notifications=True) as pilot:
        await filled(pilot)
        source.say(Notice("no such cgroup [b]/x\x1b[/b]", error=True))
        await until(pilot, lambda: "no such cgroup [b]/x\\x1b[/b]" in shown(pilot))


async def test_help_explains_the_pane():
    async with dashboard(Scripted(started())).run_test(size=(120, 60)) as pilot:
        await filled(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: OPENS.help[:40] in shown(pilot))
        assert "latency_ns" in shown(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: OPENS.help[:40] not in shown(pilot))


async def test_the_palette_offers_panes_and_actions():
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await pilot.press("colon", *EXECS.name)
        await until(pilot, lambda: f"pane {EXECS.name}" in shown(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: pilot.app.screen_stack[0].current == EXECS.name)


async def test_too_small_a_terminal_says_so_and_recovers():
    async with dashboard(Scripted(started())).run_test(size=(30, 8)) as pilot:
        await until(pilot, lambda: "ebtop needs 40 columns" in shown(pilot).replace("\n", " "))
        assert OPENS.name not in shown(pilot)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: OPENS.name in shown(pilot))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
async def test_no_character_that_acts_on_a_terminal_is_ever_drawn(tool):
    source = Scripted(started(2, 400))
    async with dashboard(source, first=tool.name).run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: tool.name in shown(pilot))
        for keys in (["enter"], ["g", "enter"], ["question_mark"]):
            await pilot.press(*keys)
            for pid in (7002, 7003):
                source.say(synthetic.details(pid))
            await pilot.pause(0.3)
            bad = {c for c in shown(pilot) if unicodedata.category(c) in {"Cc", "Cf", "Cs"} and c != "\n"}
            assert not bad
            await pilot.press("escape")


async def test_wide_characters_keep_columns_aligned():
    from rich.cells import cell_len

    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await until(pilot, lambda: "データ" in shown(pilot))
        assert {cell_len(line) for line in lines(pilot)} == {120}
    for width in range(12):
        assert cell_len(padded("レポート.txt", width, right=False)) == width


async def test_keys_can_be_rebound():
    config = Config(keys={"app.pause": "z", f"pane.{EXECS.name}": "v", "stream.filter": "ctrl+f"})
    async with dashboard(Scripted(started()), config=config).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await pilot.press("z")
        await until(pilot, lambda: "PAUSED" in lines(pilot)[0])
        await pilot.press("space")
        await pilot.pause(0.3)
        assert "PAUSED" in lines(pilot)[0]
        await pilot.press("v")
        assert pilot.app.screen.current == EXECS.name


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (Config(keys={"app.puase": "p"}), "app.pause"),
        (Config(keys={"app.pause": "q"}), "would mean both"),
        (Config(theme="nrod"), "nord"),
    ],
)
def test_a_config_that_means_nothing_is_refused_with_a_reason(config, said):
    with pytest.raises(ConfigError, match=said):
        dashboard(Scripted(), config=config)


async def test_q_and_ctrl_c_quit():
    for key in ("q", "ctrl+c"):
        source = Scripted(started())
        async with dashboard(source).run_test() as pilot:
            await filled(pilot)
            await pilot.press(key)
        assert source.closed
        assert pilot.app.return_code == 0
