"""A program under a terminal of a given size whose output is really read, as a user's terminal would."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence

import pyte

# Taken out, the words remain that were painted.
_ESCAPES = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_][^\x1b]*\x1b\\"  # OSC and other strings
    rb"|\x1b[ -/]*[0-~]"
)


class Terminal:
    """Starts `command` on its own pseudo-terminal and reads all that it writes, in a thread."""

    def __init__(self, command: Sequence[str], columns: int = 120, rows: int = 36, **environment: str) -> None:
        self.columns, self.rows = columns, rows
        self._output = bytearray()
        self._arrived = threading.Condition()
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, close_fds=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), env=_environment(environment),
        )  # fmt: skip
        os.close(slave)
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()

    def _drain(self) -> None:
        while True:
            try:
                chunk = os.read(self._master, 1 << 16)
            except OSError:  # the last program on the terminal has gone
                chunk = b""
            with self._arrived:
                self._output += chunk
                self._arrived.notify_all()
            if not chunk:
                return

    def wait_for(self, words: str, timeout: float = 15, since: int = 0) -> float:
        """Wait until `words` have been painted, after so many bytes; seconds since the start. Raises TimeoutError."""
        deadline, wanted = time.monotonic() + timeout, words.encode()
        with self._arrived:
            while wanted not in _ESCAPES.sub(b"", bytes(self._output[since:])):
                if not self._arrived.wait(deadline - time.monotonic()) or time.monotonic() > deadline:
                    raise TimeoutError(f"{words!r} was not painted in {timeout:.0f} s")
        return time.monotonic() - self.started

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def answer_s(self, key: str, words: str) -> float:
        """Press a key: seconds until `words` have been painted. Raises TimeoutError."""
        since, pressed = len(self.written), time.monotonic() - self.started
        self.type(key)
        return self.wait_for(words, since=since) - pressed

    @property
    def written(self) -> bytes:
        """All bytes so far."""
        with self._arrived:
            return bytes(self._output)

    def screen(self) -> pyte.Screen:
        """What the terminal shows now, cell by cell."""
        screen = pyte.Screen(self.columns, self.rows)
        # pyte takes "CSI > ..." and "CSI ? ... $p" (questions about the terminal) for other sequences.
        pyte.ByteStream(screen).feed(re.sub(rb"\x1b\[[<=>][0-9;]*[a-z]|\x1b\[\?[0-9;]*\$p", b"", self.written))
        return screen

    def text(self) -> str:
        """What the terminal shows now, line by line."""
        return "\n".join(line.rstrip() for line in self.screen().display)

    def close(self) -> None:
        """Give the terminal up; the program should have ended."""
        self._reader.join(2)
        os.close(self._master)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **more}
