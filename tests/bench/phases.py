"""The parts of a start of ebtop, seen from outside: the system calls by which it starts, compiles and attaches."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

from tests.bench.running import UnavailableError

_TRACED = "execve,bpf,perf_event_open,recvmsg"
_LINE = re.compile(r"(\d+)\s+(\d+\.\d+) (\w+)\((.*)")
_ATTACHING = ("BPF_RAW_TRACEPOINT_OPEN", "BPF_LINK_CREATE")


class Call(NamedTuple):
    """A system call as strace -f -ttt writes it; `at` is Unix time in seconds."""

    pid: int
    at: float
    name: str
    rest: str

    @property
    def attaches(self) -> bool:
        """Does it attach a probe? Perf events that carry BPF's output do not."""
        if self.name == "perf_event_open":
            return "BPF_OUTPUT" not in self.rest
        return self.name == "bpf" and self.rest.startswith(_ATTACHING)


class Phases(NamedTuple):
    """Seconds of each part of a start, one after the other."""

    imports: float
    compile: float
    attach: float
    first_data: float


def calls(text: str) -> list[Call]:
    """What strace wrote; lines that only tell how a call ended are left out."""
    found = [_LINE.match(line) for line in text.splitlines()]
    return [Call(int(m[1]), float(m[2]), m[3], m[4]) for m in found if m]


def phases(made: Sequence[Call], first_data: float) -> Phases:
    """The parts of a start, from its calls and the Unix time of its first data.

    The process that attaches is the one that compiles: it is asked by a message, compiles, and then calls bpf().
    Raises UnavailableError when the calls do not tell.
    """
    attaching = [call for call in made if call.attaches]
    if not attaching:
        raise UnavailableError("strace saw nothing attached")
    loader, attached = attaching[-1].pid, attaching[-1].at
    loading = next(call.at for call in made if call.pid == loader and call.name == "bpf")
    asked = [call.at for call in made if call.pid == loader and call.name == "recvmsg" and call.at < loading]
    if not asked:
        raise UnavailableError("strace saw nobody asking for a program")
    return Phases(asked[-1] - made[0].at, loading - asked[-1], attached - loading, first_data - attached)


def watch(command: Sequence[str], marker: str) -> Phases:
    """Start ebtop under strace, and wait for the marker in what it writes. It must end by itself, and soon.

    Only those few calls stop it (a seccomp filter picks them), so that it hardly starts more slowly.
    Raises UnavailableError without strace, or when the marker never comes.
    """
    if not (strace := shutil.which("strace")):
        raise UnavailableError("strace is not installed")
    with tempfile.NamedTemporaryFile("r") as log:
        options = ["-f", "-qq", "--seccomp-bpf", "-ttt", "-e", f"trace={_TRACED}", "-e", "signal=none", "-o", log.name]
        with subprocess.Popen(
            [strace, *options, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as traced:
            assert traced.stdout is not None
            arrived = [time.time() for line in traced.stdout if marker in line]
        if not arrived:
            raise UnavailableError(f"{marker} was not seen")
        return phases(calls(log.read()), arrived[0])
