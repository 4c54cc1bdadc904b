"""The tracers that are compared: how each is started, known to be attached, measured and stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.bench import processes
from tests.bench.running import Running, UnavailableError
from tests.bench.terminal import Terminal

EBTOP = Path(sys.executable).parent / "ebtop"
DASHBOARD, JSON, LIBBPF, BPFTRACE, BCC = "ebtop, dashboard", "ebtop run", "libbpf-tools", "bpftrace", "bcc"
PERF = "perf"


@dataclass(frozen=True)
class Tracer:
    """A tracer's name in tables and its command; `screen` ones get a terminal, others write to /dev/null or a file."""

    name: str
    command: tuple[str, ...]
    screen: bool = False
    output: str = os.devnull


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", ""))
    return found or name


def dashboard(tool: str) -> Tracer:
    """ebtop's dashboard, with the pane of `tool` shown and all its tools running."""
    return Tracer(DASHBOARD, (str(EBTOP), tool), screen=True)


def ebtop_run(tool: str, *options: str, output: str = os.devnull) -> Tracer:
    """`ebtop run TOOL --format json > OUTPUT`."""
    return Tracer(JSON, (str(EBTOP), "run", tool, "--format", "json", *options), output=output)


def libbpf(tool: str, *options: str, output: str = os.devnull) -> Tracer:
    """The program of that name in libbpf-tools."""
    return Tracer(LIBBPF, (_program(tool), *options), output=output)


def perf(*arguments: str) -> Tracer:
    """perf with these arguments."""
    return Tracer(PERF, (_program("perf"), *arguments))


def perf_trace() -> Tracer:
    """perf's way to trace opens, system-wide; it shows no paths."""
    return perf("trace", "-e", "openat", "-o", os.devnull)


def perf_record() -> Tracer:
    """perf's way to sample stacks, system-wide, without looking up a name."""
    return perf("record", "-F", "99", "-a", "-g", "-o", os.devnull)


def bpftrace_program(text: str) -> Tracer:
    """A program given on bpftrace's command line."""
    return Tracer(BPFTRACE, (_program("bpftrace"), "-e", text))


def bpftrace(name: str) -> Tracer:
    """The bpftrace script of that name."""
    return Tracer(BPFTRACE, (_program("bpftrace"), _program(f"{name}.bt")))


def peers(tool: str) -> list[Tracer]:
    """The other tracers' programs of that name, each writing to /dev/null."""
    return [libbpf(tool), bpftrace(tool), Tracer(BCC, (_program(f"{tool}-bpfcc"),))]


def check_installed(tracer: Tracer) -> None:
    """Raises UnavailableError when it is not."""
    if not Path(tracer.command[0]).exists():
        raise UnavailableError(f"{tracer.command[0]} is not installed")


def unavailable(said: str, error: Exception) -> UnavailableError:
    """Why a tracer did not attach, from what it said until then."""
    words = [line.strip() for line in said.splitlines() if line.strip()]
    # Last words are where it stopped; why is further up.
    causes = [line for line in words if "kernel headers" in line or "No such file" in line]
    return UnavailableError((causes or words[-1:] or [str(error)])[0])


@contextmanager
def attached(tracer: Tracer) -> Iterator[Running]:
    """Start a tracer, wait until its probes are attached, and end it afterwards.

    Raises UnavailableError with its last words when it is not installed or does not attach.
    """
    check_installed(tracer)
    with ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile())
        running = stack.enter_context(_started(tracer, errors))
        try:
            processes.wait_attached(running.pid)
        except (TimeoutError, ProcessLookupError) as error:
            said = running.complaints() + (running.terminal.text() if running.terminal else "")
            raise unavailable(said, error) from error
        yield running


@contextmanager
def _started(tracer: Tracer, errors: IO[bytes]) -> Iterator[Running]:
    if tracer.screen:
        terminal = Terminal(tracer.command)
        try:
            yield Running(terminal.process.pid, terminal, errors)
        finally:
            stop(terminal.process)
            terminal.close()
        return
    with open(tracer.output, "wb") as output:
        process = subprocess.Popen(
            tracer.command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
        )
    try:
        yield Running(process.pid, None, errors)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, as Ctrl+C would; after ten seconds end its whole tree."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        for pid in processes.tree(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
