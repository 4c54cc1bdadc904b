"""How cost grows: with processes, with distinct keys, with the history that is held. (With events: `opens`.)"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from tests import loads
from tests.bench import processes
from tests.bench.figures_opens import TOOL, target
from tests.bench.plan import Plan
from tests.bench.report import Curve
from tests.bench.running import Running, UnavailableError
from tests.bench.terminal import Terminal
from tests.bench.tracers import LIBBPF, PERF, Tracer, attached, dashboard, ebtop_run, libbpf, perf_record

PROCESSES = (10, 100, 1_000, 10_000)
KEYS = (10, 100, 1_000, 10_000, 100_000)
WAKEUPS = 2_000
KEY_RATE = 50_000


class _Growing:
    """CPU and memory over a number of processes, beside one peer."""

    def __init__(self, key: str, what: str, baseline: str) -> None:
        over = f"processes that wake up, together {WAKEUPS:,} times a second"
        self.cpu = Curve(f"{key}_cpu", f"CPU by the number of processes, {what}", "% of a core", over, baseline, 1)
        self.memory = Curve(f"{key}_pss", f"Memory by the number of processes, {what}", "MiB", over, baseline, 0)

    def missing(self, counts: Sequence[int], tracer: Tracer, why: Exception) -> None:
        for curve in (self.cpu, self.memory):
            curve.missing([f"{count:,}" for count in counts], tracer.name, why)


def growth_with_processes(plan: Plan) -> Iterator[Curve]:
    """One session of each tracer, in which ever more processes live and wake up as often as before in all."""
    latency, stacks = _Growing("processes_runqlat", "runqlat", LIBBPF), _Growing("processes_profile", "profile", PERF)
    by_process = ebtop_run("runqlat", "--by", "pid", "--interval", "1")
    kinds: list[tuple[_Growing, Sequence[int], list[Tracer]]] = [
        (latency, PROCESSES, [dashboard("runqlat"), by_process, libbpf("runqlat", "-P", "1")]),
        (stacks, (PROCESSES[0], PROCESSES[-1]), [ebtop_run("profile", "--interval", "1"), perf_record()]),
    ]
    latency.cpu.note("each second, for each process: ebtop run --by pid --interval 1, runqlat -P 1")
    for _ in plan.rounds(most=2):
        for growing, full, tracers in kinds:
            counts = [plan.scaled(count) for count in full]
            for tracer in tracers:
                try:
                    with attached(tracer) as running:
                        _with_processes(plan, growing, tracer, running, counts)
                except UnavailableError as error:
                    growing.missing(counts, tracer, error)
    yield from (latency.cpu, latency.memory, stacks.cpu, stacks.memory)


def _with_processes(plan: Plan, growing: _Growing, tracer: Tracer, running: Running, counts: Sequence[int]) -> None:
    for count in counts:
        with _sleepers(count):
            time.sleep(1.5)  # the tick in which they all came
            growing.cpu.add(f"{count:,}", tracer.name, 100 * sum(running.shares(plan.seconds(3))))
            growing.memory.add(f"{count:,}", tracer.name, running.memory())


@contextmanager
def _sleepers(count: int) -> Iterator[None]:
    """So many living processes. Raises UnavailableError when the machine does not allow as many."""
    with subprocess.Popen(loads.command("sleepers", count, WAKEUPS, 600), stdout=subprocess.DEVNULL) as load:
        try:
            while load.poll() is None and len(processes.tree(load.pid)) <= count:
                time.sleep(0.05)
            if load.returncode is not None:
                raise UnavailableError(f"{count:,} processes could not be started")
            yield
        finally:
            children = processes.tree(load.pid)[1:]
            load.kill()
    while any(os.path.exists(f"/proc/{pid}") for pid in children):
        time.sleep(0.05)


def growth_with_keys(plan: Plan) -> Iterator[Curve]:
    """Opens of ever more different files, as often as before in all; the dashboard counts them by path."""
    title = f"The tracer's CPU for a million opens, {KEY_RATE:,} a second, by the number of different paths"
    cpu = Curve("keys_cpu", title, "s", "different paths", LIBBPF)
    memory = Curve("keys_pss", "Memory by the number of different paths", "MiB", "different paths", LIBBPF, 0)
    top = replace(dashboard(TOOL), name="ebtop, dashboard, top by path")
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/key"
        for number in range(KEYS[-1]):
            os.mknod(f"{path}{number}")
        for _ in plan.rounds(most=2):
            for tracer in (top, libbpf(TOOL)):
                try:
                    with attached(tracer) as running:
                        _with_keys(plan, cpu, memory, tracer, running, path)
                except (UnavailableError, TimeoutError) as error:
                    cpu.missing([f"{count:,}" for count in KEYS], tracer.name, error)
    yield from (cpu, memory)


def _with_keys(plan: Plan, cpu: Curve, memory: Curve, tracer: Tracer, running: Running, path: str) -> None:
    if running.terminal:
        running.terminal.answer_s("g", "count by")
        running.terminal.answer_s("\r", "top by PATH")
    for count in KEYS:
        seconds = plan.lasting(3)
        cost = running.cost_of(lambda: loads.run("opens", path, seconds, 1, KEY_RATE, count))  # noqa: B023
        cpu.add(f"{count:,}", tracer.name, cost.per(cost.cpu_s))
        memory.add(f"{count:,}", tracer.name, running.memory())


def growth_with_history(plan: Plan) -> Iterator[Curve]:
    """The dashboard's opensnoop at 1,000 opens a second, after a while, and after a flood that fills its history."""
    over = "history"
    cpu = Curve(
        "history_cpu", "The dashboard's CPU by the history that it holds, 1,000 opens a second", "% of a core", over
    )
    memory = Curve("history_pss", "The dashboard's memory by the history that it holds", "MiB", over, digits=0)
    answers = Curve(
        "history_keys", "From a key to its answer on the terminal, median of five presses", "ms", over, digits=0
    )
    with target() as path:
        for _ in plan.rounds(most=1):
            try:
                with attached(dashboard(TOOL)) as running:
                    _with_history(plan, (cpu, memory, answers), running, path)
            except (UnavailableError, TimeoutError) as error:
                cpu.note(f"not measured: {error}")
    yield from (cpu, memory, answers)


def _with_history(plan: Plan, curves: tuple[Curve, Curve, Curve], running: Running, path: str) -> None:
    assert running.terminal is not None
    steady = loads.command("opens", path, "3600s", 1, 1000)
    started = time.monotonic()
    with subprocess.Popen(steady, stdout=subprocess.DEVNULL) as load:
        try:
            for point, seconds in (("after 5 s", 5.0), ("after 60 s", plan.seconds(60)), ("after a flood", 0.0)):
                if not seconds:
                    flood = loads.run("opens", path, plan.lasting(10), 2)
                    curves[0].note(f"the flood: {flood['count']:,} opens in one round")
                    time.sleep(3)
                time.sleep(max(0.0, started + seconds - time.monotonic()))
                _held(plan, curves, point, running, running.terminal)
        finally:
            load.kill()


def _held(plan: Plan, curves: tuple[Curve, Curve, Curve], point: str, running: Running, terminal: Terminal) -> None:
    cpu, memory, answers = curves
    screen, capture = running.shares(plan.seconds(5))
    cpu.add(point, "screen", 100 * screen)
    cpu.add(point, "capture", 100 * capture)
    memory.add(point, "screen and capture", running.memory())
    for name, seconds in _answers(terminal).items():
        answers.add(point, name, 1000 * seconds)


def _answers(terminal: Terminal, presses: int = 5) -> dict[str, float]:
    """The median time to the answer of some keys, pressed in turn."""
    keys = (
        ("5", "from wake-up to running", "another pane"),
        ("3", "files opened", "back"),
        ("?", "(KEY in filters)", "help"),
    )
    taken: dict[str, list[float]] = {}
    for _ in range(presses):
        for key, words, name in keys:
            taken.setdefault(name, []).append(terminal.answer_s(key, words))
            time.sleep(0.2)
        terminal.type("q")  # leaves the help
        time.sleep(0.5)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}
