"""What ebtop needs while it does little: memory, and the CPU of screen and capture in several panes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests import loads
from tests.bench.plan import Plan
from tests.bench.report import Curve, Figure
from tests.bench.running import Running, UnavailableError
from tests.bench.tracers import DASHBOARD, attached, dashboard, ebtop_run, libbpf

PANES = ("opensnoop", "runqlat", "profile")


def at_rest(plan: Plan) -> Iterator[Figure]:
    """Ten seconds after the start, and half a minute later, while nobody does anything. The dashboard runs all its
    tools."""
    memory = Figure("pss", "Memory of all its processes (PSS) after 10 s", "MiB", digits=0, goals={DASHBOARD: 180})
    idle = Figure("idle", "CPU when nothing happens", "% of a core", digits=2, goals={DASHBOARD: 1.0})
    for _ in plan.rounds():
        for tracer in [dashboard("opensnoop"), ebtop_run("opensnoop"), libbpf("opensnoop")]:
            try:
                with attached(tracer) as running:
                    time.sleep(plan.seconds(9))
                    memory.add(tracer.name, running.memory())
                    time.sleep(plan.seconds(30))  # it learns about running programs, and looks at its own memory
                    idle.add(tracer.name, 100 * sum(running.shares(plan.seconds(20))))
            except UnavailableError as error:
                memory.missing(tracer.name, error)
                idle.add(tracer.name, None)
    yield memory
    yield idle


def panes(plan: Plan) -> Iterator[Curve]:
    """Each pane at rest, and while four threads share the CPUs; opensnoop under a load of its own is in `opens`."""
    curve = Curve("panes", "The dashboard's CPU, by the pane shown", "% of a core", "pane", digits=1)
    curve.note("busy: four threads compute and sleep in turn on all CPUs, some thousand switches a second")
    for _ in plan.rounds(most=2):
        for pane in PANES:
            points = [f"{pane}, idle", f"{pane}, busy"]
            try:
                with attached(dashboard(pane)) as running:
                    _pane(plan, curve, points, running)
            except UnavailableError as error:
                curve.missing(points, "screen", error)
    yield curve


def _pane(plan: Plan, curve: Curve, points: list[str], running: Running) -> None:
    screen, others = running.rest(plan.seconds(3))
    cost = running.cost_of(lambda: loads.run("switches", "contend", 4, round(plan.seconds(4))))
    busy = (cost.screen_s / cost.wall_s, cost.others_s / cost.wall_s)
    for point, used in zip(points, ((screen, others), busy), strict=True):
        curve.add(point, "screen", 100 * used[0])
        curve.add(point, "capture", 100 * used[1])
