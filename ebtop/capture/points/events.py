"""Events of perf_event_open(2) that a program can run on: the kernel's own and the CPU's, every so many of them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ebtop.attachpoint import Point, PointKind
from ebtop.capture.bpfsyscall import perf_event

_HARDWARE, _SOFTWARE = 0, 1  # enum perf_type_id
SOFTWARE = {
    "cpu-clock": 0, "task-clock": 1, "page-faults": 2, "context-switches": 3, "cpu-migrations": 4, "minor-faults": 5,
    "major-faults": 6, "alignment-faults": 7, "emulation-faults": 8, "cgroup-switches": 11,
}  # fmt: skip
"""Of enum perf_sw_ids; those that count nothing are left out."""
HARDWARE = {
    "cpu-cycles": 0, "instructions": 1, "cache-references": 2, "cache-misses": 3, "branch-instructions": 4,
    "branch-misses": 5, "bus-cycles": 6, "stalled-cycles-frontend": 7, "stalled-cycles-backend": 8, "ref-cycles": 9,
}  # fmt: skip
"""Of enum perf_hw_id."""
COUNTERS = {"software": (_SOFTWARE, SOFTWARE), "hardware": (_HARDWARE, HARDWARE)}
"""By kind: the number of the type, and those of its events."""
CPU_CLOCK = (_SOFTWARE, SOFTWARE["cpu-clock"])
_PERIODS = {PointKind.PROFILE: "hz:99", PointKind.INTERVAL: "s:1"}


def events() -> Iterator[Point]:
    """All of them; each is opened for a moment, as only that tells whether it can be."""
    for kind, number, names in ((PointKind.SOFTWARE, _SOFTWARE, SOFTWARE), (PointKind.HARDWARE, _HARDWARE, HARDWARE)):
        for name, config in names.items():
            yield Point(kind, name, _refusal(number, config), ())
    clock = _refusal(_SOFTWARE, SOFTWARE["cpu-clock"])
    for kind, period in _PERIODS.items():
        yield Point(kind, period, clock, ())


def _refusal(kind: int, config: int) -> str:
    try:
        os.close(perf_event(kind, config))
    except FileNotFoundError:
        if kind == _SOFTWARE:
            return "this kernel has no such counter"
        return "this machine has no such counter (many virtual machines have none)"
    except OSError as error:
        return f"it cannot be opened: {os.strerror(error.errno or 0)}"
    return ""


def refusal(kind: PointKind, name: str) -> str:
    """Why an event cannot be opened, "" if it can."""
    number, known = COUNTERS[kind]
    return _refusal(number, known[name])
