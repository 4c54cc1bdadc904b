"""From the key to hits on the screen: points are chosen, what is to be made of them is filled in, capture is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.widgets import Input

from ebtop.probing.plan import Mode, Probing, Sides
from ebtop.tick import FindPoints, FoundPoints, Gone, Load, Phase, Unload
from ebtop.ui.picker import Picker
from ebtop.ui.pointbrowser import PointBrowser
from ebtop.ui.probingform import ProbingForm
from tests.ui.chosen import CHOSEN, FOPEN, OPENAT, hits, latencies, others, plan, state
from tests.ui.screen import dashboard, filled, shown, started, table, until
from tests.ui.synthetic import Scripted
from tests.ui.test_replay import Hand, recorded, replayed

POINT = str(OPENAT)
by_size = pytest.mark.parametrize("size", [(80, 24), (120, 36)])
HOT = "tracepoint:x:y is hit 1.2 M times a second: about 1.3 cores; use fewer points, or --hot to go on"


def asked(source: Scripted) -> list[object]:
    """What was asked of the tool, without the first Load of each of the others."""
    return [c for c in source.commands if isinstance(c, (Load, Unload)) and c.tool == CHOSEN.name]


def told(pilot) -> str:
    """What notices say."""
    return " ".join(notice.message for notice in pilot.app._notifications)


def on(pilot, screen: type) -> bool:
    return isinstance(pilot.app.screen, screen) and pilot.app.screen.focused is not None


async def browsed(pilot, source: Scripted, *points) -> None:
    """`p`, and a pattern that finds these: the cursor is in the list."""
    await filled(pilot)
    await pilot.press("p")
    await until(pilot, lambda: FindPoints("tracepoint:*") in source.commands and on(pilot, PointBrowser))
    pilot.app.screen.query_one(Input).value = "open"
    await until(pilot, lambda: FindPoints("open") in source.commands)
    source.say(FoundPoints("open", len(points), points))
    await until(pilot, lambda: f"{len(points)} match" in shown(pilot))
    await pilot.press("down")


async def form(pilot, source: Scripted, *points) -> ProbingForm:
    """The first of the points taken."""
    await browsed(pilot, source, *points)
    await pilot.press("enter")
    await until(pilot, lambda: on(pilot, ProbingForm))
    return pilot.app.screen


def refused(source: Scripted, reason: str) -> None:
    source.say(state(Phase.IDLE), state(Phase.FAILED, reason))


@by_size
async def test_from_the_key_to_the_hits(size):
    source = Scripted(others())
    async with dashboard(source).run_test(size=size) as pilot:
        await filled(pilot)
        await pilot.press("9")
        await until(pilot, lambda: "nothing is attached yet; p chooses attach points" in shown(pilot))
        assert asked(source) == []
        await pilot.press("3")
        await form(pilot, source, OPENAT)
        assert "x detach" not in shown(pilot)
        assert f"points       {POINT}" in shown(pilot)
        assert "const char *filename" in shown(pilot) and "__syscall_nr" not in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "looking for the attach points" in shown(pilot))
        assert asked(source) == [Unload(CHOSEN.name), Load(CHOSEN.name, probing=Probing((POINT,)))]
        made = plan(OPENAT)
        source.say(made, state(Phase.LOADING))
        await until(pilot, lambda: "loading: compiling" in shown(pilot))
        source.say(state(Phase.RUNNING), hits(made, [0] * 7))
        await until(pilot, lambda: "cat" in shown(pilot) and "hits of sys_enter_openat" in shown(pilot))
        assert "/etc/\\x1b[2J" in shown(pilot)
        assert "x detach" in shown(pilot)


@by_size
async def test_a_refusal_is_corrected_without_typing_all_again(size):
    source = Scripted(others())
    async with dashboard(source).run_test(size=size) as pilot:
        await form(pilot, source, OPENAT)
        await pilot.press("right", "down", *'fname == "x"', "enter")
        wanted = Probing((POINT,), Mode.COUNT, 'fname == "x"')
        await until(pilot, lambda: asked(source)[-1:] == [Load(CHOSEN.name, probing=wanted)])
        refused(source, "--filter: column 1: no argument 'fname'; did you mean filename?")
        await until(pilot, lambda: on(pilot, ProbingForm) and "filter: column 1: no argument 'fname'" in shown(pilot))
        line = pilot.app.screen.focused
        assert line.id == "filter" and line.value == 'fname == "x"'
        await pilot.press("home", "right", *"ile", "enter")
        await until(pilot, lambda: asked(source)[-1].probing.filter == 'filename == "x"')
        assert asked(source)[-1].probing.mode is Mode.COUNT


async def test_a_refusal_waits_in_the_pane_for_who_looks_at_something_else():
    source = Scripted(others())
    async with dashboard(source).run_test(size=(80, 24)) as pilot:
        await form(pilot, source, OPENAT)
        await pilot.press("enter")
        await until(pilot, lambda: "looking for the attach points" in shown(pilot))
        await pilot.press("3")
        await filled(pilot)
        refused(source, "it has no return")
        await until(pilot, lambda: pilot.app._panes._snapshot.tools[CHOSEN.name].state.phase is Phase.FAILED)
        await pilot.press("9")
        await until(pilot, lambda: "× not attached" in shown(pilot) and "it has no return" in shown(pilot))
        assert not on(pilot, ProbingForm)
        assert "p corrects what was asked for" in shown(pilot)
        await pilot.press("p")
        await until(pilot, lambda: on(pilot, ProbingForm) and POINT in shown(pilot))


async def test_points_that_are_hit_often_are_attached_where_that_is_said():
    source = Scripted(others())
    async with dashboard(source).run_test(size=(80, 24)) as pilot:
        await form(pilot, source, OPENAT)
        assert "anyway" not in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: asked(source))
        refused(source, HOT)
        await until(pilot, lambda: on(pilot, ProbingForm) and "or attach anyway" in shown(pilot))
        assert pilot.app.screen.focused.id == "hot"
        await pilot.press("right", "enter")
        await until(pilot, lambda: asked(source)[-1].probing.hot)
        source.say(plan(OPENAT), state(Phase.RUNNING))
        await until(pilot, lambda: "attached; the first second" in shown(pilot))
        await pilot.press("p")
        await until(pilot, lambda: on(pilot, ProbingForm) and "however often" in shown(pilot))
        await pilot.press("right", "enter")  # another mode costs something else
        await until(pilot, lambda: asked(source)[-1].probing.mode is Mode.COUNT)
        assert not asked(source)[-1].probing.hot


async def test_only_the_fields_that_matter_are_there():
    source = Scripted(others())
    async with dashboard(source).run_test(size=(80, 24)) as pilot:
        found = await form(pilot, source, OPENAT)
        there = {}
        for mode in Mode:
            await until(pilot, lambda mode=mode: found.query_one("#mode", Picker).value == mode)
            await pilot.pause()
            there[mode] = {
                name for name in ("picked", "value", "slower", "filter", "strings", "hot")
                if not found.query_one(f"#{name}").parent.has_class("-absent")
            }  # fmt: skip
            await pilot.press("right")
        always = {"filter", "strings"}
        assert there == {
            Mode.TRACE: always, Mode.COUNT: always, Mode.LATENCY: always | {"slower"}, Mode.DIST: always | {"picked"},
            Mode.STACK: always,
        }  # fmt: skip


async def test_a_distribution_is_of_what_is_returned_or_of_a_number():
    source = Scripted(others())
    async with dashboard(source).run_test(size=(80, 24)) as pilot:
        await form(pilot, source, OPENAT)
        await pilot.press("left", "left", "down")
        await until(pilot, lambda: "‹ retval ›" in shown(pilot))
        await pilot.press("right")
        await until(pilot, lambda: "‹ dfd ›" in shown(pilot))
        await pilot.press("right")
        await until(pilot, lambda: "‹ retval ›" in shown(pilot))  # a string has no distribution
        await pilot.press("left", "enter")
        await until(pilot, lambda: asked(source)[-1:])
        assert asked(source)[-1].probing == Probing((POINT,), Mode.DIST, value="dfd")


async def test_a_value_of_points_of_which_nothing_is_known_is_typed():
    source = Scripted(others())
    async with dashboard(source).run_test(size=(80, 24)) as pilot:
        await form(pilot, source, OPENAT._replace(target="x:y", arguments=None))
        await pilot.press("left", "left", "enter")
        await until(pilot, lambda: "value: which argument?" in shown(pilot))
        await pilot.press(*"count", "enter")
        await until(pilot, lambda: asked(source)[-1:])
        assert asked(source)[-1].probing == Probing(("tracepoint:x:y",), Mode.DIST, value="count")


async def test_what_makes_no_sense_is_said_before_it_is_asked_for():
    source = Scripted(others())
    async with dashboard(source).run_test(size=(80, 24)) as pilot:
        found = await form(pilot, source, OPENAT)
        await pilot.press("right", "right", "down", *"soon", "enter")
        await until(pilot, lambda: "'soon' is no number" in shown(pilot))
        found.query_one("#slower", Input).value = "1.5ms"
        found.query_one("#filter", Input).value = "pid ="
        await pilot.press("enter")
        await until(pilot, lambda: "filter: column 5: '=' is no operator here" in shown(pilot))
        assert found.focused.id == "filter" and asked(source) == []
        found.query_one("#filter", Input).value = "pid == 1"
        found.query_one("#strings", Input).value = "a, b c"
        await pilot.press("enter")
        await until(pilot, lambda: asked(source)[-1:])
        wanted = Probing((POINT,), Mode.LATENCY, "pid == 1", slower_than_ns=1_500_000, strings=("a", "b", "c"))
        assert asked(source)[-1].probing == wanted


async def test_esc_asks_for_nothing():
    source = Scripted(others())
    async with dashboard(source).run_test(size=(80, 24)) as pilot:
        await form(pilot, source, OPENAT)
        await pilot.press("escape")
        await until(pilot, lambda: not on(pilot, ProbingForm))
        await browsed(pilot, source, OPENAT)  # nothing was kept, either
        await pilot.press("escape")
        await until(pilot, lambda: not on(pilot, PointBrowser))
        assert asked(source) == []


async def running(pilot, source: Scripted, *points) -> None:
    """Hits of these on the screen."""
    await form(pilot, source, *points)
    await pilot.press("enter")
    made = plan(*points)
    source.say(made, state(Phase.RUNNING), hits(made, [0] * 3))
    await until(pilot, lambda: "cat" in shown(pilot))


@by_size
async def test_the_choice_is_changed_and_ended(size):
    source = Scripted(others())
    async with dashboard(source, restart=lambda: again).run_test(size=size) as pilot:
        await running(pilot, source, OPENAT)
        await pilot.press("p")
        await until(pilot, lambda: on(pilot, ProbingForm) and POINT in shown(pilot))
        await pilot.press("up", "enter")  # the points themselves
        await until(pilot, lambda: on(pilot, PointBrowser) and "Space adds to the 1 chosen" in shown(pilot))
        pilot.app.screen.query_one(Input).value = "fopen"
        await until(pilot, lambda: FindPoints("fopen") in source.commands)
        source.say(FoundPoints("fopen", 1, (FOPEN,)))
        await until(pilot, lambda: "1 match" in shown(pilot))
        await pilot.press("down", "space", "enter")
        await until(pilot, lambda: on(pilot, ProbingForm) and "and 1 more" in shown(pilot))
        await pilot.press("enter")
        wanted = Probing((POINT, str(FOPEN)))
        await until(pilot, lambda: asked(source)[-1] == Load(CHOSEN.name, probing=wanted))
        source.say(state(Phase.IDLE), plan(OPENAT, FOPEN), state(Phase.RUNNING), hits(plan(OPENAT, FOPEN), [0, 1]))
        await until(pilot, lambda: "libc.so.6:fopen" in shown(pilot))
        await pilot.press("x")
        await until(pilot, lambda: asked(source)[-1] == Unload(CHOSEN.name))
        source.say(state(Phase.IDLE))
        await until(pilot, lambda: "detached, what was seen stays; p attaches again" in shown(pilot))
        assert "libc.so.6:fopen" in shown(pilot) and "x detach" not in shown(pilot)
        again = Scripted()
        source.say(Gone("killed"))
        await until(pilot, lambda: "R start again" in shown(pilot))
        await pilot.press("p")
        await until(pilot, lambda: "capture has ended: nothing" in told(pilot))
        await pilot.press("R")
        await until(pilot, lambda: again.commands)
        assert asked(again) == []


async def test_what_runs_is_asked_for_again_of_a_capture_that_is_started_again():
    source, again = Scripted(others()), Scripted()
    async with dashboard(source, restart=lambda: again).run_test(size=(80, 24)) as pilot:
        await running(pilot, source, OPENAT)
        source.say(Gone("killed"))
        await until(pilot, lambda: "R start again" in shown(pilot))
        await pilot.press("R")
        await until(pilot, lambda: asked(again) == [Load(CHOSEN.name, probing=Probing((POINT,)))])


async def test_what_the_command_line_asked_for_is_where_a_change_begins():
    probing = Probing((POINT, "uprobe:x:*"), Mode.COUNT, "pid == 1")
    source = Scripted(others())
    async with dashboard(source, probing={CHOSEN.name: probing}).run_test(size=(80, 24)) as pilot:
        await filled(pilot)
        assert asked(source) == [Load(CHOSEN.name, probing=probing)]
        await pilot.press("p")
        await until(pilot, lambda: on(pilot, ProbingForm) and FindPoints(POINT) in source.commands)
        source.say(FoundPoints(POINT, 1, (OPENAT,)))
        await until(pilot, lambda: "const char *filename" in shown(pilot))
        await until(pilot, lambda: source.commands[-1] == FindPoints("uprobe:x:*"))
        source.say(FoundPoints("uprobe:x:*", 0, problem="there is no x"))
        await pilot.press("enter")
        await until(pilot, lambda: asked(source)[-1] == Load(CHOSEN.name, probing=probing))
        assert asked(source)[-2] == Unload(CHOSEN.name)


async def test_enter_before_the_answer_takes_what_is_found_then():
    source = Scripted(others())
    async with dashboard(source).run_test(size=(80, 24)) as pilot:
        await browsed(pilot, source, FOPEN, OPENAT)
        pilot.app.screen.query_one(Input).value = POINT
        await pilot.press("enter")
        assert on(pilot, PointBrowser)
        await until(pilot, lambda: FindPoints(POINT) in source.commands)
        source.say(FoundPoints(POINT, 1, (OPENAT,)))
        await until(pilot, lambda: on(pilot, ProbingForm) and POINT in shown(pilot))


async def test_enter_before_the_answer_takes_none_of_several():
    source = Scripted(others())
    async with dashboard(source).run_test(size=(80, 24)) as pilot:
        await browsed(pilot, source, FOPEN)
        pilot.app.screen.query_one(Input).value = "open at"
        await pilot.press("enter")
        await until(pilot, lambda: FindPoints("open at") in source.commands)
        source.say(FoundPoints("open at", 2, (OPENAT, FOPEN)))
        await until(pilot, lambda: "2 match" in shown(pilot))
        assert on(pilot, PointBrowser)


async def test_a_recording_attaches_nothing(tmp_path):
    file = recorded(tmp_path / "r", started(2))
    async with replayed(file, Hand()).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pilot.app._panes.view is not None)
        await pilot.press("p")
        await until(pilot, lambda: "nothing can be attached in a recording" in told(pilot))
        assert not on(pilot, PointBrowser)


async def test_the_palette_and_the_help_have_it():
    async with dashboard(Scripted(others())).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        commands = {command.title: command.help for command in pilot.app.get_system_commands(pilot.app.screen)}
        assert commands["attach"].startswith("Choose attach points") and commands["attach"].endswith("(p)")
        assert "detach" not in commands
        await pilot.press("question_mark")
        await until(pilot, lambda: "what ebtop costs" in shown(pilot))
        assert "p               Choose attach points" in pilot.app.screen._text.plain


async def test_arguments_that_no_row_has_leave_their_room_to_others():
    source = Scripted(others())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await form(pilot, source, OPENAT)
        await pilot.press("enter")
        made = plan(FOPEN, OPENAT)
        source.say(made, state(Phase.RUNNING), hits(made, [0, 0]))
        await until(pilot, lambda: "libc.so.6:fopen" in shown(pilot))
        assert [h.title for h in table(pilot).model.headings] == ["TIME", "PID", "USER", "COMM", "PROBE", "FILENAME"]
        source.say(hits(made, [1], second=4))
        await until(pilot, lambda: "DFD" in shown(pilot) and "sys_enter_openat" in shown(pilot))
        await pilot.press("slash", *"fopen", "enter")
        await until(pilot, lambda: "DFD" not in shown(pilot))


async def test_the_details_have_the_whole_name():
    source = Scripted(others())
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        await form(pilot, source, FOPEN)
        await pilot.press("enter")
        made = plan(FOPEN)
        source.say(made, state(Phase.RUNNING), hits(made, [0, 0]))
        await until(pilot, lambda: "cat" in shown(pilot))
        assert str(FOPEN) not in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: f"probe {FOPEN}" in shown(pilot))


async def test_what_is_typed_at_once_goes_where_it_is_meant_for():
    source = Scripted(others())
    async with dashboard(source).run_test(size=(80, 24)) as pilot:
        await filled(pilot)
        await pilot.press("p")
        await until(pilot, lambda: on(pilot, PointBrowser))
        source.say(FoundPoints("tracepoint:*", 1, (OPENAT,)))
        await until(pilot, lambda: "1 tracepoints" in shown(pilot))
        for key in ("down", "enter"):
            pilot.app.simulate_key(key)
        await until(pilot, lambda: on(pilot, ProbingForm) and pilot.app.screen.focused.id == "mode")
        for key in ("down", "p", "i", "d", "tab", "a"):
            pilot.app.simulate_key(key)
        await until(pilot, lambda: pilot.app.screen.query_one("#strings", Input).value == "a")
        assert pilot.app.screen.query_one("#filter", Input).value == "pid"


@by_size
async def test_latencies_of_several_points_are_told_apart(size):
    source = Scripted(others())
    async with dashboard(source).run_test(size=size) as pilot:
        await form(pilot, source, OPENAT)
        await pilot.press("enter")
        one = plan(OPENAT, FOPEN, mode=Mode.LATENCY)
        made = replace(one, points=tuple(replace(point, sides=Sides.BOTH) for point in one.points))
        source.say(made, state(Phase.RUNNING), latencies(made))
        await until(pilot, lambda: "2 attach points" in shown(pilot) and "libc.so.6:fopen" in shown(pilot))
        assert str(FOPEN) not in shown(pilot) and "by attach point" in shown(pilot)
        await pilot.press("b")
        await until(pilot, lambda: "by process" in shown(pilot))
        await pilot.press("b", "b")
        await until(pilot, lambda: "the whole system" in shown(pilot))
