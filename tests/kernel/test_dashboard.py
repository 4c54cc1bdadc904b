"""The dashboard on a real terminal and the real kernel: sizes, terminals, hostile names, keys under load."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyte
import pytest

from tests import loads
from tests.bench.terminal import Terminal
from tests.kernel.ebtop import EBTOP, started

pytestmark = pytest.mark.native

PANES = {"2": "execsnoop", "3": "opensnoop", "4": "tcpconnect", "5": "runqlat", "6": "profile"}


class Live(Terminal):
    """A terminal whose screen is kept up as the bytes come, so that looking at it is cheap."""

    def __init__(self, command: Sequence[str], columns: int, rows: int, **environment: str) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._fed = 0
        super().__init__(command, columns, rows, **environment)

    def text(self) -> str:
        fresh = self.written[self._fed :]
        self._fed += len(fresh)
        self._stream.feed(re.sub(rb"\x1b\[[<=>][0-9;]*[a-z]|\x1b\[\?[0-9;]*\$p", b"", fresh))
        return "\n".join(line.rstrip() for line in self._screen.display)

    def end(self) -> None:
        """Leave, by force if need be."""
        with self.process:
            if self.process.poll() is None:
                self.type("q")
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.close()


@contextmanager
def dashboard(
    *arguments: object, columns: int = 120, rows: int = 36, painted: str = "opensnoop", **environment: str
) -> Iterator[Live]:
    """A dashboard that has its first screen, which says `painted`: a tab, or where tabs are narrow the pane."""
    terminal = Live([*EBTOP, *map(str, arguments)], columns, rows, **environment)
    try:
        terminal.wait_for(painted)
        yield terminal
    finally:
        terminal.end()


def until(terminal: Live, words: str, seconds: float = 10) -> float:
    """How long it takes until the screen shows words."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if words in terminal.text():
            return time.monotonic() - begun
        time.sleep(0.01)
    raise AssertionError(f"{words!r} is not on the screen:\n{terminal.text()}")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path fits on the screen."""
    with tempfile.TemporaryDirectory(prefix="e") as folder:
        yield Path(folder)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 36)])
@pytest.mark.parametrize("environment", [{"TERM": "linux"}, {"TERM": "xterm-256color"}, {"NO_COLOR": "1"}])
def test_all_panes_at_every_size(columns: int, rows: int, environment: dict[str, str]) -> None:
    with dashboard("execsnoop", columns=columns, rows=rows, painted="execsnoop", **environment) as terminal:
        for key, name in PANES.items():
            terminal.type(key)
            until(terminal, f"{key} {name} ·")
            lines = terminal.text().splitlines()
            assert len(lines) <= rows
            assert all(len(line.rstrip()) <= columns for line in lines)
        until(terminal, "LIVE")
        if "NO_COLOR" in environment:
            assert b"\x1b[38;5;" not in terminal.written
        terminal.type("q")


def test_a_terminal_that_is_too_small_says_so() -> None:
    terminal = Live([*EBTOP, "opensnoop"], 30, 8)
    try:
        until(terminal, "ebtop needs")
    finally:
        terminal.end()


def test_any_key_is_answered_under_load(short: Path) -> None:
    target = short / "target"
    target.touch()
    with dashboard("opensnoop") as terminal:
        until(terminal, "LIVE")
        started(loads.command("opens", target, "30s", 1, 400_000), stdout=subprocess.DEVNULL)
        until(terminal, "target", 20)
        time.sleep(2)
        for key, words in (("?", "what ebtop costs"), ("5", "5 runqlat ·"), ("3", "3 opensnoop ·")):
            terminal.type(key)  # how soon, tests/bench measures
            until(terminal, words)
            terminal.type("\x1b")  # leaves the help; else it does nothing
            time.sleep(0.5)  # what follows an Esc at once is a sequence
        assert "lost 0" in terminal.text()
        terminal.type("q")


def test_focus_takes_effect_within_a_tick(short: Path) -> None:
    names = ["first", "second"]
    for name in names:
        (short / name).touch()
    with dashboard("opensnoop", "--comm", "opens") as terminal:
        for name in names:
            started(loads.command("opens", short / name, "20s", 1, 200), stdout=subprocess.DEVNULL)
        until(terminal, "/first")
        until(terminal, "/second")
        terminal.type("f")
        until(terminal, "focus pid")
        time.sleep(2.2)
        rows = [line.strip("› ") for line in terminal.text().splitlines() if str(short) in line][-10:]
        assert rows
        assert len({line.split()[1] for line in rows}) == 1
        terminal.type("u")
        until(terminal, "focus all")
        terminal.type("q")


HOSTILE = (
    "import ctypes, os, time\n"
    "ctypes.CDLL(None).prctl(15, b'\\x1b[31m\\x9b\\x07k', 0, 0, 0)\n"
    "for i in range(200):\n"
    "    try: os.open(b'/tmp/\\x1b]0;title\\x07\\x1b[2J\\xc2\\x9b31m\\xe2\\x80\\xae\\r\\nx', os.O_RDONLY)\n"
    "    except OSError: pass\n"
    "    time.sleep(0.01)\n"
)


class Watched(pyte.Screen):
    """A terminal that notes what must not happen."""

    title_set = ""

    def set_title(self, param: str) -> None:
        self.title_set = param


def test_hostile_names_do_nothing_to_the_terminal() -> None:
    with dashboard("opensnoop", "--", sys.executable, "-S", "-c", HOSTILE) as terminal:
        until(terminal, "\\x1b]0;title")
        terminal.type("\r")
        time.sleep(1)
        terminal.type("2")
        time.sleep(1.5)
        raw = terminal.written
        assert b"]0;title\x07" not in raw
        assert b"\x1b]0;title" not in raw
        assert "\u202e".encode() not in raw
        assert "\x9b".encode() not in raw
        terminal.type("q")
    screen = Watched(120, 36)
    stream = pyte.ByteStream(screen)
    stream.feed(raw)
    assert "title" not in screen.title_set


def test_the_command_s_output_is_shown_afterwards(tmp_path: Path) -> None:
    with dashboard("execsnoop", "--", "sh", "-c", "echo told-on-stdout; echo told-on-stderr >&2") as terminal:
        until(terminal, "echo told-on-stdout")
        terminal.type("q")
        terminal.wait_for("told-on-stderr")
        assert b"told-on-stdout" in terminal.written.split(b"\x1b[?1049l")[-1]


def test_capture_that_dies_is_said_and_can_be_started_again() -> None:
    with dashboard("opensnoop") as terminal:
        until(terminal, "LIVE")
        below = psutil.Process(terminal.process.pid).children(recursive=True)
        capture = [p for p in below if "ebtop.capture.keeper" in p.cmdline()][-1]
        os.kill(capture.pid, 9)
        until(terminal, "CAPTURE ENDED")
        until(terminal, "SIGKILL")
        terminal.type("R")
        until(terminal, "LIVE")
        until(terminal, "raw tracepoint")
        terminal.type("q")
