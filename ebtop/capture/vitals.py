"""The machine, and what capture itself costs."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from ebtop.tick import Vitals

_PSS_EVERY_S = 10.0


def pss(pid: int) -> int:
    """Proportional set size of a process in bytes, 0 when it cannot be read."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


class OwnCost:
    """CPU share and memory of this process, its children included."""

    def __init__(self) -> None:
        self._last = (time.monotonic(), self._cpu())
        self._pss, self._pss_at = 0, -_PSS_EVERY_S

    @staticmethod
    def _cpu() -> float:
        spent = os.times()
        return spent.user + spent.system + spent.children_user + spent.children_system

    def cpu(self) -> float:
        """Share of one core since the last call."""
        now, (then, before) = (time.monotonic(), self._cpu()), self._last
        self._last = now
        return (now[1] - before) / max(now[0] - then, 1e-6)

    def pss(self, others: Iterable[int]) -> int:
        """Of this process and `others`, looked at every few seconds as looking is dear."""
        if time.monotonic() - self._pss_at >= _PSS_EVERY_S:
            self._pss_at = time.monotonic()
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
        focus=focus,
        focus_pids=focus_pids,
    )
