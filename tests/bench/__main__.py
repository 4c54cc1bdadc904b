"""python -m tests.bench [GROUP ...]: measures, prints a table for each figure, and writes bench-results/."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.bench import (
    figures_answers,
    figures_growth,
    figures_loss,
    figures_opens,
    figures_overview,
    figures_record,
    figures_rest,
    figures_scheduling,
    figures_soak,
    figures_startup,
    machine,
    plot,
    report,
)
from tests.bench.plan import Plan

Group = Callable[[Plan], Iterator[report.Figure | report.Curve]]
GROUPS: Mapping[str, Group] = {
    "opens": figures_opens.opens,
    "file": figures_opens.to_a_file,
    "record": figures_record.recorded,
    "replay": figures_record.replayed,
    "loss": figures_loss.loss,
    "rates": figures_loss.loss_by_rate,
    "switches": figures_scheduling.switches,
    "execs": figures_scheduling.execs,
    "profile": figures_scheduling.profile,
    "overview": figures_overview.overview,
    "startup": figures_startup.startup,
    "answers": figures_answers.answers,
    "rest": figures_rest.at_rest,
    "panes": figures_rest.panes,
    "processes": figures_growth.growth_with_processes,
    "keys": figures_growth.growth_with_keys,
    "history": figures_growth.growth_with_history,
}
LONG: Mapping[str, Group] = {"soak": figures_soak.soak}
"""Only measured when named: they take too long."""
RESULTS = Path(__file__).parents[2] / "bench-results"


def main() -> int:
    """Measure what was asked for; 0, or 3 without root."""
    parser = _parser()
    arguments = parser.parse_args()
    plots = [arguments.output / "bench.svg", *([arguments.plot] if arguments.plot else [])]
    if arguments.redraw:
        _draw(json.loads((arguments.output / "bench.json").read_text()), plots)
        return 0
    if unknown := [name for name in arguments.groups if name not in {**GROUPS, **LONG}]:
        parser.error(f"no group {unknown[0]!r}; there are {', '.join([*GROUPS, *LONG])}")
    if os.geteuid() != 0:
        print("Tracing needs root: sudo make bench", file=sys.stderr)
        return 3
    plan = Plan(arguments.rounds, arguments.scale, arguments.wait)
    _measure(arguments.groups or list(GROUPS), plan, arguments.output, plots)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure ebtop beside other tracers.")
    groups = f"of {', '.join(GROUPS)}, all of them by default; and {', '.join(LONG)}"
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=groups)
    parser.add_argument("--rounds", type=int, default=3, help="how often each tracer is measured (3)")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the loads (1.0); small ones are noisy")
    parser.add_argument("--wait", type=float, default=120, metavar="S", help="for other tracers to end (120)")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="folder for bench.md, .json and .svg")
    parser.add_argument("--plot", type=Path, help="draw the results into this file too: screenshots/bench.svg")
    parser.add_argument("--redraw", action="store_true", help="measure nothing, draw the folder's bench.json")
    return parser


def _measure(groups: list[str], plan: Plan, output: Path, plots: list[Path]) -> None:
    about, figures = machine.describe(), list[report.Figure | report.Curve]()
    about["rounds"], about["scale"] = plan.count, plan.scale
    for name in groups:
        print(f"{name} ...", file=sys.stderr, flush=True)
        start = time.monotonic()
        for figure in {**GROUPS, **LONG}[name](plan):
            figures.append(figure)
            print(f"{figure.markdown()}\n", flush=True)
            _draw(report.write(figures, about, output), plots)
        print(f"{name} took {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


def _draw(data: Mapping[str, object], files: list[Path]) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(plot.draw(data))


if __name__ == "__main__":
    sys.exit(main())
