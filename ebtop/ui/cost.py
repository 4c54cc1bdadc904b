"""What the screen's own process costs: CPU time and memory."""

from __future__ import annotations

import os
import time

from ebtop.memory import pss

_PSS_EVERY_S = 5.0


class OwnCost:
    """CPU share of one core since it was last asked (at most once a second), and memory, which is dear to ask for."""

    def __init__(self) -> None:
        self.cpu = 0.0
        self.pss = 0
        self._wall, self._used = time.monotonic(), time.process_time()
        self._pss_due = 0.0

    def measure(self) -> None:
        """Bring `cpu` (1.0: a core) and `pss` (bytes) up to date, if it is time."""
        now = time.monotonic()
        if now - self._wall >= 1.0:
            used = time.process_time()
            self.cpu = (used - self._used) / (now - self._wall)
            self._wall, self._used = now, used
        if now >= self._pss_due:
            self.pss = pss(os.getpid())
            self._pss_due = now + _PSS_EVERY_S
