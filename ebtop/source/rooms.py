"""Memory for large frames that is used again: pages that are new are cleared by the kernel, which can cost more than
all that is done with what is written to them."""

from __future__ import annotations

import mmap
import time
from functools import partial

import numpy as np

from ebtop.lending import lend

_STEP = 2 << 20  # a huge page
_SMALLEST = _STEP
_LARGEST = 32 << 20
"""Beyond it a frame is a rarity, and its memory goes back at once."""


class Rooms:
    """Gives room for one frame at a time; one that nobody holds any more is given again. `spare` bounds the bytes that
    are kept without use; after KEPT_S without a large frame none are."""

    KEPT_S = 3.0

    def __init__(self, spare: int = 128 << 20) -> None:
        self._spare = spare
        self._free: list[mmap.mmap] = []
        self._used = 0.0

    def take(self, size: int) -> memoryview:
        """So many bytes of whatever content. They are free again when the last view of them is gone."""
        now = time.monotonic()
        if not _SMALLEST <= size <= _LARGEST:
            if self._free and now - self._used > self.KEPT_S:
                self._free.clear()
            return np.empty(size, np.uint8).data
        self._used = now
        found = next((room for room in reversed(self._free) if len(room) >= size), None)
        if found is None:
            room = mmap.mmap(-1, -(-size // _STEP) * _STEP, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            room.madvise(mmap.MADV_HUGEPAGE)
        else:
            self._free.remove(found)
            room = found
        return lend(room, size, 0, partial(self._give_back, room))

    def _give_back(self, room: mmap.mmap) -> None:
        if sum(map(len, self._free)) + len(room) <= self._spare:
            self._free.append(room)
