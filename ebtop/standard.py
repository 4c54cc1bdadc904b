"""stdin, stdout and stderr, which whoever starts a program may have closed."""

from __future__ import annotations

import os
import select
import sys


def fill_closed() -> None:
    """Put something in the place of those that are closed: the next files that are opened would take their numbers,
    and be written to by whoever means stdout. What is put there can be read to its end, and not be written."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDONLY), fd)
        if getattr(sys, name) is None:  # Python found it closed
            setattr(sys, name, os.fdopen(fd, "w" if fd else "r", closefd=False))


def give_up_stdout() -> None:
    """What is still buffered has no reader, and is to be no trouble at the end."""
    _give_up(1)


def give_up_the_lost() -> None:
    """The same for stdout and stderr where the terminal has gone, or who read them."""
    lost = select.poll()
    for fd in (1, 2):
        lost.register(fd, 0)  # hang-ups and errors are always told
    for fd, _ in lost.poll(0):
        _give_up(fd)


def _give_up(fd: int) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, fd)
    os.close(nothing)
