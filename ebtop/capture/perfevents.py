"""Attachments that the kernel makes of perf events and links, without bcc: user functions, counted events, the clock.

All of them are gone with their descriptors, however this process ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ebtop.attachpoint import PointKind
from ebtop.capture.bpfsyscall import attach_uprobes, perf_event, run_at, uprobe_event
from ebtop.capture.points.events import COUNTERS, CPU_CLOCK
from ebtop.probing.plan import Site

_PMU = Path("/sys/bus/event_source/devices/uprobe")
_UNITS = {"hz": 0, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_COUNTER_SHIFT = 32
_NOT_SUPPORTED = 524  # ENOTSUPP of the kernel
_SPECIAL = "the kernel cannot put a probe on the instruction that is there"


def link_uprobes(program: int, sites: Sequence[Site], files: Mapping[str, int], *, returns: bool) -> Iterator[int]:
    """A link for each file, by its descriptor: one closes at once, however many places it has. Raises OSError."""
    for path in dict.fromkeys(site.path for site in sites):
        of_file = [site for site in sites if site.path == path]
        yield attach_uprobes(program, _path(files[path]), [s.offset for s in of_file], [s.counter for s in of_file],
                             returns=returns)  # fmt: skip


def open_uprobes(program: int, sites: Sequence[Site], files: Mapping[str, int], *, returns: bool) -> Iterator[int]:
    """A perf event for each place (before Linux 6.6). Raises OSError."""
    kind = int((_PMU / "type").read_text())
    bit = int((_PMU / "format" / "retprobe").read_text().rpartition(":")[2])
    for site in sites:
        config = (int(returns) << bit) | (site.counter << _COUNTER_SHIFT)
        event = uprobe_event(kind, _path(files[site.path]), site.offset, config)
        yield _running(event, program)


def _running(event: int, program: int) -> int:
    try:
        run_at(event, program)
    except OSError:
        os.close(event)
        raise
    return event


def _path(fd: int) -> str:
    return f"/proc/self/fd/{fd}"


def open_counted(program: int, target: str, cpus: Sequence[int]) -> Iterator[int]:
    """`software:NAME:PERIOD` or `hardware:NAME:PERIOD` on each CPU. Raises OSError."""
    kind, name, period = target.split(":")
    number, config = COUNTERS[kind][0], COUNTERS[kind][1][name]
    for cpu in cpus:
        yield _running(perf_event(number, config, cpu, int(period)), program)


def open_timed(program: int, target: str, cpus: Sequence[int]) -> Iterator[int]:
    """`KIND:UNIT:N` on each CPU, or on one if it is an interval. Raises OSError."""
    kind, unit, many = target.split(":")
    period = int(many) * (_UNITS[unit] or 1)
    for cpu in cpus if kind != PointKind.INTERVAL else cpus[:1]:
        yield _running(perf_event(*CPU_CLOCK, cpu, period, hertz=unit == "hz"), program)


def why(error: OSError) -> str:
    """In words."""
    return _SPECIAL if error.errno == _NOT_SUPPORTED else str(error.strerror or error)
