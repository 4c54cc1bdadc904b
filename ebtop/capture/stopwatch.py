"""When the kernel times BPF programs."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable


class Stopwatch:
    """The kernel's BPF statistics, switched on for a while now and then: timing every run of every program would add a
    quarter to what ebtop costs the programs it watches, and switching stops all CPUs for a moment. `switch_on` gives
    the descriptor that does it, or raises OSError; off when it is closed, whatever happens."""

    WINDOW_S, EVERY_S = 0.25, 5.0

    def __init__(self, wanted: bool, switch_on: Callable[[], int]) -> None:
        self._wanted, self._switch_on = wanted, switch_on
        self._fd = -1
        self._since = 0.0
        self._last = -math.inf

    def due(self, next_tick: float) -> float:
        """When to `start` (monotonic seconds), so that the tick at `next_tick` ends it; infinity if not before it."""
        if not self._wanted or self._fd >= 0 or next_tick - self._last < self.EVERY_S:
            return math.inf
        return next_tick - self.WINDOW_S

    def soon(self) -> None:
        """There is something new to measure."""
        self._last = -math.inf

    def start(self) -> bool:
        """Begin; False where the kernel does not measure."""
        try:
            self._fd = self._switch_on()
        except OSError:
            self._wanted = False  # not allowed, or before Linux 5.8: costs are then not shown
        self._since = time.monotonic()
        return self._wanted

    def stop(self) -> float:
        """End: for how many seconds was measured? 0 when it was not."""
        if self._fd < 0:
            return 0.0
        os.close(self._fd)
        self._fd, self._last = -1, time.monotonic()
        return self._last - self._since
