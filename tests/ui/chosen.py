"""Attach points that a test chooses: what is found, what capture plans of them, and hits of theirs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ebtop import registry
from ebtop.attachpoint import Argument, Point, PointKind
from ebtop.capture.program import Program
from ebtop.probing.plan import Form, Mode, Parameter, Place, Plan, Planned, Site
from ebtop.tick import Histogram, Message, Phase, Tick, ToolState
from tests.ui.screen import TOOLS, started
from tests.ui.synthetic import SECOND, START

CHOSEN = next(tool for tool in TOOLS if tool.make is not None)
"""The tool that is made by what is asked for."""

OPENAT = Point(
    PointKind.TRACEPOINT, "syscalls:sys_enter_openat", "",
    (Argument("__syscall_nr", "int"), Argument("dfd", "int"), Argument("filename", "const char *")),
)  # fmt: skip
FOPEN = Point(PointKind.UPROBE, "/lib/x86_64-linux-gnu/libc.so.6:fopen", "", (Argument("filename", "const char *"),))

_NAME = Parameter("filename", "const char *", 8, False, Form.TEXT, Place.RECORD, 24)
_OPENAT = Planned(str(OPENAT), PointKind.TRACEPOINT, OPENAT.target,
                  arguments=(Parameter("dfd", "int", 4, True, Form.NUMBER, Place.RECORD, 16), _NAME))  # fmt: skip
_SITE = Site("/lib/x86_64-linux-gnu/libc.so.6", 64, 0, 1, 2)
_FOPEN = Planned(str(FOPEN), PointKind.UPROBE, FOPEN.target, arguments=(_NAME,), sites=(_SITE,), returns=(_SITE,))
PLANNED = {str(OPENAT): _OPENAT, str(FOPEN): _FOPEN}


def others() -> list[Message]:
    """What a source says whose user has chosen nothing yet."""
    return [message for message in started() if getattr(message, "tool", "") != CHOSEN.name]


def plan(*points: Point, mode: Mode = Mode.TRACE, **more: object) -> Plan:
    """What capture makes of them."""
    return Plan(CHOSEN.name, mode, tuple(PLANNED[str(point)] for point in points), **more)  # type: ignore[arg-type]


def state(phase: Phase, reason: str = "", **more: object) -> ToolState:
    """How the tool stands."""
    return ToolState(CHOSEN.name, phase, reason=reason, **more)  # type: ignore[arg-type]


def hits(made: Plan, numbers: Sequence[int], second: int = 3) -> Tick:
    """Hits of the points of those numbers."""
    batch = np.zeros(len(numbers), Program(CHOSEN.name, registry.made(made)).records["hit"])
    batch["ts"] = START + second * SECOND + np.arange(len(numbers)) * 1000
    batch["probe"] = numbers
    batch["pid"], batch["comm"] = 4711, b"cat"
    batch["s0"] = b"/etc/\x1b[2J"
    if "n0" in (batch.dtype.names or ()):
        batch["n0"] = (-100) % (1 << 64)
    return Tick(CHOSEN.name, START + second * SECOND, START + (second + 1) * SECOND, events=(batch,))


def latencies(made: Plan, second: int = 3) -> Tick:
    """Calls of each point, of the first more than of the second and so on."""
    tool = registry.made(made)
    assert tool.buckets is not None
    counts = [np.zeros(tool.buckets.count, np.uint64) for _ in made.points]
    for number, each in enumerate(counts):
        each[40 + number] = 100 - number
    parts = [Histogram("probe", number, point.name, counts[number]) for number, point in enumerate(made.points)]
    whole = np.sum(counts, axis=0, dtype=np.uint64)
    found = (Histogram("all", 0, "all", whole), Histogram("pid", 4711, "cat", whole), *parts)
    return Tick(CHOSEN.name, START + second * SECOND, START + (second + 1) * SECOND, histograms=found)
