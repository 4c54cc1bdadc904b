"""What tracing opens costs: the traced program and the tracer, at rising rates and written to a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import loads
from tests.bench.plan import Plan
from tests.bench.report import Curve, Figure
from tests.bench.running import Cost, Running, UnavailableError
from tests.bench.tracers import (
    DASHBOARD,
    JSON,
    LIBBPF,
    Tracer,
    attached,
    dashboard,
    ebtop_run,
    libbpf,
    peers,
    perf_trace,
)

TOOL = "opensnoop"
FLAT_OUT = 0
STEADY = 50_000
RATES = (1_000, 10_000, STEADY, 200_000, FLAT_OUT)
LOAD_S = {STEADY: 20, FLAT_OUT: 5}
"""At the steady rate a million opens, what the figure is told for: what a tracer uses once, as for the first pass
through its buffers, is not multiplied."""
OTHERS_S = 3
"""Seconds of the loads of all other rates."""


def rate_name(rate: int) -> str:
    """A rate as tables show it."""
    return "flat out" if rate == FLAT_OUT else f"{rate:,}"


@contextmanager
def target() -> Iterator[str]:
    """A file to open."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "opened"
        path.touch()
        yield str(path)


class _Opens:
    """The figures that come from one session of each tracer: rest, then one rate after the other."""

    def __init__(self) -> None:
        self.added = Figure("open_added", "Added to each open and close of the traced program, flat out", "ns of CPU")
        self.added.baseline, self.added.goals = LIBBPF, {DASHBOARD: 0.1, JSON: 0.1}
        title = "The tracer's CPU for a million opens, from the load's start until all was worked off"
        self.used = Curve("open_cpu", title, "s", "opens a second", LIBBPF)
        self.used.goals = {(DASHBOARD, "flat out"): 1 / 20, (DASHBOARD, "50,000"): 1 / 8}
        title = "Of that: what the tracer uses in the same time without opens"
        self.idle = Curve("open_cpu_idle", title, "s for a million opens", "opens a second")
        self.rest = Figure("open_rest", "The tracer's CPU without opens, before the loads", "% of a core", digits=2)
        title = "The dashboard's CPU, opensnoop shown"
        self.split = Curve("open_screen", title, "% of a core", "opens a second", digits=1)

        self.lost = Curve(
            "open_rates_lost", "Lost events, by the tracer's own count", "% of the load's opens", "opens a second"
        )
        title = "What the load reached while it was traced"
        self.reached = Curve("open_reached", title, "opens a second", "opens a second", digits=0)
        self.used.note("what a tracer lost was cheap for it: see the table of losses")

    def all(self) -> list[Figure | Curve]:
        return [self.added, self.used, self.idle, self.reached, self.lost, self.rest, self.split]

    def note(self, tracer: Tracer, rate: int, cost: Cost, bare: float) -> None:
        point = rate_name(rate)
        self.used.add(point, tracer.name, cost.per(cost.cpu_s))
        self.idle.add(point, tracer.name, cost.per(cost.idle_s))
        if rate == FLAT_OUT:
            self.added.add(tracer.name, cost.report["cpu_ns_each"] - bare)
        self.reached.add(point, tracer.name, cost.report["count"] / cost.report["wall_ns"] * 1e9)
        if tracer.name == DASHBOARD:
            self.split.add(point, "screen", 100 * cost.screen_s / cost.wall_s)
            self.split.add(point, "capture", 100 * cost.others_s / cost.wall_s)

    def missing(self, tracer: Tracer, rates: Sequence[int], why: Exception) -> None:
        self.used.missing(map(rate_name, rates), tracer.name, why)
        self.added.missing(tracer.name, why)


def _run(plan: Plan, path: str, rate: int) -> dict[str, float]:
    return loads.run("opens", path, plan.lasting(LOAD_S.get(rate, OTHERS_S)), 1, rate)


def opens(plan: Plan) -> Iterator[Figure | Curve]:
    """One thread opens at rising rates, at last as fast as it can: what an open becomes, what the tracer uses."""
    figures = _Opens()
    everywhere = [(tracer, RATES) for tracer in (dashboard(TOOL), ebtop_run(TOOL), libbpf(TOOL))]
    elsewhere = [(tracer, (STEADY, FLAT_OUT)) for tracer in (*peers(TOOL)[1:], perf_trace())]
    with target() as path:
        for _ in plan.rounds():
            bare = _run(plan, path, FLAT_OUT)["cpu_ns_each"]
            figures.added.note(f"untraced: {bare:,.0f} ns")
            for tracer, rates in [*everywhere, *elsewhere]:
                try:
                    with attached(tracer) as running:
                        _session(plan, figures, tracer, running, rates, path, bare)
                except UnavailableError as error:
                    figures.missing(tracer, rates, error)
    yield from figures.all()


def _session(
    plan: Plan, figures: _Opens, tracer: Tracer, running: Running, rates: Sequence[int], path: str, bare: float
) -> None:
    screen, others = running.rest(plan.seconds(3))
    figures.rest.add(tracer.name, 100 * (screen + others))
    if tracer.name == DASHBOARD:
        figures.split.add("none", "screen", 100 * screen)
        figures.split.add("none", "capture", 100 * others)
    for rate in rates:
        before = running.lost()
        cost = running.cost_of(lambda rate=rate: _run(plan, path, rate))  # type: ignore[misc]
        figures.note(tracer, rate, cost, bare)
        if tracer.name in (DASHBOARD, LIBBPF):  # the others do not say
            figures.lost.add(rate_name(rate), tracer.name, cost.per(running.lost() - before, 100))


def to_a_file(plan: Plan) -> Iterator[Figure]:
    """`ebtop run --format json > file` beside libbpf-tools' opensnoop > file."""
    title = f"CPU for a million opens written to a file, flat out for {plan.lasting(LOAD_S[FLAT_OUT])[:-1]} s"
    used = Figure("open_cpu_file", title, "s", LIBBPF, 3, {JSON: 1.0})
    idle = Figure("open_cpu_file_idle", "Of that: what the tracer uses in the same time without opens", "s", digits=3)
    with tempfile.TemporaryDirectory() as directory, target() as path:
        output = str(Path(directory) / "output")
        for _ in plan.rounds():
            for tracer in [ebtop_run(TOOL, output=output), libbpf(TOOL, output=output)]:
                try:
                    with attached(tracer) as running:
                        running.rest(plan.seconds(2))
                        cost = running.cost_of(lambda: _run(plan, path, FLAT_OUT))
                        used.add(tracer.name, cost.per(cost.cpu_s))
                        idle.add(tracer.name, cost.per(cost.idle_s))
                        if lost := running.lost():
                            used.note(f"{tracer.name} lost {lost:,.0f} of {cost.report['count']:,} in one round")
                except UnavailableError as error:
                    used.missing(tracer.name, error)
    yield from (used, idle)
