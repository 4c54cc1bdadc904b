"""`-- COMMAND`: a child that waits until the probes are attached, and only then becomes the command."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Sequence

from ebtop import preferences
from ebtop.sanitise import sanitise


class HeldCommand:
    """Fork now (before threads are started), `release` later. Its ids are ours, its environment is the caller's.

    `stdin`, `stdout` and `stderr` are descriptors that become the command's; -1 leaves ours.
    """

    def __init__(self, argv: Sequence[str], stdin: int = -1, stdout: int = -1, stderr: int = -1) -> None:
        gate_read, self._gate = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._gate)
            _become(argv, gate_read, (stdin, stdout, stderr))
        os.close(gate_read)
        self.exit_code: int | None = None
        self._waiter: threading.Thread | None = None

    def release(self) -> None:
        """Let it run its first instruction."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._gate, b"!")
        os.close(self._gate)
        self._gate = -1

    def when_done(self, then: Callable[[], None]) -> None:
        """Wait in a thread; `exit_code` is set when `then` is called (128 + signal when it was killed)."""
        self._waiter = threading.Thread(target=self._wait, args=(then,), daemon=True)
        self._waiter.start()

    def _wait(self, then: Callable[[], None]) -> None:
        _pid, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self.exit_code = 128 - code if code < 0 else code
        then()

    def cancel(self) -> None:
        """Give it up if it was not released: it ends without having run."""
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1
            if self._waiter is None:
                os.waitpid(self.pid, 0)
            else:
                self._waiter.join()


def _become(argv: Sequence[str], gate: int, streams: tuple[int, int, int]) -> None:
    """In the child; never returns."""
    try:
        if os.read(gate, 1) != b"!":
            os._exit(0)
        for number, fd in enumerate(streams):
            if fd >= 0:
                os.dup2(fd, number)
        for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        # Looked up here, as a shell does: execvp(3) would try, and show, every folder of PATH.
        os.execve(shutil.which(argv[0]) or argv[0], list(argv), preferences.callers())  # noqa: S606  there is no shell
    except OSError as error:
        os.write(2, f"ebtop: {sanitise(argv[0])}: {error.strerror}\n".encode())
    finally:
        os._exit(127)  # whatever it was: this must never go on as a second ebtop
