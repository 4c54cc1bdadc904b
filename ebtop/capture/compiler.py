"""The capture side of the compiler process: started early, asked for one program after the other, let go when idle."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping

from ebtop.capture.loader import Loaded, Request, receive


class Compiler:
    """Runs ebtop.capture.loader and keeps the order of what it was asked for."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._waiting: deque[tuple[Request, Mapping[str, int]]] = deque()

    def start(self) -> None:
        """Start the process now, so that it imports bcc while its first work is prepared."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        command = [sys.executable, "-I", "-m", "ebtop.capture.loader", str(theirs.fileno())]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/"
        )
        theirs.close()
        self._socket = ours

    @property
    def pid(self) -> int:
        """The process, 0 when there is none."""
        return self._process.pid if self._process else 0

    @property
    def busy(self) -> bool:
        """Is something being compiled?"""
        return bool(self._waiting)

    def fileno(self) -> int:
        """To wait for replies on; -1 when there is no process."""
        return self._socket.fileno() if self._socket else -1

    def ask(self, request: Request, shared: Mapping[str, int]) -> None:
        """Queue a program."""
        self._waiting.append((request, shared))
        if len(self._waiting) == 1:
            self._send_next()

    def _send_next(self) -> None:
        if not self._waiting:
            return
        request, shared = self._waiting[0]
        for _attempt in range(2):
            if self._socket is None:
                self.start()
            try:
                socket.send_fds(self._socket, [request.encode()], list(shared.values()))  # type: ignore[arg-type]
            except OSError:  # it had been idle and is gone
                self.stop()
            else:
                return

    def reply(self) -> Loaded:
        """The result of the oldest request; call when `fileno` is readable."""
        try:
            result = receive(self._socket) if self._socket else Loaded(error="the compiler process is not running")
        except (ConnectionError, OSError, ValueError) as error:
            code = self._process.poll() if self._process else None
            result = Loaded(error=f"the compiler process ended ({'no exit code' if code is None else code}): {error}")
            self.stop()
        self._waiting.popleft()
        self._send_next()
        return result

    def idle(self) -> None:
        """The socket is readable though nothing was asked: the process has gone, as it does when it has no work."""
        self.stop()

    def stop(self) -> None:
        """Let go of the process; it ends at the closed socket."""
        if self._socket:
            self._socket.close()
        self._socket = None
        if self._process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.2)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
        self._process = None
