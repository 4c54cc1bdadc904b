"""Memory that is lent, and comes back by itself."""

from __future__ import annotations

import mmap
import weakref
from collections.abc import Callable


def lend(memory: mmap.mmap, nbytes: int, offset: int, back: Callable[[], object]) -> memoryview:
    """A part of some memory; `back` is called when the last view of it, or of any part of it, is gone."""
    import numpy as np  # only here: who only makes such memory has no use for it

    # All views of views hold the memoryview, that holds the array, whose end is that of all of them.
    array = np.frombuffer(memory, np.uint8, nbytes, offset)
    weakref.finalize(array, back).atexit = False
    return array.data
