"""Running ebtop and reading what it says."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

EBTOP = [sys.executable, "-m", "ebtop"]
_TS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
_TYPES = {"event", "row", "histogram", "stack", "lost", "summary"}
WAYS = ["", "--perf-buffer", "--attach=tracepoint", "--attach=raw_tracepoint"]
"""Each tool must count the same whichever way its records come."""
_INTERRUPTED = ["--attach=tracepoint", *(f"--attach=state_{kind}" for kind in ("tracepoint", "fentry", "kprobe"))]


class Output:
    """What `ebtop run --format json` wrote, held against the contract; `said` is what came on stderr."""

    def __init__(self, lines: Iterable[str], said: str = "") -> None:
        self.said = said
        self.objects = [json.loads(line) for line in lines]
        for found in self.objects:
            assert found["type"] in _TYPES
            assert isinstance(found["tool"], str)
            assert _TS.fullmatch(found["ts"])
            assert not any(isinstance(value, dict) for value in found.values())
        assert [o["type"] for o in self.objects].count("summary") == 1
        self.summary = self.objects[-1]
        assert self.summary["type"] == "summary"
        assert {"events", "lost", "duration_s", "probes"} <= set(self.summary)
        self.events = self.of("event")
        assert self.summary["events"] == len(self.events)
        assert self.summary["lost"] == sum(o["lost"] for o in self.of("lost"))

    def lost_in(self, way: str) -> int:
        """What was lost, without what these ways alone may count: changes of sockets' states come from softirqs, too,
        and the kernel does not run a program for what interrupts it, whether or not that would have mattered."""
        reason = "program was running" if way in _INTERRUPTED else ""
        return sum(o["lost"] for o in self.of("lost") if o["reason"] != reason)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The objects of a type."""
        return [o for o in self.objects if o["type"] == kind]

    def where(self, **wanted: object) -> list[dict[str, Any]]:
        """The events whose columns have these values."""
        return [e for e in self.events if all(e[key] == value for key, value in wanted.items())]


def trace(tmp_path: Path, tool: str, command: Sequence[object], *options: str, timeout: float = 120) -> Output:
    """`ebtop run TOOL OPTIONS -o FILE --format json -- COMMAND`."""
    file = tmp_path / f"{tool}.json"
    argv = [*EBTOP, "run", tool, "--format", "json", "-o", str(file), *filter(None, options)]
    done = subprocess.run(
        [*argv, "--", *map(str, command)], capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    with file.open(encoding="utf-8") as lines:
        return Output(lines, done.stderr)


_STARTED: list[subprocess.Popen[str]] = []


def started(argv: Sequence[object], **options: Any) -> subprocess.Popen[str]:
    """A process that is ended after the test, however that goes."""
    process = subprocess.Popen(list(map(str, argv)), **options)
    _STARTED.append(process)
    return process


def end_started() -> None:
    """End what the test left running."""
    while _STARTED:
        process = _STARTED.pop()
        with process:  # closes its pipes, and waits
            if process.poll() is None:
                process.kill()


class Background:
    """`ebtop run TOOL` beside something else; `stop` ends it as Ctrl+C does."""

    def __init__(self, file: Path, tool: str, *options: str) -> None:
        self.file = file
        argv = [*EBTOP, "run", tool, "--format", "json", "-o", str(file), *filter(None, options)]
        self.process = started(argv, stderr=subprocess.PIPE, text=True)

    def wait_until_it_sees(self, *knock: object) -> None:
        """Run a command again and again until it shows in the output: the probes are attached then."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None and not (self.file.exists() and self.file.stat().st_size):
            assert time.monotonic() < deadline, "nothing was seen for a minute"
            subprocess.run(list(map(str, knock)), check=False, stdout=subprocess.DEVNULL)
            time.sleep(0.05)
        assert self.process.poll() is None, self.stop()

    def stop(self) -> Output:
        """What it wrote."""
        self.process.send_signal(signal.SIGINT)
        err = self.process.communicate(timeout=60)[1]
        assert self.process.returncode == 0, err
        with self.file.open(encoding="utf-8") as lines:
            return Output(lines)


def run(*args: str, timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ebtop with arguments, to its end."""
    return subprocess.run([*EBTOP, *args], capture_output=True, text=True, timeout=timeout, check=False, **options)
