"""More than can be taken: rings that overflow while capture stands still, storms of processes, full maps."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests import loads
from tests.bench import processes
from tests.bench.terminal import Terminal
from tests.faults.outcome import Outcome
from tests.faults.subjects import dashboard, headless, watched

STANDSTILL_S = 5.0
_MOST_MIB = 700
"""PSS of all of ebtop's processes in a storm; what is held back in memory is bounded."""


def _objects(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _capture(process: subprocess.Popen[str]) -> psutil.Process:
    """The keeper's only child that lasts; it is a fork of the keeper, and looks like it."""
    below = psutil.Process(process.pid).children(recursive=True)
    alike = [p for p in below if "ebtop.capture.keeper" in _command_line(p)]
    return next(p for p in alike if p.ppid() in {other.pid for other in alike})


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # a compiler, which ends when it has nothing more to do
        return []


def overflow(tries: int, chance: random.Random) -> Iterator[Outcome]:
    """Capture stopped by SIGSTOP for five seconds while more is made than the ring holds: seen + lost = made."""
    del chance
    opens, execs, connects = 500_009, 10_007, 20_011
    for _ in range(max(1, tries // 50)):
        with tempfile.NamedTemporaryFile() as target:
            command = loads.command("opens", target.name, opens)
            for way in ((), ("--perf-buffer",)):
                yield _overflow("opensnoop", command, opens, target.name, *way)
        # What is told at a program's end counts: that of `sleep`, of the load, and of all that it started. An end is
        # not told when the start was lost, so what is lost of both together is what the ends lack.
        yield _overflow("execsnoop", loads.command("execs", execs), execs + 2, "")
        yield _overflow("tcpconnect", loads.command("connects", connects, 0, 0), connects, "")


def _overflow(tool: str, command: list[str], made: int, path: str, *way: str) -> Outcome:
    outcome = Outcome(f"{tool} {' '.join(way)} with its reader stopped for {STANDSTILL_S:.0f} s", 1, made)
    with watched(outcome), headless(tool, *way, "--", "sh", "-c", f"sleep 1; exec {' '.join(command)}") as subject:
        process, file = subject
        while not _running(command[0]) and process.poll() is None:
            time.sleep(0.01)
        capture = _capture(process)
        time.sleep(0.2)
        capture.suspend()
        time.sleep(STANDSTILL_S)
        capture.resume()
        process.wait(120)
        _count(outcome, tool, _objects(file), path)
    return outcome


def _running(program: str) -> bool:
    """Asked of /proc: psutil remembers what a process was before it called exec."""
    return any(_executes(entry, program) for entry in os.listdir("/proc") if entry.isdigit())


def _executes(pid: str, program: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/exe") == program
    except OSError:  # it has gone, or is the kernel's own
        return False


def _count(outcome: Outcome, tool: str, objects: list[dict[str, Any]], path: str) -> None:
    lost = objects[-1]["lost"]
    kind = "row" if tool == "execsnoop" else "event"
    seen = len([o for o in objects if o["type"] == kind and (not path or o["path"] == path)])
    outcome.seen, outcome.lost = seen, lost
    if not lost:
        outcome.note = "the ring held all of it"
    if outcome.made is not None and seen + lost != outcome.made:
        outcome.blame(f"seen + lost is {seen + lost - outcome.made:+} off")


def storm(tries: int, chance: random.Random) -> Iterator[Outcome]:
    """Processes come and go by the ten thousand a second under the dashboard with all its tools."""
    del chance
    count = tries * 2_000
    load = loads.command("forks", count, "vfork")
    for what, arguments in (("all processes", ["runqlat"]), ("followed as a family", ["execsnoop", "--", *load])):
        outcome = Outcome(f"storm of short processes, {what}", 1, count)
        with watched(outcome), dashboard(*arguments) as terminal:
            terminal.wait_for("LIVE", 30)
            if "--" not in arguments:
                processes.wait_attached(terminal.process.pid, settled=1.5)
                subprocess.Popen(load, stdout=subprocess.DEVNULL)
            _ride_out(outcome, terminal, load[0])
        yield outcome


def _ride_out(outcome: Outcome, terminal: Terminal, program: str) -> None:
    patience = time.monotonic() + 20
    while not _running(program):
        if time.monotonic() > patience:
            outcome.blame("its load was never seen")
            break
        time.sleep(0.01)
    begun, most = time.monotonic(), 0
    while _running(program):
        most = max(most, processes.pss_bytes(terminal.process.pid))
        time.sleep(0.2)
    outcome.note = f"{(outcome.made or 0) / (time.monotonic() - begun):,.0f} a second, {most / (1 << 20):,.0f} MiB"
    if most > _MOST_MIB << 20:
        outcome.blame(f"{most >> 20} MiB")
    time.sleep(2)
    if terminal.process.poll() is not None or "LIVE" not in terminal.text():
        outcome.blame(f"the dashboard is not live: {terminal.text()[:200]}")
    terminal.type("q")
    terminal.process.wait(15)


def full_map(tries: int, chance: random.Random) -> Iterator[Outcome]:
    """More keys than a map has entries, as capture stands still: counted, and told as lost."""
    del chance
    count = tries * 1_500
    outcome = Outcome("runqlat's map is full (65,536 keys)", 1, note="keys: process and bucket")
    with watched(outcome), headless("runqlat", "--by", "pid") as (process, file):
        processes.wait_attached(process.pid, settled=1.0)
        capture = _capture(process)
        capture.suspend()
        loads.run("forks", count, "vfork", timeout=300)
        capture.resume()
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        process.wait(60)
        reasons = Counter[str]()
        for said in _objects(file):
            if said["type"] == "lost":
                reasons[said["reason"]] += said["lost"]
        outcome.lost = reasons["map full"]
        if not outcome.lost:
            outcome.blame(f"nothing was counted: {dict(reasons)}")
    yield outcome
