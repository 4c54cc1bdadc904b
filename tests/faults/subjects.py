"""An ebtop that something is done to, and a look at what it left."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.bench.terminal import Terminal
from tests.faults.outcome import Outcome
from tests.kernel.ebtop import EBTOP, end_started
from tests.leftovers import held_by_nobody, on_the_machine

_PR_SET_CHILD_SUBREAPER = 36


def become_reaper() -> None:
    """Have orphans of what is killed come to this process: nobody can be left behind unseen."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> None:
    """Take leave of children that have ended."""
    for child in psutil.Process().children():
        if child.status() == psutil.STATUS_ZOMBIE:
            os.waitpid(child.pid, 0)


@contextmanager
def watched(outcome: Outcome) -> Iterator[None]:
    """Count what is left behind when the block is done: descendants after ten seconds, BPF objects nobody holds."""
    before, ours = on_the_machine(), set(psutil.Process().children(recursive=True))
    yield
    deadline = time.monotonic() + 10
    while (left := _living(ours)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in left:
        outcome.blame(f"process {process.pid} stayed")
        process.kill()
    loose = held_by_nobody(before)
    if loose:
        outcome.blame(f"stayed: {', '.join(sorted(loose)[:4])}")
    outcome.left += len(left) + len(loose)


def _living(ours: set[psutil.Process]) -> list[psutil.Process]:
    reap()
    return [p for p in psutil.Process().children(recursive=True) if p not in ours]


@contextmanager
def headless(tool: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """`ebtop run TOOL`, writing JSON to a file."""
    with tempfile.TemporaryDirectory(prefix="e") as folder:
        file = Path(folder) / "out.json"
        command = [*EBTOP, "run", tool, "--format", "json", "-o", str(file), *options]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        try:
            yield process, file
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()
            end_started()


@contextmanager
def dashboard(*arguments: str, columns: int = 120, rows: int = 36) -> Iterator[Terminal]:
    """The dashboard on a terminal."""
    terminal = Terminal([*EBTOP, *arguments], columns, rows)
    try:
        yield terminal
    finally:
        if terminal.process.poll() is None:
            terminal.process.kill()
        terminal.process.wait()
        terminal.close()
