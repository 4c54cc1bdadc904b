"""What tracing opens costs, and what it loses."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests import loads
from tests.bench.plan import Plan
from tests.bench.report import Figure
from tests.bench.tracers import (
    DASHBOARD,
    EBTOP,
    JSON,
    LIBBPF,
    Tracer,
    UnavailableError,
    attached,
    dashboard,
    ebtop_run,
    peers,
)

TOOL = "opensnoop"
UNTRACED = "untraced"


def _target(directory: str) -> str:
    path = Path(directory) / "opened"
    path.touch()
    return str(path)


def flat_out(plan: Plan) -> Iterator[Figure]:
    """One thread opens as fast as it can: what an open becomes, and what the tracer itself uses."""
    added = Figure("open_added", "Added to each open and close of the traced program, flat out", "ns of CPU", LIBBPF)
    added.goals = {DASHBOARD: 0.1, JSON: 0.1}
    used = Figure("open_cpu", "The tracer's CPU for a million opens, flat out", "s", LIBBPF, 3, {DASHBOARD: 1 / 20})
    count = plan.scaled(1_000_000)
    with tempfile.TemporaryDirectory() as directory:
        path = _target(directory)
        for _ in plan.rounds():
            bare = loads.run("opens", path, count)["cpu_ns_each"]
            added.note(f"untraced: {bare:,.0f} ns")
            for tracer in [dashboard(TOOL), ebtop_run(TOOL), *peers(TOOL)]:
                try:
                    each, seconds = _traced(tracer, path, count)
                except UnavailableError as error:
                    added.missing(tracer.name, error)
                    used.add(tracer.name, None)
                    continue
                added.add(tracer.name, each - bare)
                used.add(tracer.name, seconds * 1e6 / count)
    yield added
    yield used


def _traced(tracer: Tracer, path: str, count: int, *more: int) -> tuple[float, float]:
    """CPU ns of each open of the load, and CPU seconds of the tracer until it had worked all off."""
    with attached(tracer) as running:
        report, seconds = running.cost_of(lambda: loads.run("opens", path, count, *more))
        return report["cpu_ns_each"], seconds


def steady(plan: Plan) -> Iterator[Figure]:
    """50,000 opens a second, evenly spaced."""
    title = "The tracer's CPU for a million opens, 50,000 a second"
    used = Figure("open_cpu_steady", title, "s", LIBBPF, 3, {DASHBOARD: 1 / 8})
    count = plan.scaled(500_000)
    with tempfile.TemporaryDirectory() as directory:
        path = _target(directory)
        for _ in plan.rounds():
            for tracer in [dashboard(TOOL), ebtop_run(TOOL), *peers(TOOL)]:
                try:
                    used.add(tracer.name, _traced(tracer, path, count, 1, 50_000)[1] * 1e6 / count)
                except UnavailableError as error:
                    used.missing(tracer.name, error)
    yield used


def to_a_file(plan: Plan) -> Iterator[Figure]:
    """`ebtop run --format json > file` beside libbpf-tools' opensnoop > file."""
    title = "CPU for a million opens written to a file, flat out"
    used = Figure("open_cpu_file", title, "s", LIBBPF, 3, {JSON: 1.0})
    count = plan.scaled(300_000)
    with tempfile.TemporaryDirectory() as directory:
        path, output = _target(directory), str(Path(directory) / "output")
        for _ in plan.rounds():
            for tracer in [ebtop_run(TOOL, output), Tracer(LIBBPF, peers(TOOL)[0].command, output=output)]:
                try:
                    used.add(tracer.name, _traced(tracer, path, count)[1] * 1e6 / count)
                except UnavailableError as error:
                    used.missing(tracer.name, error)
    yield used


def loss(plan: Plan) -> Iterator[Figure]:
    """Two threads open as fast as they can for ten seconds."""
    figure = Figure("open_lost", "Lost while two threads open flat out for 10 s", "events")
    figure.goals = {DASHBOARD: 0}
    seconds = f"{plan.scaled(10)}s"
    with tempfile.TemporaryDirectory() as directory:
        path = _target(directory)
        for _ in plan.rounds():
            try:
                with attached(dashboard(TOOL)) as running:
                    opened = running.cost_of(lambda: loads.run("opens", path, seconds, 2))[0]["count"]
                    time.sleep(2)  # a tick, and its painting
                    figure.add(DASHBOARD, shown_number(running.lost_on_screen()))
                figure.note(f"dashboard: {opened:,} opens")
            except UnavailableError as error:
                figure.missing(DASHBOARD, error)
    yield figure


def shown_number(shown: str) -> float:
    """What the screen shows as `1.2 k` or `1,204`."""
    units = {"k": 1e3, "M": 1e6, "G": 1e9}
    shown = shown.replace(",", "").replace(" ", "")
    return float(shown.rstrip("kMG")) * units.get(shown[-1], 1)


def loss_by_rate(plan: Plan) -> Iterator[Figure]:
    """`ebtop run --format json` at rising rates: what is lost, and whether events and lost add up exactly."""
    figure = Figure("open_json_lost", "Lost by ebtop run --format json, two threads, 5 s", "% of opens", digits=2)
    with tempfile.TemporaryDirectory() as directory:
        path = _target(directory)
        for _ in plan.rounds():
            for rate in (50_000, 100_000, 200_000, 400_000, 0):
                name = f"{rate:,}/s" if rate else "flat out"
                count = plan.scaled(5 * (rate or 600_000))
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
