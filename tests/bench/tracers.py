"""The tracers that are compared: how each is started, known to be attached, measured and stopped."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from tests.bench import processes
from tests.bench.terminal import Terminal

EBTOP = Path(sys.executable).parent / "ebtop"
_Report = TypeVar("_Report")
DASHBOARD, JSON, LIBBPF, BPFTRACE, BCC = "ebtop, dashboard", "ebtop run", "libbpf-tools", "bpftrace", "bcc"


class UnavailableError(Exception):
    """This tracer cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Tracer:
    """A tracer's name in tables and its command; `screen` ones get a terminal, others write to /dev/null or a file."""

    name: str
    command: tuple[str, ...]
    screen: bool = False
    output: str = os.devnull


@dataclass
class Running:
    """A tracer that has attached its probes."""

    pid: int
    terminal: Terminal | None
    errors: IO[bytes]

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        return processes.cpu_s(self.pid)

    def cost_of(self, load: Callable[[], _Report]) -> tuple[_Report, float]:
        """What a load reports, and the tracer's CPU seconds from its start until all of it was worked off."""
        usual = processes.share(self.pid)
        before = self.cpu_s()
        reported = load()
        processes.wait_quiet(self.pid, usual)
        return reported, self.cpu_s() - before

    def lost_on_screen(self) -> str:
        """What the dashboard's header says after `lost`. Raises UnavailableError when it says nothing."""
        found = re.search(r"\blost\s+([\d.,]+(?:\s?[kMG])?)", self.terminal.text() if self.terminal else "")
        if found is None:
            raise UnavailableError("the dashboard shows no count of lost events")
        return found[1]

    def complaints(self) -> str:
        """What it wrote on its standard error."""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", ""))
    return found or name


def dashboard(tool: str) -> Tracer:
    """ebtop's dashboard, with the pane of `tool` shown and all its tools running."""
    return Tracer(DASHBOARD, (str(EBTOP), tool), screen=True)


def ebtop_run(tool: str, output: str = os.devnull) -> Tracer:
    """`ebtop run TOOL --format json > OUTPUT`."""
    return Tracer(JSON, (str(EBTOP), "run", tool, "--format", "json"), output=output)


def peers(tool: str) -> list[Tracer]:
    """The other tracers' programs of that name, each writing to /dev/null."""
    return [
        Tracer(LIBBPF, (_program(tool),)),
        Tracer(BPFTRACE, (_program("bpftrace"), _program(f"{tool}.bt"))),
        Tracer(BCC, (_program(f"{tool}-bpfcc"),)),
    ]


@contextmanager
def attached(tracer: Tracer) -> Iterator[Running]:
    """Start a tracer, wait until its probes are attached, and end it afterwards.

    Raises UnavailableError with its last words when it is not installed or does not attach.
    """
    if not Path(tracer.command[0]).exists():
        raise UnavailableError(f"{tracer.command[0]} is not installed")
    with ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile())
        running = stack.enter_context(_started(tracer, errors))
        try:
            processes.wait_attached(running.pid)
        except (TimeoutError, ProcessLookupError) as error:
            said = running.complaints() + (running.terminal.text() if running.terminal else "")
            words = [line.strip() for line in said.splitlines() if line.strip()]
            # Last words are where it stopped; why is further up.
            causes = [line for line in words if "kernel headers" in line or "No such file" in line]
            cause = (causes or words[-1:] or [str(error)])[0]
            raise UnavailableError(cause) from error
        yield running


@contextmanager
def _started(tracer: Tracer, errors: IO[bytes]) -> Iterator[Running]:
    if tracer.screen:
        terminal = Terminal(tracer.command)
        try:
            yield Running(terminal.process.pid, terminal, errors)
        finally:
            _stop(terminal.process)
            terminal.close()
        return
    with open(tracer.output, "wb") as output:
        process = subprocess.Popen(
            tracer.command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
        )
    try:
        yield Running(process.pid, None, errors)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, as Ctrl+C would; after ten seconds end its whole tree."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        for pid in processes.tree(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
