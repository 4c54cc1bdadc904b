"""`python -m ebtop.capture.keeper FD`: starts capture as root, and again when it has died and the screen asks.

The screen has given root up by then and could not. This process stays small: it forks, and only the child imports.
On the socket FD each request is one message of JSON: {"start": settings} is answered with the child's two pipes,
{"why": true} with how the last child ended. When the socket closes, it ends; capture ends by itself at its closed pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
import time

_MESSAGE = 1 << 16


class Keeper:
    """Keeps at most one capture process."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._child = 0
        self._errors = -1

    def start(self, settings: str) -> list[int]:
        """Fork a capture; the screen's ends of its pipes: [commands to write, messages to read]."""
        self.why()
        commands_read, commands_write = os.pipe()
        output_read, output_write = os.pipe()
        with contextlib.suppress(OSError):  # a user's limit on pipe sizes only makes it slower
            fcntl.fcntl(output_write, fcntl.F_SETPIPE_SZ, 1 << 20)
        self._errors = os.memfd_create("ebtop-errors")
        self._child = os.fork()
        if not self._child:
            os.close(commands_write)
            os.close(output_read)
            self._socket.close()
            os.dup2(self._errors, 2)
            _capture(settings, commands_read, output_write)
        os.close(commands_read)
        os.close(output_write)
        return [commands_write, output_read]

    def why(self) -> str:
        """How the last capture ended; it is ended if it still runs."""
        if not self._child:
            return "it was not started"
        pid, status = self._wait_a_little()
        if not pid:  # its stream has ended, and yet it lives
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
        self._child = 0
        os.lseek(self._errors, 0, os.SEEK_SET)
        told = os.read(self._errors, 1 << 20).decode("utf-8", "replace").strip().splitlines()
        os.close(self._errors)
        if pid and os.WIFSIGNALED(status):
            return f"it was killed by {signal.Signals(os.WTERMSIG(status)).name}"
        if not pid:
            return f"it hung{f': {told[-1]}' if told else ''}"
        return told[-1] if told else f"it ended with exit code {os.waitstatus_to_exitcode(status)}"

    def _wait_a_little(self) -> tuple[int, int]:
        for _ in range(50):
            pid, status = os.waitpid(self._child, os.WNOHANG)
            if pid:
                return pid, status
            time.sleep(0.01)
        return 0, 0

    def serve(self) -> None:
        """Until the screen has gone."""
        while True:
            raw = self._socket.recv(_MESSAGE)
            if not raw:
                return
            request = json.loads(raw)
            if "start" in request:
                fds = self.start(json.dumps(request["start"]))
                socket.send_fds(self._socket, [b"started"], fds)
                for fd in fds:
                    os.close(fd)
            else:
                self._socket.send(self.why().encode()[:_MESSAGE])


def _capture(settings: str, commands: int, output: int) -> None:
    """Never returns."""
    code = 1
    try:
        from ebtop.capture import capture  # only here: the keeper itself has no use for NumPy

        code = capture.main(settings, commands, output)
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
    with contextlib.suppress(ConnectionError):
        Keeper(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
