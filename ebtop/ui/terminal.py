"""The terminal: keys are read as they come, and Esc does not wait long for a sequence that it could begin."""

from __future__ import annotations

import os
import select
import signal
from codecs import getincrementaldecoder
from collections.abc import Iterable
from typing import Any

from textual import constants
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message


class Terminal(LinuxDriver):
    """Textual's driver wakes ten times a second, to see whether it shall end and whether an Esc was a key of its own.
    This one sleeps until there is input, and after input for as long as a sequence may take to arrive (ESCDELAY)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._ended, self._end = os.pipe()

    def run_input_thread(self) -> None:
        """Until `disable_input` is called or the terminal is gone, which then ends what was shown there."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")(errors="replace").decode
        patience: float | None = None
        while True:
            ready, _, _ = select.select([self.fileno, self._ended], [], [], patience)
            if self._ended in ready:
                os.read(self._ended, 1)
                return
            if not ready:
                self._act_on(parser.tick())
                patience = None
                continue
            if not (data := self._read()):
                os.kill(os.getpid(), signal.SIGHUP)  # as the kernel does, but only where it is the session's terminal
                return
            self._act_on(parser.feed(decode(data)))
            patience = min(constants.ESCAPE_DELAY, 1) + 0.001

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, 4096)
        except OSError:  # EIO: nobody is at the other end any more
            return b""

    def _act_on(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.process_message(message)

    def disable_input(self) -> None:
        """Read no more."""
        if self._key_thread is not None and self._key_thread.is_alive():
            os.write(self._end, b"!")
        super().disable_input()

    def close(self) -> None:
        """After the last of all."""
        super().close()
        os.close(self._ended)
        os.close(self._end)
