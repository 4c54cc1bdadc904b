"""How much memory processes hold, and how ours is kept."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import sys
import time
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGEST = 32 << 20  # glibc takes no higher threshold
_TRIM_EVERY_S = 60.0
_GENERATIONS = (4, 250)
"""A dialog that was left is garbage of thousands of objects in cycles, which mostly outlives the youngest generation.
The next is looked through before twenty dialogs wait there, whose end takes a tenth of a second."""


def pss(pid: int) -> int:
    """Bytes of a process's memory, pages that are shared counted in part; 0 where the kernel does not say."""
    if sys.platform != "linux":
        return _resident(pid)
    try:
        told = re.search(rb"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_bytes(), re.MULTILINE)
    except OSError:
        return 0
    return int(told[1]) << 10 if told else 0


def _resident(pid: int) -> int:
    """What is known on other systems, where recordings are looked at."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (psutil.Error, OSError):
        return 0


def settle() -> None:
    """Call it once all is imported.

    What was imported stays, and need not be looked through for garbage again and again. Blocks of megabytes, which
    come and go with every tick of a flood, are kept in the one heap: the kernel clears every page that it hands out
    anew, and that would cost more than all that is done with them.
    """
    gc.freeze()
    gc.set_threshold(20_000, *_GENERATIONS)
    with contextlib.suppress(AttributeError):  # glibc has it
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        mallopt(_M_TRIM_THRESHOLD, _LARGEST)


def trim() -> None:
    """Give back what is free, however large the blocks that are kept: what starting took will not be needed again."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class Trimmer:
    """Trims `first_s` after it was made, then once a minute: blocks of a flood leave holes between those that stay, and
    a heap of holes would grow for hours."""

    def __init__(self, first_s: float = _TRIM_EVERY_S) -> None:
        self._next = time.monotonic() + first_s

    def now_and_then(self) -> None:
        """To be called often."""
        if (now := time.monotonic()) >= self._next:
            self._next = now + _TRIM_EVERY_S
            trim()
