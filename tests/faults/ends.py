"""Ends that come from outside: kill -9 at any moment, signals that ask, a terminal that goes away, a closed stdout."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import termios
import time
from collections.abc import Iterator

import psutil

from tests.faults.outcome import Outcome
from tests.faults.subjects import dashboard, headless, watched
from tests.kernel.ebtop import EBTOP
from tests.leftovers import family

_MODES = re.compile(rb"\x1b\[\?([0-9;]+)([hl])")
_PEACEFUL = {b"25": b"h", b"7": b"h"}
"""Modes that are on in a terminal that nobody uses; of all others, off is peace."""


def killed(tries: int, chance: random.Random) -> Iterator[Outcome]:
    """kill -9 of one of ebtop's processes, at a random moment of its first seconds; then Ctrl+C for what is left."""
    for name in ("ebtop run", "dashboard"):
        outcome = Outcome(f"kill -9 at a random moment, {name}")
        for _ in range(tries // 2):
            with watched(outcome):
                _kill_one(outcome, name == "dashboard", chance)
            outcome.tried += 1
        outcome.note = "then SIGINT to what still ran"
        yield outcome


def _kill_one(outcome: Outcome, on_screen: bool, chance: random.Random) -> None:
    if on_screen:
        with dashboard("opensnoop") as terminal:
            _strike(outcome, terminal.process, chance)
        return
    with headless(chance.choice(["opensnoop", "execsnoop", "tcpconnect", "runqlat", "profile"])) as (process, _file):
        _strike(outcome, process, chance)


def _strike(outcome: Outcome, process: subprocess.Popen[str] | subprocess.Popen[bytes], chance: random.Random) -> None:
    time.sleep(chance.uniform(0, 2.5))
    victim = chance.choice(family(process.pid))
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return  # a compiler that was done just then
    if victim != process.pid:
        time.sleep(chance.uniform(0, 0.5))
        process.send_signal(signal.SIGINT)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        outcome.blame(f"did not end after SIGINT when process {victim} had been killed")
        process.kill()


def asked_to_end(tries: int, chance: random.Random) -> Iterator[Outcome]:
    """SIGTERM, SIGINT and SIGHUP to the dashboard, at random moments: the terminal is as it was."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        outcome = Outcome(f"{number.name} to the dashboard")
        for _ in range(max(1, tries // 5)):
            with watched(outcome), dashboard("opensnoop") as terminal:
                before = termios.tcgetattr(terminal._master)
                time.sleep(chance.uniform(0.1, 2.5))
                terminal.process.send_signal(number)
                _await_end(outcome, terminal.process)
                time.sleep(0.1)
                if termios.tcgetattr(terminal._master) != before:
                    outcome.blame("the terminal stayed in another mode")
                if on := modes_on(terminal.written):
                    outcome.blame(f"modes stayed on: {', '.join(on)}")
                if b"Traceback" in terminal.written:
                    outcome.blame("a traceback")
            outcome.tried += 1
        yield outcome


def _await_end(outcome: Outcome, process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        outcome.blame("it did not end within 10 s")
        process.kill()
        process.wait()


def modes_on(written: bytes) -> list[str]:
    """The private modes that were left other than a terminal at rest has them."""
    last: dict[bytes, bytes] = {}
    for numbers, state in _MODES.findall(written):
        last |= dict.fromkeys(numbers.split(b";"), state)
    return [mode.decode() for mode, state in last.items() if state != _PEACEFUL.get(mode, b"l")]


def terminal_gone(tries: int, chance: random.Random) -> Iterator[Outcome]:
    """The terminal's other side is closed, as when ssh breaks."""
    outcome = Outcome("the terminal goes away under the dashboard")
    for _ in range(max(1, tries // 10)):
        with watched(outcome), dashboard("opensnoop") as terminal:
            time.sleep(chance.uniform(0.5, 2))
            os.dup2(os.open(os.devnull, os.O_RDWR), terminal._master)
            _await_end(outcome, terminal.process)
        outcome.tried += 1
    yield outcome


def stdout_closed(tries: int, chance: random.Random) -> Iterator[Outcome]:
    """stdout that is closed from the start, and one whose reader goes away."""
    del chance
    outcome = Outcome("stdout closed from the start, stdin too")
    for closed in (">&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"):
        for arguments in ("run opensnoop --format json --duration 1", "--version", "tools", "opensnoop"):
            with watched(outcome):
                command = f"exec {' '.join(EBTOP)} {arguments} {closed}"
                done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=False)
                if "Traceback" in done.stderr or done.returncode < 0 or done.stderr.count("\n") > 1:
                    outcome.blame(f"{arguments} {closed}: {done.returncode} {done.stderr[-200:]}")
            outcome.tried += 1
    yield outcome
    outcome = Outcome("the reader of stdout goes away")
    for _ in range(max(1, tries // 20)):
        with watched(outcome):
            command = f"{' '.join(EBTOP)} run opensnoop --format json | head -n 1"
            work = subprocess.Popen(["sh", "-c", "while :; do cat /etc/hostname; sleep 0.1; done"], stdout=-3)
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60, check=False
            )
            work.kill()
            work.wait()
            if (done.returncode, done.stderr, done.stdout.count("\n")) != (0, "", 1):
                outcome.blame(f"{done.returncode} {done.stderr[-200:]}")
        outcome.tried += 1
    yield outcome


def resized(tries: int, chance: random.Random) -> Iterator[Outcome]:
    """The terminal's size changes all the time, while things happen; in the end the screen is whole again."""
    import fcntl
    import struct

    outcome = Outcome("terminal resized continuously")
    with watched(outcome), dashboard("opensnoop") as terminal:
        terminal.wait_for("LIVE")
        for _ in range(tries * 5):
            size = (36, 120) if outcome.tried == tries * 5 - 1 else (chance.randint(1, 70), chance.randint(1, 250))
            fcntl.ioctl(terminal._master, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
            if chance.random() < 0.2:
                terminal.type(chance.choice("23456"))
            time.sleep(chance.uniform(0, 0.03))
            outcome.tried += 1
        terminal.type("3")
        time.sleep(1.5)
        if not psutil.pid_exists(terminal.process.pid) or terminal.process.poll() is not None:
            outcome.blame(f"it ended: {terminal.text()[-300:]}")
        elif "3 opensnoop" not in terminal.text() or "q quit" not in terminal.text():
            outcome.blame(f"the screen is not whole: {terminal.text()[:200]}")
        terminal.type("q")
        _await_end(outcome, terminal.process)
    yield outcome
