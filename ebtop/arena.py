"""Memory that capture fills and the screen reads. The large arrays of a flood go through it instead of the pipe, and
stay where they are for as long as anyone looks at them.

It consists of units. A byte of a second, small memory marks each: capture takes the first units in a row that are free,
and marks them before it tells of them; the screen clears the marks when the last view of what lies there has gone. Only
capture can write to the units, and it never reads them, so all that the other side can do with the marks is to spoil
its own picture.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from ebtop.gather import write_all
from ebtop.lending import lend

UNIT, UNITS = 1 << 20, 256
"""Bytes of a unit, and how many there are. Only what is written to takes memory."""

SIZE = UNIT * UNITS
SMALLEST = UNIT // 2
"""What is smaller goes through the pipe."""

KEPT_S = 3.0
"""Units that have been free for so long give their memory back."""

_MADV_REMOVE = 9  # linux/mman.h; Python has it from 3.14 on


class Descriptors(NamedTuple):
    """Files: the units to write, the same to read, and the marks."""

    write: int
    read: int
    marks: int


def make() -> Descriptors:
    """A new arena, all free. Raises OSError where the kernel has no memory files."""
    write, marks = _file("ebtop-arena", SIZE), _file("ebtop-marks", mmap.PAGESIZE)
    os.fchmod(write, 0o600)  # or who has the descriptor to read could open it anew, to write
    return Descriptors(write, os.open(f"/proc/self/fd/{write}", os.O_RDONLY | os.O_CLOEXEC), marks)


def _file(name: str, size: int) -> int:
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


class ArenaWriter:
    """Capture's side. It owns the descriptors that it is given."""

    def __init__(self, units: int, marks: int) -> None:
        self._file, self._units = units, mmap.mmap(units, SIZE)
        self._marks = mmap.mmap(marks, mmap.PAGESIZE)
        os.close(marks)
        self._used: dict[int, float] = {}

    def place(self, buffers: Sequence[memoryview | bytes], nbytes: int) -> int | None:
        """The first of the units in which they now lie one after the other; None where they have to be sent."""
        count = -(-nbytes // UNIT)
        first = self._marks.find(bytes(count), 0, UNITS) if nbytes >= SMALLEST else -1
        if first < 0:
            return None
        self._used.update(dict.fromkeys(range(first, first + count), time.monotonic()))
        try:
            # Not through the mapping: new pages would be cleared and faulted in, which takes longer than copying.
            write_all(buffers, lambda some, done: os.pwritev(self._file, some, first * UNIT + done))
        except OSError:  # no memory, or more than `ulimit -f` allows
            return None
        self._marks[first : first + count] = b"\1" * count
        return first

    def trim(self) -> None:
        """Give back the memory of units that have been free for a while."""
        now = time.monotonic()
        self._used.update(dict.fromkeys((unit for unit in self._used if self._marks[unit]), now))
        for unit in [unit for unit, used in self._used.items() if now - used > KEPT_S]:
            del self._used[unit]
            self._units.madvise(_MADV_REMOVE, unit * UNIT, UNIT)


class ArenaReader:
    """The screen's side. It owns the descriptors that it is given."""

    def __init__(self, units: int, marks: int) -> None:
        self._units = mmap.mmap(units, SIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        self._marks = mmap.mmap(marks, mmap.PAGESIZE)
        os.close(units)
        os.close(marks)

    def view(self, first: int, nbytes: int) -> memoryview:
        """What lies in units from the first on; they are free again when the last view of it is gone. Raises ValueError
        for what is not in the arena."""
        if not (0 <= first < UNITS and 0 < nbytes <= SIZE - first * UNIT):
            raise ValueError("arrays outside of the memory that is shared")
        return lend(self._units, nbytes, first * UNIT, partial(self._free, first, -(-nbytes // UNIT)))

    def _free(self, first: int, count: int) -> None:
        self._marks[first : first + count] = bytes(count)
