"""What is done to records as they are copied out of a ring, while the CPU has them in its cache."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ebtop.tool import Batch, Ring

_MOST_CGROUPS_AT_ONCE = 64

Finish = Callable[[Batch], None]
"""Given a part of what was read, changes it in place."""


def clock_offset() -> int:
    """ns to add to CLOCK_MONOTONIC, which the programs stamp with, to get Unix time."""
    before, unix, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
    return unix - (before + after) // 2


def distinct(ids: npt.NDArray[np.uint64]) -> set[int]:
    """The values of a column that has few of them, without sorting it."""
    found: set[int] = set()
    while len(ids) and len(found) < _MOST_CGROUPS_AT_ONCE:
        found.add(int(ids[0]))
        ids = ids[ids != ids[0]]
    return found | set(ids.tolist())


class Finisher:
    """For all rings of a tool: times become Unix times, `cgroups` are the control groups of its events, `new` the
    processes that samples say are to be looked at."""

    def __init__(self) -> None:
        self._offset = np.uint64(0)
        self.cgroups: set[int] = set()
        self.new: set[int] = set()

    def begin(self) -> None:
        """Look at the clock: somebody may have set it. Before each reading."""
        self._offset = np.uint64(clock_offset())

    def of(self, ring: Ring, record: np.dtype[np.void]) -> Finish:
        """What is done to the records of one ring."""
        fields = record.names or ()
        if ring.role == "stacks":
            return self._samples
        if ring.role not in {"events", "rows"}:
            return lambda _batch: None
        return self._event if ring.role == "events" and "cgroup" in fields else self._time

    def _time(self, batch: Batch) -> None:
        batch["ts"] += self._offset

    def _samples(self, batch: Batch) -> None:
        self.new.update(batch["pid"][batch["is_new"] > 0].tolist())

    def _event(self, batch: Batch) -> None:
        batch["ts"] += self._offset
        self.cgroups |= distinct(batch["cgroup"])
