"""What comes before attach points are attached goes on beside the ticks of others, and can be called off."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ebtop.probing.plan import Mode, Plan, Probing
from ebtop.tick import Load, Notice, Phase, Tick, ToolState, Unload
from tests import loads
from tests.kernel.ebtop import started
from tests.kernel.screen import Screen, has_ended, stands
from tests.leftovers import held_by

pytestmark = pytest.mark.native

HOT = Probing(("raw_tracepoint:sys_enter",))
CALM = Probing(("tracepoint:sched:sched_process_exec",), Mode.COUNT)
PROBE = "probe"


@pytest.fixture
def busy(tmp_path: Path) -> None:
    """Something calls the kernel all the time, so that a trial takes its whole second."""
    started(loads.command("opens", tmp_path, "60s", 2), stdout=subprocess.DEVNULL)


def phases(screen: Screen) -> list[Phase]:
    return [m.phase for m in screen.messages if isinstance(m, ToolState) and m.tool == PROBE]


def plans(screen: Screen) -> list[Plan]:
    return [m for m in screen.messages if isinstance(m, Plan)]


def programs(screen: Screen) -> set[str]:
    return {held for held in held_by([screen.capture.pid]) if held.startswith("prog ")}


def comes_back_to(screen: Screen, before: set[str], more: int = 0) -> bool:
    """Wait until capture holds no programs but these, and so many more."""
    for _ in range(200):
        now = programs(screen)
        if before <= now and len(now) == len(before) + more:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.usefixtures("busy")
def test_others_tick_on_during_a_trial(screen: Screen) -> None:
    screen.source.send(Load("execsnoop"))
    screen.comes(stands("execsnoop", Phase.RUNNING))
    before = programs(screen)
    screen.source.send(Load(PROBE, probing=HOT))
    assert comes_back_to(screen, before, more=1)  # its trial is attached
    attached = len(screen.messages)
    screen.comes(stands(PROBE, Phase.FAILED))
    assert phases(screen) == [Phase.PLANNING, Phase.TRYING, Phase.FAILED]
    since = itertools.takewhile(lambda m: not stands(PROBE, Phase.FAILED)(m), screen.messages[attached:])
    meanwhile = [m for m in since if isinstance(m, Tick)]
    assert len(meanwhile) >= 3  # of about ten
    (notice,) = (m for m in screen.messages if isinstance(m, Notice))
    assert "is hit" in notice.text
    assert plans(screen) == []
    assert comes_back_to(screen, before)
    screen.stop()


@pytest.mark.usefixtures("busy")
def test_a_trial_is_called_off(screen: Screen) -> None:
    before = programs(screen)
    screen.source.send(Load(PROBE, probing=HOT))
    screen.comes(stands(PROBE, Phase.TRYING))
    time.sleep(0.5)  # attached by now, or soon
    screen.source.send(Unload(PROBE))
    screen.comes(stands(PROBE, Phase.IDLE))
    assert comes_back_to(screen, before)
    screen.source.send(Load(PROBE, probing=CALM))
    screen.comes(stands(PROBE, Phase.RUNNING))
    assert [plan.points[0].name for plan in plans(screen)] == [*CALM.points]
    assert phases(screen)[-4:] == [Phase.PLANNING, Phase.TRYING, Phase.LOADING, Phase.RUNNING]
    assert Phase.FAILED not in phases(screen)
    screen.stop()


def test_what_is_unloaded_is_detached_beside_the_ticks(screen: Screen) -> None:
    """Each of so many takes the kernel a while."""
    many = Probing(("tracepoint:syscalls:sys_enter_[s-u]*",), Mode.COUNT, hot=True)
    before = programs(screen)
    screen.source.send(Load(PROBE, probing=many))
    screen.comes(stands(PROBE, Phase.RUNNING))
    assert len(programs(screen)) > 40
    screen.source.send(Unload(PROBE))
    screen.comes(stands(PROBE, Phase.IDLE))
    screen.source.send(Load(PROBE, probing=CALM))
    screen.comes(stands(PROBE, Phase.RUNNING), 2)
    assert comes_back_to(screen, before, more=1)
    screen.stop()


def test_at_any_time_the_last_that_was_asked_for_is_what_runs(screen: Screen) -> None:
    """While it is planned, tried, built."""
    others = [f"tracepoint:syscalls:sys_enter_{name}" for name in ("chroot", "acct", "swapon")]
    for other, phase in zip(others, (Phase.PLANNING, Phase.TRYING, Phase.LOADING), strict=True):
        already = phases(screen).count(phase)
        screen.source.send(Load(PROBE, probing=Probing((other,), hot=phase is Phase.LOADING)))
        screen.comes(stands(PROBE, phase), already + 1)
    screen.source.send(Load(PROBE, probing=CALM))
    screen.comes(stands(PROBE, Phase.RUNNING))
    assert plans(screen)[-1].points[0].name == CALM.points[0]
    screen.comes(lambda m: isinstance(m, Tick) and m.rows is not None)
    assert phases(screen).count(Phase.RUNNING) == 1
    assert len(programs(screen)) == 1
    assert Phase.FAILED not in phases(screen)
    screen.stop()


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("phase", [Phase.PLANNING, Phase.TRYING])
def test_the_end_waits_for_nothing_and_leaves_nothing(screen: Screen, phase: Phase) -> None:
    asked = Probing(("uprobe:node:node::*",), Mode.COUNT) if phase is Phase.PLANNING else HOT
    if phase is Phase.PLANNING and shutil.which("node") is None:
        pytest.skip("node is not installed: nothing else takes long to plan")
    pid = screen.capture.pid
    screen.source.send(Load(PROBE, probing=asked))
    screen.comes(stands(PROBE, phase))
    screen.stop()
    assert plans(screen) == []
    assert phases(screen)[-1] is phase
    assert has_ended(pid)
    assert held_by([pid]) == set()
