"""Where numbers and names do not mean what they seem to: reused pids, pid namespaces, /proc entries that vanish."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests import loads
from tests.bench import processes
from tests.faults.outcome import Outcome
from tests.faults.subjects import dashboard, headless, watched
from tests.kernel.ebtop import EBTOP

_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
_OPENS = "import sys, time\nfor n in range(5):\n open('/etc/hostname').close()\n time.sleep(0.1)"


def pid_reuse(tries: int, chance: random.Random) -> Iterator[Outcome]:
    """The process in focus ends, and another gets its number: it was not asked for."""
    del chance
    outcome = Outcome("another process gets the pid in focus")
    if not _LAST_PID.exists():
        outcome.blame("this kernel cannot give out a chosen pid")
        yield outcome
        return
    for _ in range(max(1, tries // 20)):
        first = subprocess.Popen(["sleep", "60"])
        with watched(outcome), headless("opensnoop", "--pid", str(first.pid)) as (process, file):
            processes.wait_attached(process.pid, settled=0.5)
            first.kill()
            first.wait()
            time.sleep(2.2)  # two ticks
            second = _born_as(first.pid)
            if second is None:
                outcome.blame(f"no process could be given the pid {first.pid}")
            else:
                second.wait()
            process.send_signal(signal.SIGINT)
            process.wait(20)
            events = [o for o in map(json.loads, file.read_text().splitlines()) if o["type"] == "event"]
            outcome.seen = (outcome.seen or 0) + len(events)
            if events:
                outcome.blame(f"{len(events)} events of the second process")
        outcome.tried += 1
    yield outcome


def _born_as(pid: int) -> subprocess.Popen[bytes] | None:
    """A process of that number which opens files, if nobody else takes it first."""
    for _ in range(50):
        _LAST_PID.write_text(str(pid - 1))
        born = subprocess.Popen([sys.executable, "-S", "-c", _OPENS])
        if born.pid == pid:
            return born
        born.kill()
        born.wait()
    return None


def pid_namespace(tries: int, chance: random.Random) -> Iterator[Outcome]:
    """Processes in a namespace of their own are shown with the host's pids; inside, ebtop says what it cannot tell."""
    del chance, tries
    outcome = Outcome("a process in a nested pid namespace: the host's pid", 1)
    if shutil.which("unshare") is None:
        outcome.blame("unshare is not installed")
        yield outcome
        return
    with watched(outcome), headless("opensnoop") as (process, file):
        processes.wait_attached(process.pid, settled=0.5)
        script = "cat /etc/hostname >/dev/null; sleep 1"
        inner = subprocess.Popen(["unshare", "--pid", "--fork", "sh", "-c", script])
        time.sleep(0.6)
        hosts = set(processes.tree(inner.pid))
        inner.wait()
        process.send_signal(signal.SIGINT)
        process.wait(20)
        events = [json.loads(line) for line in file.read_text().splitlines()]
        cats = [e for e in events if e["type"] == "event" and e["path"] == "/etc/hostname" and e["comm"] == "cat"]
        outcome.seen = len(cats)
        if not any(min(hosts) <= e["pid"] <= max(hosts) + 50 for e in cats):
            outcome.blame(f"pids {[e['pid'] for e in cats]} are not those of the host, near {sorted(hosts)}")
    yield outcome
    outcome = Outcome("ebtop inside a nested pid namespace: it says so")
    with watched(outcome):
        command = ["unshare", "--pid", "--fork", "--mount-proc", *EBTOP]
        for arguments, code in (
            ("run opensnoop --format json --duration 1", 0), ("run opensnoop --pid 1", 4), ("run opensnoop -- true", 4),
            ("doctor", 0),
        ):  # fmt: skip
            done = subprocess.run(
                [*command, *arguments.split()], capture_output=True, text=True, timeout=90, check=False
            )
            if done.returncode != code or "pid namespace" not in done.stdout + done.stderr:
                outcome.blame(f"{arguments}: {done.returncode} {done.stderr[-200:]}")
            outcome.tried += 1
    yield outcome


def vanishing(tries: int, chance: random.Random) -> Iterator[Outcome]:
    """Rows of processes that are gone, or going, are looked up one after another."""
    count = tries * 30
    outcome = Outcome("/proc entries vanish while they are read", count)
    with watched(outcome), dashboard("execsnoop") as terminal:
        terminal.wait_for("LIVE", 30)
        processes.wait_attached(terminal.process.pid, settled=1.0)
        load = subprocess.Popen(loads.command("execs", count), stdout=subprocess.DEVNULL)
        terminal.type("\r")
        while load.poll() is None:
            terminal.type(chance.choice(["\x1b[A", "\x1b[B", "\x1b[6~", "\x1b[5~", "f", "u", "F"]))
            time.sleep(0.05)
        time.sleep(1)
        text = terminal.text()
        if terminal.process.poll() is not None or "LIVE" not in text or "Traceback" in text:
            outcome.blame(f"the dashboard is not live: {text[:200]}")
        terminal.type("q")
        terminal.process.wait(15)
    yield outcome
