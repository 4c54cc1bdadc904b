"""python -m tests.bench [FIGURE ...]: measures, prints a table for each figure, and writes bench-results/."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import figures_opens, figures_others, report
from tests.bench.plan import Plan

FIGURES: dict[str, Callable[[Plan], Iterator[report.Figure]]] = {
    "opens": figures_opens.flat_out,
    "steady": figures_opens.steady,
    "file": figures_opens.to_a_file,
    "loss": figures_opens.loss,
    "rates": figures_opens.loss_by_rate,
    "switches": figures_others.switches,
    "execs": figures_others.execs,
    "startup": figures_others.startup,
    "rest": figures_others.at_rest,
}
RESULTS = Path(__file__).parents[2] / "bench-results"


def main() -> int:
    """Measure what was asked for; 0, or 3 without root."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure ebtop beside other tracers.")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}; all by default")
    parser.add_argument("--rounds", type=int, default=3, help="how often each tracer is measured (3)")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the loads (1.0); small ones are noisy")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="folder for bench.md and bench.json")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.figures if name not in FIGURES]:
        parser.error(f"no figure {unknown[0]!r}; there are {', '.join(FIGURES)}")
    if os.geteuid() != 0:
        print("Tracing needs root: sudo make bench", file=sys.stderr)
        return 3
    plan, about, figures = Plan(arguments.rounds, arguments.scale), report.machine(), list[report.Figure]()
    for name in arguments.figures or FIGURES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        for figure in FIGURES[name](plan):
            figures.append(figure)
            print(f"{figure.markdown()}\n", flush=True)
            report.write(figures, about, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
