"""A tool that traces, with all that belongs to it."""

from __future__ import annotations

import time

from ebtop.capture.loader import Loaded
from ebtop.capture.program import Program
from ebtop.capture.tasks import Tasks
from ebtop.capture.ticks import TickMaker
from ebtop.capture.tracer import Tracer
from ebtop.tick import ToolState
from ebtop.tool import Attach, Kind, Tool, probes_of

_FLOOD = 8 << 20
"""Bytes that make a tick before its time."""


class Running:
    """A tool that traces, with what makes its ticks."""

    def __init__(self, tracer: Tracer, maker: TickMaker, state: ToolState, tasks: Tasks | None = None) -> None:
        self.tracer, self.maker, self.state, self._tasks = tracer, maker, state, tasks
        self.since = time.time_ns()

    @property
    def flooded(self) -> bool:
        """Is there enough for a tick before its time? Many small ones need less memory, which is then still in the
        CPU's cache where the other side takes it up."""
        return self.tracer.tool.kind is Kind.EVENTS and self.tracer.pending_bytes >= _FLOOD

    def close(self) -> None:
        """Detach and free everything."""
        self.tracer.close()
        if self._tasks:
            self._tasks.close()


def tasks_of(tool: Tool, program: Program, loaded: Loaded) -> Tasks | None:
    """What goes through all tasks, for a tool that tells of processes. Raises OSError."""
    if tool.kind is not Kind.PROCESSES:
        return None
    walks = [probe.function for probe in probes_of(tool.slots) if probe.kind is Attach.ITER]
    told = [ring.struct for ring in tool.rings if ring.role == "threads"]
    return Tasks(loaded.programs[walks[0]], program.records[told[0]])
