"""What tracing context switches, execs and stacks costs."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests import loads
from tests.bench import wholecost
from tests.bench.plan import Plan
from tests.bench.report import Figure
from tests.bench.running import Running, UnavailableError
from tests.bench.tracers import (
    EBTOP,
    JSON,
    LIBBPF,
    PERF,
    attached,
    bpftrace_program,
    dashboard,
    ebtop_run,
    peers,
    perf_record,
)

_TRIES = 8
STACKS = "profile:hz:99 { @[kstack, ustack, comm] = count(); }"


def switches(plan: Plan) -> Iterator[Figure]:
    """Two threads on one CPU wake each other in turn."""
    figure = Figure("switch_added", "Added to each context switch, measuring run-queue latency", "ns of CPU", LIBBPF)
    figure.goals = {JSON: 0.7}
    figure.note(f"each the least of {_TRIES} short loads: what else the machine does can only add")
    for _ in plan.rounds():
        bare = _switch_ns(plan)
        figure.note(f"untraced: {bare:,.0f} ns")
        for tracer in [ebtop_run("runqlat"), *peers("runqlat")]:
            try:
                with attached(tracer):
                    figure.add(tracer.name, _switch_ns(plan) - bare)
            except UnavailableError as error:
                figure.missing(tracer.name, error)
    yield figure


def _switch_ns(plan: Plan) -> float:
    return min(float(loads.run("switches", "pipes", plan.lasting(1))["cpu_ns_each"]) for _ in range(_TRIES))


def execs(plan: Plan) -> Iterator[Figure]:
    """Short programs one after another: what the tracer uses for each, and what each becomes."""
    title = "The tracer's CPU for each exec, from the load's start until all was worked off"
    used = Figure("exec_cpu", title, "us", LIBBPF, 1, {JSON: 1 / 3})
    used.note("one tool against one tool; the dashboard runs all")
    idle = Figure("exec_cpu_idle", "Of that: what the tracer uses in the same time without execs", "us", digits=2)
    added = Figure("exec_added", "Added to each fork, exec, exit and wait", "us of CPU", LIBBPF, 1)
    seconds = plan.lasting(5)
    for _ in plan.rounds():
        untraced = loads.run("execs", seconds)
        bare = untraced["cpu_ns_each"]
        added.note(f"untraced: {bare / 1e3:,.0f} us; {untraced['count']:,} execs in {seconds[:-1]} s")
        for tracer in [dashboard("execsnoop"), ebtop_run("execsnoop"), *peers("execsnoop")]:
            try:
                with attached(tracer) as running:
                    running.rest(plan.seconds(3))
                    cost = running.cost_of(lambda: loads.run("execs", seconds))
            except UnavailableError as error:
                used.missing(tracer.name, error)
                added.add(tracer.name, None)
                continue
            used.add(tracer.name, 1e6 * cost.per(cost.cpu_s, 1))
            idle.add(tracer.name, 1e6 * cost.per(cost.idle_s, 1))
            added.add(tracer.name, (cost.report["cpu_ns_each"] - bare) / 1e3)
    yield from (used, idle, added)


def profile(plan: Plan) -> Iterator[Figure]:
    """Stacks of the whole machine at 99 Hz, while four threads share the CPUs."""
    resting = Figure("profile_rest", "Sampling stacks at 99 Hz, nothing running", "% of a core", PERF, 2)
    busy = Figure("profile_busy", "Sampling stacks at 99 Hz, four threads on all CPUs", "% of a core", PERF, 2)
    busy.note("perf record and bpftrace only keep addresses meanwhile; ebtop looks up the names as well")
    for _ in plan.rounds():
        for tracer in [ebtop_run("profile"), perf_record(), bpftrace_program(STACKS), *peers("profile")[2:]]:
            try:
                with attached(tracer) as running:
                    resting.add(tracer.name, 100 * sum(running.rest(plan.seconds(3))))
                    busy.add(tracer.name, 100 * _share_under_load(plan, running))
            except UnavailableError as error:
                busy.missing(tracer.name, error)
                resting.add(tracer.name, None)
    yield from (resting, busy, *_whole(plan))


def _share_under_load(plan: Plan, running: Running) -> float:
    seconds = round(plan.seconds(4))
    cost = running.cost_of(lambda: loads.run("switches", "contend", 4, seconds))
    return cost.cpu_s / cost.wall_s


def _whole(plan: Plan) -> Iterator[Figure]:
    """All there is to pay for, from the start to stacks with names."""
    seconds = round(plan.seconds(5))
    title = f"All CPU for a profile of {seconds} s at 99 Hz, from the command to stacks with names"
    figure = Figure("profile_whole", title, "s", PERF, 2)
    figure.note("perf: perf record, then perf script --no-inline")
    with tempfile.TemporaryDirectory() as directory:
        data = shlex.quote(str(Path(directory) / "perf.data"))
        record = f"perf record -q -F 99 -a -g -o {data} sleep {seconds} && perf script --no-inline -i {data}"
        commands = {
            JSON: [str(EBTOP), "run", "profile", "--format", "json", "--duration", str(seconds)],
            PERF: ["sh", "-c", record],
        }
        for _ in plan.rounds():
            for name, command in commands.items():
                try:
                    figure.add(name, _whole_cpu_s(command, seconds))
                except UnavailableError as error:
                    figure.missing(name, error)
    yield figure


def _whole_cpu_s(command: Sequence[str], seconds: int) -> float:
    """CPU seconds of a command and all its descendants, while four threads share the CPUs."""
    load = subprocess.Popen(loads.command("switches", "contend", 4, seconds + 30), stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.2)
        return wholecost.measure(command)
    finally:
        load.kill()
        load.wait()
