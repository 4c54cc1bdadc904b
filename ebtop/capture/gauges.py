"""Figures of the whole machine, as /proc has them."""

from __future__ import annotations

import re
from pathlib import Path

import psutil

_SOME = re.compile(r"^some avg10=([0-9.]+)", re.MULTILINE)
_PRESSURES = ("cpu", "io", "memory")
_IDLE = ("idle", "iowait")


class Gauges:
    """CPU shares are those since the last call."""

    def __init__(self) -> None:
        self._before = self._times()

    @staticmethod
    def _times() -> list[tuple[float, float]]:
        """Seconds of each CPU: all, and those without work. What guests took is part of the user's time already."""
        found = []
        for cpu in psutil.cpu_times(percpu=True):
            told = cpu._asdict()
            whole = sum(seconds for kind, seconds in told.items() if not kind.startswith("guest"))
            found.append((whole, sum(told.get(kind, 0.0) for kind in _IDLE)))
        return found

    def read(self) -> dict[str, float]:
        """`cpu0` and on (busy share, 0 to 1), memory and swap in bytes, loads, and pressure in percent (avg10 of
        "some"), where the kernel keeps it."""
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        found = self._busy()
        found |= {"memory_total": memory.total, "memory_used": memory.total - memory.available}
        found |= {"swap_total": swap.total, "swap_used": swap.used}
        found |= dict(zip(("load1", "load5", "load15"), psutil.getloadavg(), strict=True))
        return found | _pressures()

    def _busy(self) -> dict[str, float]:
        before, self._before = self._before, self._times()
        if len(before) != len(self._before):  # a CPU came or went
            return {}
        shares: dict[str, float] = {}
        for number, (then, now) in enumerate(zip(before, self._before, strict=True)):
            whole = now[0] - then[0]
            shares[f"cpu{number}"] = min(max(1 - (now[1] - then[1]) / whole, 0.0), 1.0) if whole > 0 else 0.0
        return shares


def _pressures() -> dict[str, float]:
    found = {}
    for name in _PRESSURES:
        try:
            told = _SOME.search(Path("/proc/pressure", name).read_text())
        except OSError:  # CONFIG_PSI is off, or psi=0
            continue
        if told:
            found[f"psi_{name}"] = float(told[1])
    return found
