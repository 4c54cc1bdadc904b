"""A tool that traces, with all that belongs to it."""

from __future__ import annotations

import time

from ebtop import registry
from ebtop.capture.identities import KnownIdentities
from ebtop.capture.loader import Loaded
from ebtop.capture.processes import Processes
from ebtop.capture.program import Program
from ebtop.capture.tasks import Tasks
from ebtop.capture.ticks import TickMaker
from ebtop.capture.tracer import Tracer
from ebtop.resolve.symbols import Symbolizer
from ebtop.tick import ToolState
from ebtop.tool import Attach, Kind, Probe, Tool, probes_of

_FLOOD = 8 << 20
"""Bytes that make a tick before its time."""


class Running:
    """A tool that traces, with what makes its ticks."""

    def __init__(self, tracer: Tracer, maker: TickMaker, state: ToolState, tasks: Tasks | None = None) -> None:
        self.tracer, self.maker, self.state, self._tasks = tracer, maker, state, tasks
        self.since = time.time_ns()
        self._others: Loaded | None = None

    @property
    def tool(self) -> Tool:
        """Which."""
        return self.tracer.tool

    @property
    def walks_stacks(self) -> bool:
        """Are there programs that walk the stacks of events?"""
        return self.tracer.loaded.stacks or self._others is not None

    @property
    def probes(self) -> list[Probe]:
        """What is attached, with a function each that others can go on in."""
        attached = self.tracer.loaded.programs
        return list({p.function: p for p in probes_of(self.tool.slots) if p.function in attached}.values())

    def go_on_in(self, others: Loaded) -> None:
        """Take over programs that walk stacks."""
        self.tracer.go_on_in(others)
        self._others = others

    @property
    def flooded(self) -> bool:
        """Is there enough for a tick before its time? Many small ones need less memory, which is then still in the
        CPU's cache where the other side takes it up."""
        return self.tracer.tool.kind is Kind.EVENTS and self.tracer.pending_bytes >= _FLOOD

    def close(self) -> None:
        """Detach and free everything."""
        self.tracer.close()
        if self._others:
            self._others.close()
        if self._tasks:
            self._tasks.close()


class StartError(Exception):
    """What was built cannot be taken over; one line says why."""


def start(
    program: Program, loaded: Loaded, state: ToolState, backlog: int, symbols: Symbolizer, identities: KnownIdentities
) -> Running:
    """Take over what was built for a tool. Raises StartError, after everything was let go of."""
    tool = program.tool or registry.find(state.tool)
    try:
        tracer = Tracer(tool, program, loaded, backlog)
    except OSError as error:
        loaded.close()
        raise StartError(f"its buffers cannot be mapped: {error}") from error
    try:
        tasks = tasks_of(tool, program, loaded)
    except OSError as error:
        tracer.close()
        raise StartError(f"processes cannot be gone through: {error}") from error
    processes = Processes(tasks.read, identities) if tasks else None
    return Running(tracer, TickMaker(tracer, symbols, identities, processes), state, tasks)


def tasks_of(tool: Tool, program: Program, loaded: Loaded) -> Tasks | None:
    """What goes through all tasks, for a tool that tells of processes. Raises OSError."""
    if tool.kind is not Kind.PROCESSES:
        return None
    walks = [probe.function for probe in probes_of(tool.slots) if probe.kind is Attach.ITER]
    told = [ring.struct for ring in tool.rings if ring.role == "threads"]
    return Tasks(loaded.programs[walks[0]], program.records[told[0]])
