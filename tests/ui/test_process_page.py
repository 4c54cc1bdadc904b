"""From a row to the page of its process and back, by keys and mouse."""

from __future__ import annotations

import pytest

from ebtop.config import Config, ConfigError
from ebtop.tick import Focus, Gone, Resolve, SetFocus
from ebtop.tool import Kind
from ebtop.ui.choose import Choose
from ebtop.ui.process_page import MOST_PAGES, ProcessPage
from ebtop.ui.process_view import PROCESS
from ebtop.ui.sheet import Sheet
from ebtop.ui.view import ToolView
from tests.ui import synthetic
from tests.ui.processes import BASH, PYTHON, SSHD, bash, crumbs, go_to, opened
from tests.ui.screen import EXECS, OPENS, TOOLS, dashboard, details, filled, lines, shown, started, table, ticks, until
from tests.ui.synthetic import Scripted

STACKS = next(t for t in TOOLS if t.kind is Kind.STACKS)
HISTOGRAM = next(t for t in TOOLS if t.kind is Kind.HISTOGRAM)
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda s: f"{s[0]}x{s[1]}")


async def test_enter_opens_details_and_enter_again_the_page():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await pilot.press("up")
        pid, held = rows.model.value(rows.cursor, "pid"), rows.model.key(rows.cursor)
        await pilot.press("enter")
        assert details(pilot).opened
        assert "⏎ process" in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProcessPage))
        assert pilot.app.screen.pid == pid
        await until(pilot, lambda: [c.pid for c in source.commands if isinstance(c, Resolve)].count(pid) >= 1)
        source.say(synthetic.details(pid))
        await until(pilot, lambda: "memory 41 MB" in shown(pilot))
        assert f"{OPENS.name} › " in crumbs(pilot)
        assert f"render.py {pid}" in crumbs(pilot)
        await pilot.press("backspace")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ProcessPage))
        assert rows.model.key(rows.cursor) == held  # where one was
        assert details(pilot).opened


async def test_ancestors_and_children_lead_on_and_back_several_levels():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await opened(pilot, source, says=bash())
        await go_to(pilot, f"pid {PYTHON}")
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen.pid == PYTHON)
        source.say(synthetic.details(PYTHON))
        await until(pilot, lambda: f"python render.py {PYTHON}" in crumbs(pilot))
        assert f"{OPENS.name} › bash deploy.sh --to 'the… {BASH} › python render.py {PYTHON}" in crumbs(pilot)
        await go_to(pilot, f"pid {SSHD}")
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen.pid == SSHD)
        assert len(pilot.app.screen_stack) == 4
        await pilot.press("backspace")
        await until(pilot, lambda: pilot.app.screen.pid == PYTHON)
        assert pilot.app.screen.query_one(Sheet).cursor == f"pid {SSHD}"
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen.pid == BASH)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ProcessPage))
        await filled(pilot)


async def test_a_page_that_is_on_the_way_is_gone_back_to():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36), notifications=True) as pilot:
        await filled(pilot)
        await opened(pilot, source, says=bash())
        await opened(pilot, source, PYTHON)
        pilot.app.open_process(BASH)
        await until(pilot, lambda: pilot.app.screen.pid == BASH)
        assert len(pilot.app.screen_stack) == 2
        for pid in range(100, 100 + MOST_PAGES):
            pilot.app.open_process(pid)
        await until(pilot, lambda: "go back first" in shown(pilot))
        assert len(pilot.app.screen_stack) == 1 + MOST_PAGES


async def test_crumbs_and_lines_by_mouse():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await opened(pilot, source, says=bash())
        row = next(n for n, line in enumerate(lines(pilot)) if "8944  python" in line)
        await pilot.click(offset=(20, row))
        await until(pilot, lambda: pilot.app.screen.pid == PYTHON)
        source.say(synthetic.details(PYTHON))
        await until(pilot, lambda: "python render.py 8944" in crumbs(pilot))
        await pilot.click(offset=(crumbs(pilot).index("bash deploy") + 2, 1))
        await until(pilot, lambda: pilot.app.screen.pid == BASH)
        await pilot.click(offset=(3, 1))
        await until(pilot, lambda: not isinstance(pilot.app.screen, ProcessPage))


@SIZES
@pytest.mark.parametrize("tool", [t for t in TOOLS if t.kind is not Kind.PROCESSES], ids=lambda t: t.name)
async def test_every_pane_for_the_process_alone(tool, size):
    source = Scripted(started())
    async with dashboard(source).run_test(size=size) as pilot:
        await filled(pilot)
        page = await opened(pilot, source, PYTHON if tool is not EXECS else BASH)
        await go_to(pilot, f"tool {tool.name}")
        await pilot.press("enter")
        await until(pilot, lambda: page.current == tool.name and page.pane is not None and page.pane.ticks)
        await pilot.pause(0.2)
        if tool.kind is Kind.EVENTS:
            model = page.view._table.model
            key = "ppid" if tool is EXECS else "pid"
            assert len(model)
            assert {model.value(row, key) for row in range(len(model))} == {page.pid}
        elif tool.kind is Kind.HISTOGRAM:
            assert "this process" in shown(pilot)
            held = page._narrows[tool.name](page.reader._history.tool(tool.name))
            everything = sum(int(h.counts.sum()) for t in held.ticks for h in t.histograms if h.group == "all")
            assert page.view._prepared.summary.total == everything > 0
        else:
            assert set(page.view._calls.pid.tolist()) == {PYTHON}
        assert all(len(line) <= size[0] for line in lines(pilot))
        await pilot.press("backspace")
        assert page.current == PROCESS.name
        await pilot.press(tool.key)
        assert page.current == tool.name
        await pilot.press("escape", "escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ProcessPage))


async def test_backspace_zooms_out_before_it_leads_back():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        page = await opened(pilot, source, PYTHON)
        await pilot.press(STACKS.key)
        await until(pilot, lambda: page.view.graph.has_focus and page.view._calls is not None)
        await pilot.press("down", "enter")
        await until(pilot, lambda: page.view.sought.top)
        await pilot.press("backspace")
        assert page.view.sought.top == ()
        assert page.current == STACKS.name
        await pilot.press("backspace")
        assert page.current == PROCESS.name


async def test_the_page_lives_pauses_and_looks_back():
    source = Scripted(started(6))
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        page = await opened(pilot, source, says=bash())

        def held() -> int:
            doings = page.query_one("#view-process").facts.doings
            return next(d.total for d in doings if d.tool is EXECS)

        await go_to(pilot, f"pid {SSHD}")
        before, row = held(), next(n for n, line in enumerate(lines(pilot)) if line.startswith("›"))
        source.say(synthetic.tick(EXECS, 6, 200))
        await until(pilot, lambda: held() > before)
        assert page.query_one(Sheet).cursor == f"pid {SSHD}"
        assert lines(pilot)[row].startswith("›")
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(pilot, lambda: held() < before)
        assert "PAUSED at" in lines(pilot)[0]
        then = held()
        source.say(synthetic.tick(EXECS, 7, 200))
        await pilot.pause(1.2)
        assert held() == then
        await pilot.press(EXECS.key)
        await until(pilot, lambda: page.view.keyboard_target().has_focus and table_of(page) == then)
        await pilot.press("backspace", "backspace")  # the moment stays when one goes back
        await filled(pilot)
        assert "PAUSED at" in lines(pilot)[0]
        await pilot.press("end")
        await until(pilot, lambda: "LIVE" in lines(pilot)[0])


def table_of(page) -> int:
    model = page.view._table.model
    return len(model) if model is not None else -1


async def test_the_line_of_the_cursor_stays_when_children_come_in_above_it():
    source = Scripted(started(2))
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        page = await opened(pilot, source, says=bash())
        sheet = page.query_one(Sheet)
        await go_to(pilot, "pid 9000")
        await pilot.press("down", "down", "down")
        key, row = sheet.cursor, sheet._place - round(sheet.scroll_y)
        place = sheet._place
        source.say(synthetic.tick(EXECS, 2, 200))
        await until(pilot, lambda: sheet._place > place)
        assert sheet.cursor == key
        assert sheet._place - round(sheet.scroll_y) == row
        await go_to(pilot, "pid 9000")
        row = sheet._place
        source.say(bash(alive=False, children=()))  # what is chosen may go, and the cursor does not go far
        await until(pilot, lambda: sheet.cursor != "pid 9000")
        assert abs(sheet._place - row) <= 3


async def test_who_answered_is_asked_again_and_nobody_else(monkeypatch):
    monkeypatch.setattr("ebtop.ui.process_page._ASK_EVERY_S", 0.05)
    source = Scripted(started())

    def asked() -> int:
        return sum(isinstance(c, Resolve) for c in source.commands)

    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        pilot.app.open_process(BASH)
        await pilot.pause(0.4)
        assert asked() == 1  # a recording does not answer, and is not pestered
        await until(pilot, lambda: "/proc has not answered" in shown(pilot))
        assert "user" in shown(pilot)
        source.say(bash())
        await until(pilot, lambda: asked() > 3)
        source.say(bash(alive=False))
        await until(pilot, lambda: "it has gone" in shown(pilot))
        await pilot.pause(0.1)
        before = asked()
        await pilot.pause(0.3)
        assert asked() == before


async def test_a_page_and_the_panel_do_not_take_each_others_details():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 40)) as pilot:
        await filled(pilot)
        await opened(pilot, source, says=bash())
        source.say(synthetic.details(PYTHON), synthetic.details(SSHD))
        await pilot.pause(1.2)
        assert "bash deploy.sh --to 'the moon'" in shown(pilot)


async def test_focus_is_changed_only_when_asked():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await opened(pilot, source, says=bash())
        assert "shown: this process   traced: all" in crumbs(pilot)
        assert not any(isinstance(c, SetFocus) for c in source.commands)
        await pilot.press("f")
        await go_to(pilot, f"pid {PYTHON}")
        await pilot.press("F")
        sent = [c.focus for c in source.commands if isinstance(c, SetFocus)]
        assert sent == [Focus(pids=(BASH,)), Focus(pids=(PYTHON,), follow=True)]
        source.say(synthetic.vitals(Focus(pids=(BASH,))))
        await until(pilot, lambda: f"traced: pid {BASH}" in crumbs(pilot))


async def test_any_view_may_ask_for_a_page():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        view = pilot.app.screen.view
        view.post_message(ToolView.OpenProcess(PYTHON))
        await until(pilot, lambda: isinstance(pilot.app.screen, ProcessPage))
        assert pilot.app.screen.pid == PYTHON


@pytest.mark.parametrize("tool", [HISTOGRAM, STACKS], ids=lambda t: t.name)
async def test_o_opens_the_page_where_enter_does_something_else(tool):
    source = Scripted(started())
    async with dashboard(source, first=tool.name).run_test(size=(120, 36), notifications=True) as pilot:
        await until(pilot, lambda: pilot.app.screen.view and pilot.app.screen.focused)
        await pilot.pause(0.3)
        await pilot.press("o")
        await until(pilot, lambda: "no process is selected" in shown(pilot))
        await pilot.press(*(["b", "down"] if tool is HISTOGRAM else ["down", "down"]))
        await until(pilot, lambda: pilot.app.screen.view.selected_pid() is not None)
        pid = pilot.app.screen.view.selected_pid()
        await pilot.press("o")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProcessPage))
        assert pilot.app.screen.pid == pid


async def test_keys_of_the_page_can_be_rebound_and_clash_with_none():
    source = Scripted(started())
    config = Config(keys={"process.back": "h", "copy": "c", "sheet.choose": "l"})
    async with dashboard(source, config=config).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        page = await opened(pilot, source, says=bash())
        await pilot.press("l")
        assert page.current != PROCESS.name
        await pilot.press("h")
        assert page.current == PROCESS.name
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choose))
    with pytest.raises(ConfigError, match=r"process\.back"):
        dashboard(Scripted(), config=Config(keys={"process.back": "q"}))


async def test_help_and_palette_know_the_page():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 80)) as pilot:
        await filled(pilot)
        await opened(pilot, source, says=bash())
        await pilot.press("question_mark")
        await until(pilot, lambda: "asked again every two seconds" in shown(pilot))
        for said in (
            "From a tool's pane to the process",
            "Copy a field, the row or the command",
            "All about the selected",
        ):
            assert said in shown(pilot), said
        await pilot.press("escape", "colon", *"copy")
        await until(pilot, lambda: "Copy a field" in shown(pilot))


async def test_too_small_a_terminal_says_so_and_recovers():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await opened(pilot, source, says=bash())
        await pilot.resize_terminal(30, 8)
        await until(pilot, lambda: "ebtop needs 40" in shown(pilot) and "bash" not in shown(pilot))
        source.say(*ticks(1))
        await pilot.pause(1.2)
        assert "DOES" not in shown(pilot)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "DOES" in shown(pilot))


async def test_capture_may_end_under_a_page():
    source, second = Scripted(started()), Scripted()
    async with dashboard(source, restart=lambda: second).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await opened(pilot, source, says=bash())
        source.say(Gone("killed by signal 9"))
        await until(pilot, lambda: "CAPTURE ENDED" in lines(pilot)[0])
        assert "bash deploy.sh" in shown(pilot)
        await pilot.press("R")
        second.say(synthetic.vitals())
        await until(pilot, lambda: "LIVE" in lines(pilot)[0])


async def test_what_is_covered_lets_go_of_what_it_held():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        below = await opened(pilot, source, says=bash())
        await pilot.press(OPENS.key)
        await until(pilot, lambda: below.view is not None and below.current == OPENS.name)
        await opened(pilot, source, PYTHON)
        assert below._snapshot is None
        assert [view.id for view in below.query(ToolView)] == [f"view-{OPENS.name}"]
        await pilot.press("backspace")
        await until(pilot, lambda: pilot.app.screen is below and table(pilot) is not None)
        await pilot.press("backspace")
        await until(pilot, lambda: "8790  sshd -D" in shown(pilot))
