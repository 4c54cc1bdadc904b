"""How the screens look. After a wanted change run this with --snapshot-update, then look at what changed."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from ebtop.config import Config
from ebtop.tick import Attempt, Gone, Phase, Resolve, Tick, ToolState
from ebtop.ui.streammodel import TopModel
from tests.ui import synthetic
from tests.ui.screen import (
    EXECS,
    OPENS,
    dashboard,
    filled,
    machine,
    settled,
    shown,
    started,
    table,
    ticks,
    until,
    watched,
)
from tests.ui.synthetic import START, Scripted

SIZES = [(80, 24), (120, 36)]
by_size = pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")


def drive(*keys: str, then=None):
    """Wait for rows, press keys, wait for what they do."""

    async def run(pilot: Pilot) -> None:
        await filled(pilot)
        await pilot.press(*keys)
        if then is not None:
            await until(pilot, lambda: then(pilot))
        await settled(pilot)

    return run


@by_size
@pytest.mark.parametrize("tool", [OPENS, EXECS], ids=lambda t: t.name)
def test_stream(snap_compare, size, tool):
    assert snap_compare(dashboard(Scripted(started()), first=tool.name), terminal_size=size, run_before=drive())


@by_size
def test_processes(snap_compare, size):
    shells = drive(then=lambda p: "47 gone" in shown(p))
    assert snap_compare(watched(machine()), terminal_size=size, run_before=shells)


@by_size
def test_process_tree(snap_compare, size):
    shells = drive("t", *["down"] * 5, then=lambda p: "▾ bash" in shown(p) and "›" in shown(p))
    assert snap_compare(watched(machine()), terminal_size=size, run_before=shells)


@by_size
def test_processes_filtered(snap_compare, size):
    few = drive("t", "slash", *"opens>90", "enter", then=lambda p: "of 159 shown" in shown(p))
    assert snap_compare(watched(machine()), terminal_size=size, run_before=few)


@by_size
def test_filter(snap_compare, size):
    narrowed = drive("slash", *"err!=0", "enter", then=lambda p: "603 shown" in shown(p) and "filter err" in shown(p))
    assert snap_compare(dashboard(Scripted(started())), terminal_size=size, run_before=narrowed)


@by_size
def test_group(snap_compare, size):
    grouped = drive("g", "enter", then=lambda p: isinstance(table(p).model, TopModel))
    assert snap_compare(dashboard(Scripted(started())), terminal_size=size, run_before=grouped)


def test_group_chooser(snap_compare):
    assert snap_compare(dashboard(Scripted(started())), terminal_size=(80, 24), run_before=drive("g"))


@by_size
def test_details(snap_compare, size):
    source = Scripted(started())

    async def run(pilot: Pilot) -> None:
        await filled(pilot)
        await pilot.press("up", "enter")
        await until(pilot, lambda: any(isinstance(c, Resolve) for c in source.commands))
        source.say(*(synthetic.details(c.pid) for c in source.commands if isinstance(c, Resolve)))
        await until(pilot, lambda: "web-build" in shown(pilot))

    assert snap_compare(dashboard(source), terminal_size=size, run_before=run)


@by_size
def test_failed_pane(snap_compare, size):
    tried = (Attempt("raw_tracepoint:sys_enter", "EPERM"), Attempt("tracepoint:syscalls:sys_enter_openat", "ENOENT"))
    failed = ToolState(OPENS.name, Phase.FAILED, (), tried, "this kernel refused every probe", "run `ebtop doctor`")
    source = Scripted([synthetic.vitals(), failed, *ticks(tools=[EXECS])])

    async def run(pilot: Pilot) -> None:
        await until(pilot, lambda: "what was tried" in shown(pilot))

    assert snap_compare(dashboard(source), terminal_size=size, run_before=run)


@by_size
def test_help(snap_compare, size):
    helped = drive("question_mark", then=lambda p: OPENS.help[:20] in shown(p))
    assert snap_compare(dashboard(Scripted(started())), terminal_size=size, run_before=helped)


@by_size
def test_paused_with_loss(snap_compare, size):
    after = START + 3_000_000_000
    source = Scripted([*started(), Tick(OPENS.name, after, after + 1, lost={"ring full": 1234})])
    paused = drive("space", then=lambda p: "PAUSED" in shown(p) and "▲" in shown(p))
    assert snap_compare(dashboard(source, notes=("running as root",)), terminal_size=size, run_before=paused)


@by_size
def test_capture_gone(snap_compare, size):
    source = Scripted([*started(), Gone("killed by signal 9")])
    ended = drive(then=lambda p: "CAPTURE ENDED" in shown(p) and "start again" in shown(p))
    assert snap_compare(dashboard(source, restart=Scripted), terminal_size=size, run_before=ended)


def test_tiny(snap_compare):
    async def run(pilot: Pilot) -> None:
        await until(pilot, lambda: "needs 40" in shown(pilot))

    assert snap_compare(dashboard(Scripted(started())), terminal_size=(38, 9), run_before=run)


def test_few_colours(snap_compare, monkeypatch):
    monkeypatch.setenv("TERM", "linux")
    monkeypatch.delenv("COLORTERM")
    assert snap_compare(dashboard(Scripted(started())), terminal_size=(80, 24), run_before=drive("up", "enter"))


def test_no_colour(snap_compare, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(dashboard(Scripted(started())), terminal_size=(80, 24), run_before=drive("up"))


def test_another_theme(snap_compare):
    light = Config(theme="textual-light")
    assert snap_compare(dashboard(Scripted(started()), config=light), terminal_size=(120, 36), run_before=drive("up"))
