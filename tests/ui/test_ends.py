"""How a dashboard ends whose terminal is gone, or takes nothing any more: nothing it started may be left to run."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from typing import NamedTuple

import psutil
import pytest

from ebtop.endings import PATIENCE_S


class Shown(NamedTuple):
    """A dashboard on a pseudo-terminal that is not its session's: the kernel tells it nothing when that goes."""

    process: subprocess.Popen[bytes]
    master: int
    slave: int

    def read(self, seconds: float) -> bytes:
        """What it draws in that time."""
        text, end = b"", time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                text += os.read(self.master, 1 << 16)
        return text


@pytest.fixture
def demo() -> Iterator[Shown]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    command = [sys.executable, "-m", "ebtop", "demo"]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"})
    shown = Shown(process, master, slave)
    drawn = b""
    while b"overview" not in drawn:
        assert process.poll() is None, drawn
        drawn += shown.read(0.2)
    yield shown
    process.kill()
    process.wait()
    for fd in (master, slave):
        try:
            os.close(fd)
        except OSError:  # the test has closed it
            continue


def test_it_ends_with_its_terminal(demo: Shown):
    os.close(demo.slave)
    os.close(demo.master)
    assert demo.process.wait(5) == 128 + signal.SIGHUP


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_terminal_that_takes_nothing_holds_up_no_signal(demo: Shown, number: signal.Signals):
    termios.tcflow(demo.slave, termios.TCOOFF)  # as ^S does
    main = psutil.Process(demo.process.pid)
    for _ in range(200):  # more than may wait to be written
        os.write(demo.master, b"\t")
        time.sleep(0.02)
    assert main.is_running()
    demo.process.send_signal(number)
    assert demo.process.wait(PATIENCE_S + 5) == (0 if number == signal.SIGINT else 128 + number)


def test_signals_end_it_at_once_where_the_terminal_takes_all(demo: Shown):
    demo.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    while demo.process.poll() is None and time.monotonic() - began < PATIENCE_S - 2:
        demo.read(0.1)
    assert demo.process.poll() == 128 + signal.SIGTERM


def test_further_signals_make_no_difference(demo: Shown):
    demo.process.send_signal(signal.SIGTERM)
    text = b""
    while demo.process.poll() is None:
        demo.process.send_signal(signal.SIGTERM)
        text += demo.read(0.002)
    text += demo.read(0.1)
    # Python's own end comes last, where signals do what they always do.
    assert demo.process.poll() in {128 + signal.SIGTERM, -signal.SIGTERM}
    assert b"Traceback" not in text
