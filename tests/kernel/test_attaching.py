"""Attach points chosen in the dashboard, on a real terminal and the real kernel: hits appear, and no program stays."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests import loads
from tests.kernel.ebtop import started
from tests.kernel.test_dashboard import Live, dashboard, short, until

pytestmark = pytest.mark.native
__all__ = ["short"]

OPENAT = "tracepoint:syscalls:sys_enter_openat"
DOWN, RIGHT = "\x1b[B", "\x1b[C"
PATIENCE_S = 60
SETTLED_S = 4


def programs(terminal: Live) -> set[str]:
    """The BPF programs that the dashboard's processes hold, by their ids."""
    found = set()
    for process in psutil.Process(terminal.process.pid).children(recursive=True):
        for info in Path(f"/proc/{process.pid}/fdinfo").glob("*"):
            try:
                lines = info.read_text().splitlines()
            except OSError:  # it is closed by now
                continue
            found |= {line.split()[1] for line in lines if line.startswith("prog_id:")}
    return found


def all_programs(terminal: Live) -> set[str]:
    """Once no other tool is about to start."""
    found, since = programs(terminal), time.monotonic()
    while time.monotonic() - since < SETTLED_S:
        time.sleep(0.2)
        if (now := programs(terminal)) != found:
            found, since = now, time.monotonic()
    assert found
    return found


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def choose(terminal: Live, point: str) -> None:
    """Until the form for it is there."""
    terminal.type("p")
    until(terminal, "tracepoints; what is typed", PATIENCE_S)
    terminal.type(point)
    until(terminal, "1 match", PATIENCE_S)
    terminal.type(f"{DOWN}\r")
    until(terminal, "Enter attaches", PATIENCE_S)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 36)])
def test_chosen_points_are_attached_and_detached(short: Path, columns: int, rows: int) -> None:
    target = short / "target"
    target.touch()
    with dashboard("execsnoop", columns=columns, rows=rows, painted="execsnoop") as terminal:
        until(terminal, "LIVE", PATIENCE_S)
        started(loads.command("opens", target, "300s", 1, 200), stdout=subprocess.DEVNULL)
        choose(terminal, OPENAT)
        before = all_programs(terminal)
        terminal.type("\r")
        until(terminal, "hits of sys_enter_openat", PATIENCE_S)
        until(terminal, str(target), PATIENCE_S)
        assert programs(terminal) > before
        terminal.type("x")
        until(terminal, "detached, what was seen stays", PATIENCE_S)
        eventually(lambda: programs(terminal) == before)


def test_a_filter_that_does_not_fit_is_corrected(short: Path) -> None:
    target = short / "target"
    target.touch()
    with dashboard("execsnoop", painted="execsnoop") as terminal:
        until(terminal, "LIVE", PATIENCE_S)
        started(loads.command("opens", target, "300s", 1, 200), stdout=subprocess.DEVNULL)
        choose(terminal, OPENAT)
        terminal.type(RIGHT)
        until(terminal, "how often each is hit", PATIENCE_S)
        terminal.type(f'{DOWN}fname == "x"\r')
        until(terminal, "no argument 'fname'; did you mean filename?", PATIENCE_S)
        until(terminal, "Enter attaches", PATIENCE_S)
        terminal.type("\x7f" * 12)  # Textual takes letters before them if they come with them
        until(terminal, "all; or count", PATIENCE_S)
        terminal.type(f'filename == "{target}"\r')
        until(terminal, "how often sys_enter_openat", PATIENCE_S)
        until(terminal, "/S PROBE", PATIENCE_S)
        eventually(lambda: any(line.endswith(" sys_enter_openat") for line in terminal.text().splitlines()))
