"""What the pane of processes costs the machine, and what it sees that others do not."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests import loads
from tests.bench.figures_opens import target
from tests.bench.plan import Plan
from tests.bench.report import Figure
from tests.bench.running import UnavailableError
from tests.bench.tracers import EBTOP, JSON, LIBBPF, Tracer, attached, ebtop_run, libbpf

OVERVIEW = "overview"
BRIEF, BRIEF_US = 1000, 5000
_TRIES = 8
_TOP_TIME = re.compile(r"(\d+):(\d+\.\d+) brief\s*$", re.MULTILINE)


def overview(plan: Plan) -> Iterator[Figure]:
    """On against off."""
    title = "Added to each context switch, as much as the overview needs of it"
    switch = Figure("overview_switch", title, "ns of CPU", LIBBPF)
    switch.note(f"each the least of {_TRIES} short loads; beside it libbpf-tools' runqlat. Each switch of the load is "
                "two system calls, whose ends the overview looks at for opens")  # fmt: skip
    opened = Figure("overview_open", "Added to each open and close by the overview", "ns of CPU", LIBBPF)
    opened.note("beside it libbpf-tools' opensnoop")
    with target() as file:
        for _ in plan.rounds():
            _compare(switch, [ebtop_run(OVERVIEW), libbpf("runqlat")], ["switches", "pipes", plan.lasting(1)])
            _compare(opened, [ebtop_run(OVERVIEW), libbpf("opensnoop")], ["opens", file, plan.lasting(1)])
    yield from (switch, opened, _seen(plan))


def _compare(figure: Figure, tracers: list[Tracer], load: list[str]) -> None:
    bare = _least(load)
    for tracer in tracers:
        try:
            with attached(tracer):
                figure.add(tracer.name, _least(load) - bare)
        except UnavailableError as error:
            figure.missing(tracer.name, error)


def _least(load: list[str]) -> float:
    return min(float(loads.run(*load)["cpu_ns_each"]) for _ in range(_TRIES))


def _seen(plan: Plan) -> Figure:
    """CPU time of processes that live for a few milliseconds, by who is asked."""
    title = f"CPU of {BRIEF:,} processes of {BRIEF_US // 1000} ms each that is seen, of what wait(2) accounts for"
    figure = Figure("overview_seen", title, "%", digits=1)
    figure.note("top: the most that it ever showed for any of them, once a second, added up")
    for _ in plan.rounds(most=3):
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = Path(folder, "ours"), Path(folder, "top")
            accounted = _watched(ours, theirs)
            figure.add(JSON, 100 * _ours(ours) / accounted)
            figure.add("top", 100 * _tops(theirs) / accounted)
    return figure


def _watched(ours: Path, theirs: Path) -> float:
    """Run the load under ebtop and top: the seconds that the kernel accounts for."""
    with theirs.open("wb") as screen:
        top = subprocess.Popen(["top", "-b", "-w", "200", "-d", "1"], stdout=screen)
    command = loads.command("brief", BRIEF, BRIEF_US)
    done = subprocess.run([EBTOP, "run", OVERVIEW, "--format", "json", "-o", ours, "--", *command],
                          check=True, capture_output=True, text=True)  # fmt: skip
    time.sleep(1)
    top.kill()
    top.wait()
    report = json.loads(done.stdout)
    return float(report["cpu_ns_each"]) * int(report["count"]) / 1e9


def _ours(file: Path) -> float:
    rows = [row for row in map(json.loads, file.read_text().splitlines()) if row.get("comm") == "brief"]
    return float(sum(row["cpu_ns"] for row in rows)) / 1e9


def _tops(file: Path) -> float:
    """Of each pid the most that its TIME+ was."""
    most: dict[str, float] = {}
    for line in file.read_text(errors="replace").splitlines():
        found = _TOP_TIME.search(line)
        if found:
            pid = line.split()[0]
            most[pid] = max(most.get(pid, 0.0), 60 * int(found[1]) + float(found[2]))
    return sum(most.values())
