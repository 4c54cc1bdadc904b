"""The whole machine's figures from the rows of Kind.PROCESSES and the gauges beside them, and what is unusual now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ebtop.model.census import identity, span_ns, summed
from ebtop.model.percentiles import percentiles
from ebtop.processrow import WAIT_BUCKETS
from ebtop.tick import Tick
from ebtop.tool import Buckets

WAITS = Buckets("ns", np.array([0, *(1 << (power + 10) for power in range(WAIT_BUCKETS))], np.uint64))
"""Those of ROW["wait"]."""

SHOWN = 120
"""Ticks that a line of the past may be drawn of."""

PAST = 300
"""Ticks before this one that it is held against."""

ENOUGH = 20
"""With fewer, nothing is called unusual for being more than before."""

TIMES = 5.0
"""What is so many times the median of the past is unusual, from the least that is worth a look on:"""

LEAST = {
    "cpu": 0.5, "wait_p99": 10e6, "execs": 20.0, "opens": 1000.0, "connects": 50.0, "disk": 10e6, "io_latency": 10e6,
    "failed_exits": 3.0, "refused": 1.0,
}  # fmt: skip

FAILED_SHARE = 0.1
FAILED_LEAST = 10.0
PRESSURE = 10.0
MEMORY_SHARE = 0.9


class Figures(NamedTuple):
    """One tick's. Counts and bytes are a second; `cpu` is a share of all CPUs, times are ns; NaN is not known."""

    cpu: float
    wait_p50: float
    wait_p99: float
    execs: float
    opens: float
    failed_opens: float
    connects: float
    refused: float
    disk: float
    io_latency: float
    failed_exits: float

    @property
    def failed_share(self) -> float:
        """How many of the opens failed."""
        return self.failed_opens / self.opens if self.opens else 0.0


def cpus(gauges: Mapping[str, float]) -> list[float]:
    """The busy shares of the CPUs, by number."""
    found = {int(name[3:]): share for name, share in gauges.items() if name[:3] == "cpu" and name[3:].isdecimal()}
    return [found[number] for number in sorted(found) if math.isfinite(found[number])]


def figures(tick: Tick) -> Figures:
    """What a tick says of the machine."""
    seconds = span_ns(tick) / 1e9
    busy = cpus(tick.gauges)
    share = sum(busy) / len(busy) if busy else float("nan")
    refused = tick.gauges.get("refused", 0.0) / seconds
    if tick.rows is None or not len(tick.rows):
        return Figures(share, np.nan, np.nan, 0.0, 0.0, 0.0, 0.0, refused, 0.0, np.nan, 0.0)
    total = summed(tick.rows)[0]
    p50, p99 = (float(percentiles(WAITS, total["wait"], q)) for q in (0.5, 0.99))
    latency = float(total["io_ns"]) / float(total["ios"]) if total["ios"] else float("nan")
    done = {name: float(total[name]) / seconds for name in ("execs", "opens", "failed_opens", "connects")}
    disk = (float(total["read_bytes"]) + float(total["write_bytes"])) / seconds
    return Figures(
        share, p50, p99, **done, refused=refused, disk=disk, io_latency=latency,
        failed_exits=float(total["failed_exits"]) / seconds,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine in a tick. `past` are the newest SHOWN ticks, this one the last of them; `unusual` are the names of
    figures (and "pressure", "memory") that are worth a look."""

    now: Figures
    gauges: Mapping[str, float]
    past: Sequence[Figures]
    unusual: frozenset[str]

    def line(self, name: str, newest: int = SHOWN) -> npt.NDArray[np.float64]:
        """One figure over the past; 0 where it is not known."""
        return np.nan_to_num(np.array([getattr(each, name) for each in self.past[-newest:]], np.float64))


def unusual(now: Figures, before: Sequence[Figures], gauges: Mapping[str, float]) -> frozenset[str]:
    """What is worth a look: held against what was before, or against what is too much anywhere."""
    found = (
        {"pressure"} if any(gauges.get(f"psi_{kind}", 0.0) > PRESSURE for kind in ("cpu", "io", "memory")) else set()
    )
    if gauges.get("memory_used", 0.0) > MEMORY_SHARE * gauges.get("memory_total", float("inf")):
        found.add("memory")
    if len(before) < ENOUGH:
        return frozenset(found)
    for name, least in LEAST.items():
        value = getattr(now, name)
        if value >= least and value > TIMES * _median([getattr(each, name) for each in before]):
            found.add(name)
    shares = _median([each.failed_share for each in before])
    if now.failed_opens >= FAILED_LEAST and now.failed_share > max(FAILED_SHARE, 2 * shares):
        found.add("failed_opens")
    return frozenset(found)


def _median(values: Sequence[float]) -> float:
    """Of some dozens: np.median takes ten times as long, and Python's module long to import."""
    known = sorted(0.0 if math.isnan(value) else value for value in values)
    return (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2


class MachineReader:
    """Makes the figures of each tick once. For one thread."""

    def __init__(self) -> None:
        self._last: tuple[int, int, int] | None = None
        self._made: dict[tuple[int, int, int], Figures] = {}  # in the order of the ticks

    def read(self, ticks: Sequence[Tick]) -> Machine | None:
        """The machine in the last of the ticks (oldest first); None without one."""
        if not ticks:
            return None
        all_ = list(self._figures(ticks[-PAST - 1 :]))
        gauges = ticks[-1].gauges
        return Machine(all_[-1], gauges, all_[-SHOWN:], unusual(all_[-1], all_[:-1], gauges))

    def _figures(self, ticks: Sequence[Tick]) -> Iterable[Figures]:
        if len(ticks) > 1 and identity(ticks[-2]) == self._last:  # one more, as nearly always
            self._made[identity(ticks[-1])] = figures(ticks[-1])
            while len(self._made) > len(ticks):
                del self._made[next(iter(self._made))]
        else:
            before, self._made = self._made, {}
            for tick in ticks:
                found = before.get(key := identity(tick))
                self._made[key] = found if found is not None else figures(tick)
        self._last = identity(ticks[-1])
        return self._made.values()
