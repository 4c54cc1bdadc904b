"""The machine, and what capture itself costs."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Iterable

from ebtop.memory import pss, trim
from ebtop.tick import Vitals

_PSS_AFTER_S, _PSS_EVERY_S = 5.0, 60.0
"""Looking at memory takes milliseconds. It grows at first: then it is looked at soon, later after twice as long."""


class OwnCost:
    """CPU share of this process, memory of it and its children, and the memory of the screen's, which may not look
    at itself once it has given root up."""

    def __init__(self, screen_pid: int) -> None:
        self._screen_pid = screen_pid
        self.screen_pss = 0
        self._last = (time.monotonic(), time.process_time())
        self._pss, self._pss_at, self._pss_next_s = 0, time.monotonic(), 0.0

    def cpu(self) -> float:
        """Share of one core since the last call."""
        now, (then, before) = (time.monotonic(), time.process_time()), self._last
        self._last = now
        return (now[1] - before) / max(now[0] - then, 1e-6)

    def pss(self, others: Iterable[int]) -> int:
        """Of this process and `others`, as of when it was last looked at."""
        if time.monotonic() - self._pss_at >= self._pss_next_s:
            self._pss_at = time.monotonic()
            if self._pss_next_s:
                trim()  # what is free is not what we need
            self._pss_next_s = min(max(2 * self._pss_next_s, _PSS_AFTER_S), _PSS_EVERY_S)
            self.screen_pss = pss(self._screen_pid) if self._screen_pid else 0
            self._pss = sum(pss(pid) for pid in (os.getpid(), *others) if pid)
        return self._pss


def vitals(cost: OwnCost, focus: str, focus_pids: int, compilers: Iterable[int]) -> Vitals:
    """The header's figures as of now."""
    return Vitals(
        host=socket.gethostname(),
        kernel=platform.release(),
        cpus=os.cpu_count() or 1,
        uptime_s=time.clock_gettime(time.CLOCK_BOOTTIME),
        capture_cpu=cost.cpu(),
        capture_pss=cost.pss(compilers),
        screen_pss=cost.screen_pss,
        focus=focus,
        focus_pids=focus_pids,
    )
