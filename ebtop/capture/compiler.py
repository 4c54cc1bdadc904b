"""The capture side of the compiler processes: started early, given one program after the other, let go when idle."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from ebtop.capture.loader import Loaded, Request, online_cpus, receive

_ROOM = 1 << 20


class _Worker:
    """A process that runs ebtop.capture.loader, and what it is busy with."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        command = [sys.executable, "-I", "-m", "ebtop.capture.loader", str(theirs.fileno())]
        self.process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/"
        )
        theirs.close()
        self.job: _Job | None = None

    def give(self, job: _Job) -> bool:
        """Hand it work; False when it has gone, as it does when it was idle."""
        try:
            socket.send_fds(self.socket, [job.request.encode()], list(job.shared.values()))
        except OSError:
            return False
        self.job = job
        return True

    def result(self) -> Loaded:
        """What it sends back."""
        try:
            return receive(self.socket)
        except (OSError, ValueError) as error:
            code = self.process.poll()
            return Loaded(error=f"the compiler process ended ({'no exit code' if code is None else code}): {error}")

    def stop(self) -> None:
        """Let go of it; it ends at the closed socket."""
        self.socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.2)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class _Job:
    number: int
    request: Request
    shared: Mapping[str, int]


class Compilers:
    """At most `most` processes that compile side by side."""

    def __init__(self, most: int = 2) -> None:
        self._most = min(most, len(online_cpus()))
        self._workers: list[_Worker] = [_Worker()]  # imports bcc while its first work is prepared
        self._waiting: deque[_Job] = deque()
        self._numbers = count()
        self._unwanted: set[int] = set()

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [worker.process.pid for worker in self._workers]

    def filenos(self) -> list[int]:
        """To wait for results on."""
        return [worker.socket.fileno() for worker in self._workers]

    def ask(self, request: Request, shared: Mapping[str, int]) -> int:
        """Queue a program; `shared` are descriptors, first those of maps, by the name of the map that they take the
        place of, then those of the files that it is attached to, by their paths. The number is that of the result."""
        number = next(self._numbers)
        self._waiting.append(_Job(number, request, shared))
        self._hand_out()
        return number

    def drop(self, number: int) -> None:
        """It is wanted no longer: it is not built, or let go of as soon as it is."""
        waiting = [job for job in self._waiting if job.number == number]
        for job in waiting:
            self._waiting.remove(job)
        if not waiting:
            self._unwanted.add(number)

    def _hand_out(self) -> None:
        for worker in list(self._workers):
            if worker.job is None and self._waiting:
                if worker.give(self._waiting[0]):
                    self._waiting.popleft()
                else:
                    self._drop(worker)
        if self._waiting and len(self._workers) < self._most:
            self._workers.append(_Worker())
            self._hand_out()

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.stop()

    def collect(self, readable: list[int]) -> list[tuple[int, Loaded]]:
        """(number, result) of what was built, given the descriptors that are readable."""
        done = []
        for worker in [w for w in self._workers if w.socket.fileno() in readable]:
            if worker.job is None:  # nothing was asked: it has gone, as it does when it has no work
                self._drop(worker)
                continue
            loaded, number = worker.result(), worker.job.number
            worker.job = None
            if worker.process.poll() is not None:
                self._drop(worker)
            if number in self._unwanted:
                self._unwanted.remove(number)
                loaded.close()
            else:
                done.append((number, loaded))
        self._hand_out()
        return done
