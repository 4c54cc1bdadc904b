"""stdin, stdout and stderr, which whoever starts a program may have closed."""

from __future__ import annotations

import os
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
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
