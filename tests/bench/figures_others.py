"""What tracing context switches and execs costs, how fast ebtop starts and what it needs at rest."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

from tests import loads
from tests.bench import processes
from tests.bench.plan import Plan
from tests.bench.report import Figure
from tests.bench.terminal import Terminal
from tests.bench.tracers import (
    DASHBOARD,
    EBTOP,
    JSON,
    LIBBPF,
    UnavailableError,
    attached,
    dashboard,
    ebtop_run,
    peers,
)

MIB = 1 << 20


def switches(plan: Plan) -> Iterator[Figure]:
    """Two threads on one CPU wake each other in turn."""
    figure = Figure("switch_added", "Added to each context switch, measuring run-queue latency", "ns of CPU", LIBBPF)
    figure.goals = {JSON: 0.7}
    count = plan.scaled(1_000_000)
    for _ in plan.rounds():
        bare = loads.run("switches", "pipes", count)["cpu_ns_each"]
        figure.note(f"untraced: {bare:,.0f} ns")
        for tracer in [ebtop_run("runqlat"), *peers("runqlat")]:
            try:
                with attached(tracer):
                    figure.add(tracer.name, loads.run("switches", "pipes", count)["cpu_ns_each"] - bare)
            except UnavailableError as error:
                figure.missing(tracer.name, error)
    yield figure


def execs(plan: Plan) -> Iterator[Figure]:
    """Short programs one after another: what the tracer uses for each, and what each becomes."""
    used = Figure("exec_cpu", "The tracer's CPU for each exec", "us", LIBBPF, 1, {JSON: 1 / 3, DASHBOARD: 1 / 3})
    added = Figure("exec_added", "Added to each fork, exec, exit and wait", "us of CPU", LIBBPF, 1)
    count = plan.scaled(10_000)
    for _ in plan.rounds():
        bare = loads.run("execs", count)["cpu_ns_each"]
        added.note(f"untraced: {bare / 1e3:,.0f} us")
        for tracer in [dashboard("execsnoop"), ebtop_run("execsnoop"), *peers("execsnoop")]:
            try:
                with attached(tracer) as running:
                    reported, seconds = running.cost_of(lambda: loads.run("execs", count))
                    used.add(tracer.name, seconds * 1e6 / count)
                    added.add(tracer.name, (reported["cpu_ns_each"] - bare) / 1e3)
            except UnavailableError as error:
                used.missing(tracer.name, error)
                added.add(tracer.name, None)
    yield used
    yield added


def startup(plan: Plan) -> Iterator[Figure]:
    """From the start of the process to what is painted on its terminal, with files in the page cache."""
    figure = Figure("startup", "From the start of ebtop", "s", digits=2)
    figure.goals = {"first screen": 0.5, "live data in the pane shown": 1.0, "probes of all tools attached": 1.5}
    if not EBTOP.exists():
        figure.note(f"not measured: {EBTOP} is not installed")
        yield figure
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "seen-by-ebtop"
        path.touch()
        # Something to see: 200 opens a second of a path that nothing else opens.
        with Popen(loads.command("opens", path, "3600s", 1, 200), stdout=PIPE) as load:
            try:
                for _ in plan.rounds(warm_up=True):
                    _one_start(figure, path.name)
            finally:
                load.kill()
    for values in figure.samples.values():
        del values[0]  # the warm-up
    yield figure


def _one_start(figure: Figure, marker: str) -> None:
    terminal = Terminal([str(EBTOP), "opensnoop"])
    try:
        figure.add("first screen", terminal.wait_for("opensnoop"))
        figure.add("live data in the pane shown", terminal.wait_for(marker))
        last = processes.wait_attached(terminal.process.pid, settled=1.5)
        figure.add("probes of all tools attached", last - terminal.started)
    except (TimeoutError, ProcessLookupError) as error:
        figure.note(f"not measured: {error}")
    finally:
        terminal.type("q")
        try:
            terminal.process.wait(5)
        finally:
            terminal.process.kill()
            terminal.close()


def at_rest(plan: Plan) -> Iterator[Figure]:
    """The dashboard with all its tools, ten seconds after its start, while nobody does anything."""
    memory = Figure("pss", "Memory of all its processes (PSS) after 10 s", "MiB", digits=0, goals={DASHBOARD: 180})
    idle = Figure("idle", "CPU when nothing happens", "% of a core", digits=2, goals={DASHBOARD: 1.0})
    for _ in plan.rounds():
        for tracer in [dashboard("opensnoop"), *peers("opensnoop")]:
            try:
                with attached(tracer) as running:
                    time.sleep(10)
                    memory.add(tracer.name, processes.pss_bytes(running.pid) / MIB)
                    idle.add(tracer.name, 100 * processes.share(running.pid, plan.scaled(20)))
            except UnavailableError as error:
                memory.missing(tracer.name, error)
                idle.add(tracer.name, None)
    yield memory
    yield idle
