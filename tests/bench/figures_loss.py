"""What is lost when more comes than can be taken."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator

from tests import loads
from tests.bench.figures_opens import FLAT_OUT, TOOL, rate_name, target
from tests.bench.plan import Plan
from tests.bench.report import Figure
from tests.bench.running import UnavailableError
from tests.bench.tracers import DASHBOARD, EBTOP, attached, dashboard, libbpf

RATES = (100_000, 400_000, FLAT_OUT)


def loss(plan: Plan) -> Iterator[Figure]:
    """Two threads open as fast as they can, as the tracers themselves count it."""
    seconds = plan.lasting(10)
    figure = Figure("open_lost", f"Lost while two threads open flat out for {seconds[:-1]} s", "% of opens", digits=3)
    figure.goals = {DASHBOARD: 0}
    with target() as path:
        for _ in plan.rounds():
            for tracer in (dashboard(TOOL), libbpf(TOOL)):
                try:
                    with attached(tracer) as running:
                        opened = running.cost_of(lambda: loads.run("opens", path, seconds, 2)).report["count"]
                        time.sleep(2)  # a tick, and its painting
                        lost = running.lost()
                    figure.add(tracer.name, 100 * lost / opened)
                    figure.note(f"{tracer.name}: {lost:,.0f} of {opened:,} opens in one round")
                except UnavailableError as error:
                    figure.missing(tracer.name, error)
    yield figure


def loss_by_rate(plan: Plan) -> Iterator[Figure]:
    """`ebtop run --format json` at rising rates: what is lost, and whether events and lost add up exactly."""
    figure = Figure("open_json_lost", "Lost by ebtop run --format json, two threads", "% of opens", digits=2)
    with target() as path:
        for _ in plan.rounds():
            for rate in RATES:
                name = f"{rate_name(rate)}{'/s' if rate else ''}"
                count = plan.scaled(4 * (rate or 600_000))
                try:
                    opened, events, lost = _counted(path, count, rate)
                except UnavailableError as error:
                    figure.note(f"not measured: {error}")
                    break
                figure.add(name, 100 * lost / opened)
                if events + lost != opened:
                    figure.note(f"{name}: {events:,} events and {lost:,} lost do not make {opened:,} opens")
    yield figure


def _counted(path: str, count: int, rate: int) -> tuple[int, int, int]:
    """Opens of `path` that were made, written and lost, with the load as ebtop's command."""
    if not EBTOP.exists():
        raise UnavailableError(f"{EBTOP} is not installed")
    load = loads.command("opens", path, count, 2, rate)
    command = [str(EBTOP), "run", TOOL, "--format", "json", "--", *load]
    # Each line that names the path is one of the load's opens; grep counts them without Python's cost.
    with tempfile.NamedTemporaryFile("w+") as last:
        script = f'tee >(tail -n 1 >{last.name}) | grep -c \'"path": *"{path}"\'; true'
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tracer:
            done = subprocess.run(
                ["bash", "-c", script], stdin=tracer.stdout, capture_output=True, text=True, check=True
            )
        last.seek(0)
        summary = last.read()
    if not summary.startswith("{") or json.loads(summary).get("type") != "summary":
        raise UnavailableError("ebtop run wrote no summary")
    return count, int(done.stdout), int(json.loads(summary)["lost"])
