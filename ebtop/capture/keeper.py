"""`python -m ebtop.capture.keeper FD`: starts capture as root, and again when it has died and the screen asks.

The screen has given root up by then and could not. This process stays small: it forks, and only the child imports.
On the socket FD each request is one message of JSON: {"start": settings} is answered with the child's two pipes,
{"why": true} with how the last child ended. When the socket closes, it ends; capture ends by itself at its closed pipe.

Capture has a socket to it, too: any message is answered with a descriptor that keeps the kernel's BPF statistics on
while it is open. That takes CAP_SYS_ADMIN, which so stays out of the process that reads what others wrote.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import socket
import sys
import time

from ebtop import arena, capability
from ebtop.arena import Descriptors
from ebtop.capture import statistics, tracefs

_MESSAGE = 1 << 16
_PATIENCE_S = 4.0


class Keeper:
    """Keeps at most one capture process."""

    def __init__(self, sock: socket.socket, screen_pid: int) -> None:
        self._socket, self._screen_pid = sock, screen_pid
        self._statistics: socket.socket | None = None
        self._child = 0
        self._errors = -1

    def start(self, settings: str) -> list[int]:
        """Fork a capture; what the screen gets of it: [commands to write, messages to read, the arena's units to read
        and its marks]."""
        self.why()
        commands_read, commands_write = os.pipe()
        output_read, output_write = os.pipe()
        self._statistics, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.suppress(OSError):  # a user's limit on pipe sizes only makes it slower
            fcntl.fcntl(output_write, fcntl.F_SETPIPE_SZ, 1 << 20)
        shared = arena.make()
        self._errors = os.memfd_create("ebtop-errors")
        self._child = os.fork()
        if not self._child:
            os.close(commands_write)
            os.close(output_read)
            self._socket.close()
            self._statistics.close()
            os.dup2(self._errors, 2)
            os.close(shared.read)
            _capture(settings, commands_read, output_write, shared, theirs)
        theirs.close()
        for fd in (commands_read, output_write, shared.write):
            os.close(fd)
        return [commands_write, output_read, shared.read, shared.marks]

    def why(self) -> str:
        """How the last capture ended; it is ended if it still runs."""
        if not self._child:
            return "it was not started"
        pid, status = self.end(0.5)
        os.lseek(self._errors, 0, os.SEEK_SET)
        told = os.read(self._errors, 1 << 20).decode("utf-8", "replace").strip().splitlines()
        os.close(self._errors)
        if pid and os.WIFSIGNALED(status):
            return f"it was killed by {signal.Signals(os.WTERMSIG(status)).name}"
        if not pid:
            return f"it hung{f': {told[-1]}' if told else ''}"
        return told[-1] if told else f"it ended with exit code {os.waitstatus_to_exitcode(status)}"

    def end(self, patience_s: float) -> tuple[int, int]:
        """Wait for capture, which ends by itself when nobody reads it; what waitpid said, zeros if it had to be
        killed."""
        if self._statistics:
            self._statistics.close()
            self._statistics = None
        pid, status, deadline = 0, 0, time.monotonic() + patience_s
        while self._child and not pid:
            pid, status = os.waitpid(self._child, os.WNOHANG)
            if not pid and time.monotonic() > deadline:
                os.kill(self._child, signal.SIGKILL)
                os.waitpid(self._child, 0)
                break
            time.sleep(0 if pid else 0.005)
        self._child = 0
        return pid, status

    def serve(self) -> None:
        """Until the screen has gone."""
        while True:
            capture = [self._statistics] if self._statistics else []
            readable = select.select([self._socket, *capture], [], [])[0]
            if self._socket in readable:
                raw = self._socket.recv(_MESSAGE)
                if not raw:
                    return
                self._answer(json.loads(raw))
            elif self._statistics and not statistics.hand_out(self._statistics):
                self._statistics.close()
                self._statistics = None

    def _answer(self, request: object) -> None:
        """Whoever is at the other end may have been taken over: it gets a capture, or the reason, and nothing else."""
        match request:
            case {"start": dict(settings)}:
                if settings.get("screen_pid"):
                    settings["screen_pid"] = self._screen_pid  # whose memory is told, root's rights or not
                fds = self.start(json.dumps(settings))
                socket.send_fds(self._socket, [b"started"], fds)
                for fd in fds:
                    os.close(fd)
            case {"why": True}:
                self._socket.send(self.why().encode()[:_MESSAGE])
            case _:
                raise ValueError("neither start nor why")


def _capture(settings: str, commands: int, output: int, shared: Descriptors, keeper: socket.socket) -> None:
    """Never returns."""
    code = 1
    try:
        capability.keep(capability.CAPTURE)
        from ebtop.capture.compiler import Compilers  # only here: the keeper itself has no use for these

        compilers = Compilers()  # bcc is imported there while NumPy is imported here
        from ebtop.capture import capture

        code = capture.main(settings, commands, output, shared, keeper, compilers)
    except BaseException:  # noqa: BLE001  the child must not return into the keeper's loop
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Serve on the socket that was inherited."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's linear algebra is not used: 30 MB and idle threads less
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the screen decides when it ends; the last tick must not be lost
    sock, screen_pid = socket.socket(fileno=int(sys.argv[1])), os.getppid()
    try:
        _settle_down()
        with contextlib.suppress(ConnectionError):
            keeper = Keeper(sock, screen_pid)
            keeper.serve()
            keeper.end(_PATIENCE_S)  # so that all is given back when we have gone
    except (OSError, ValueError, RecursionError) as error:
        sys.exit(f"ebtop keeper: {error}")


def _settle_down() -> None:
    """Do what takes root once, then give up what capture does not need either."""
    os.umask(0o077)
    # Before Linux 5.11 maps count as locked memory; what capture shares counts as files, of which it writes no others.
    for limit in (resource.RLIMIT_MEMLOCK, resource.RLIMIT_FSIZE):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    tracefs.ensure()
    capability.keep(capability.KEEPER)


if __name__ == "__main__":
    main()
