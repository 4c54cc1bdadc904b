"""Figures of the whole machine, as /proc has them. They are asked for every second, so files stay open and only what is
told is taken apart: psutil's calls for the same cost several times as much."""

from __future__ import annotations

import contextlib
import os
import re

_SOME = re.compile(rb"^some avg10=([0-9.]+)", re.MULTILINE)
_CPU = re.compile(rb"^cpu(\d+) ([\d ]+)\n", re.MULTILINE)
_SIZE = re.compile(rb"^(\w+): +(\d+) kB", re.MULTILINE)
_PRESSURES = ("cpu", "io", "memory")
_IDLE = slice(3, 5)
"""Where a CPU's times without work are among all (proc_stat(5))."""
_OWN = slice(0, 8)
"""The times that add up to all: what guests took, behind them, is part of the user's time already."""
_LINE = 256
"""More bytes than a line of a CPU has."""


class _File:
    """A file of /proc that is read again and again; empty where there is none."""

    def __init__(self, path: str, longest: int = 1 << 13) -> None:
        self._fd, self._longest = -1, longest
        with contextlib.suppress(OSError):
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        """What it says now."""
        try:
            return os.pread(self._fd, self._longest, 0) if self._fd >= 0 else b""
        except OSError:  # psi=0: the files are there, and cannot be read
            return b""

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


class Gauges:
    """CPU shares are those since the last call."""

    def __init__(self) -> None:
        self._stat = _File("/proc/stat", _LINE * (1 + (os.cpu_count() or 1)))
        self._memory = _File("/proc/meminfo")
        self._pressures = [(f"psi_{kind}", _File(f"/proc/pressure/{kind}")) for kind in _PRESSURES]
        self._before = self._times()

    def _times(self) -> dict[int, tuple[int, int]]:
        """Clock ticks of each CPU by its number: all, and those without work."""
        found = {}
        for number, told in _CPU.findall(self._stat.read()):
            times = [int(ticks) for ticks in told.split()]
            found[int(number)] = sum(times[_OWN]), sum(times[_IDLE])
        return found

    def read(self) -> dict[str, float]:
        """`cpu0` and on (busy share, 0 to 1), memory and swap in bytes, loads, and pressure in percent (avg10 of
        "some"), where the kernel keeps it."""
        found = self._busy() | _sizes(self._memory.read())
        found |= dict(zip(("load1", "load5", "load15"), os.getloadavg(), strict=True))
        told = {name: _SOME.search(file.read()) for name, file in self._pressures}
        return found | {name: float(some[1]) for name, some in told.items() if some}

    def _busy(self) -> dict[str, float]:
        before, self._before = self._before, self._times()
        if before.keys() != self._before.keys():  # a CPU came or went
            return {}
        shares: dict[str, float] = {}
        for number, (all_, idle) in self._before.items():
            whole = all_ - before[number][0]
            share = 1 - (idle - before[number][1]) / whole if whole > 0 else 0.0
            shares[f"cpu{number}"] = min(max(share, 0.0), 1.0)
        return shares


def _sizes(told: bytes) -> dict[str, float]:
    kilobytes = {name: int(size) for name, size in _SIZE.findall(told)}
    total, available = kilobytes.get(b"MemTotal", 0), kilobytes.get(b"MemAvailable", 0)
    if not 0 < available <= total:  # as in containers that are told of the host's: what is certainly free
        available = kilobytes.get(b"MemFree", 0)
    swap = kilobytes.get(b"SwapTotal", 0)
    found = {"memory_total": total, "memory_used": total - available}
    found |= {"swap_total": swap, "swap_used": swap - kilobytes.get(b"SwapFree", 0)}
    return {name: float(size << 10) for name, size in found.items()}
