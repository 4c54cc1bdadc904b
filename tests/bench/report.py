"""Figures as people and programs read them: samples, ratios to a peer of the same round, Markdown and JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import processes

PACKAGES = ("libbpf-tools", "bpfcc-tools", "bpftrace", "linux-perf", "python3-bpfcc")


@dataclass
class Figure:
    """One quantity: a sample per tracer and round (None: could not be measured in that round).

    `baseline` is the tracer that the others are divided by; `goals` are upper bounds by tracer, of that ratio, or of
    the value itself where there is no baseline.
    """

    key: str
    title: str
    unit: str
    baseline: str = ""
    digits: int = 0
    goals: dict[str, float] = field(default_factory=dict)
    samples: dict[str, list[float | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, tracer: str, value: float | None) -> None:
        """Note a round's value."""
        self.samples.setdefault(tracer, []).append(value)

    def missing(self, tracer: str, why: Exception) -> None:
        """Note that the tracer could not be measured in this round."""
        self.add(tracer, None)
        self.note(f"{tracer} not measured: {why}")

    def note(self, text: str) -> None:
        """Say something about the figure, once."""
        if text not in self.notes:
            self.notes.append(text)

    def ratios(self, tracer: str) -> list[float]:
        """The tracer's value by the baseline's, in each round that has both."""
        if not self.baseline or tracer == self.baseline:
            return []
        pairs = zip(self.samples.get(tracer, []), self.samples.get(self.baseline, []), strict=False)
        return [mine / theirs for mine, theirs in pairs if mine is not None and theirs]

    def met(self, tracer: str) -> bool | None:
        """Whether the goal is met, by the median; None without a goal or without a sample."""
        goal = self.goals.get(tracer)
        values = self.ratios(tracer) if self.baseline else _known(self.samples.get(tracer, []))
        return None if goal is None or not values else statistics.median(values) <= goal

    def markdown(self) -> str:
        """A table of min, median and max."""
        head = ["", "min", "median", "max"]
        if self.baseline:
            head.append(f"by {self.baseline} (min, median, max)")
        if self.goals:
            head.append("goal")
        lines = [f"### {self.title} ({self.unit})", "", _row(head), _row(["---", *["--:"] * (len(head) - 1)])]
        lines += [_row(self._cells(tracer)) for tracer in self.samples if _known(self.samples[tracer])]
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes), ""])

    def _cells(self, tracer: str) -> list[str]:
        cells = [tracer, *(f"{value:,.{self.digits}f}" for value in _spread(_known(self.samples[tracer])))]
        if self.baseline:
            ratios = self.ratios(tracer)
            cells.append(" / ".join(f"{ratio:.3f}" for ratio in _spread(ratios)) if ratios else "")
        if self.goals:
            goal = self.goals.get(tracer)
            cells.append("" if goal is None else f"≤ {goal:g} {'met' if self.met(tracer) else 'MISSED'}")
        return cells

    def summary(self) -> dict[str, Any]:
        """The figure as JSON: all samples and their ratios."""
        ratios = {tracer: self.ratios(tracer) for tracer in self.samples}
        met = {tracer: self.met(tracer) for tracer in self.goals}
        return {**asdict(self), "ratios": {t: r for t, r in ratios.items() if r}, "met": met}


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _version(package: str) -> str:
    command = ["dpkg-query", "-W", "-f", "${Version}", package]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def _first(path: str, start: str) -> str:
    """What follows `start` in the first line of a file that begins with it."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.removeprefix(start).strip(" \t:=\"'") for line in lines if line.startswith(start)), "")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _first("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "system": _first("/etc/os-release", "PRETTY_NAME"),
        "python": platform.python_version(),
        "packages": {package: version for package in PACKAGES if (version := _version(package))},
        "load_before": os.getloadavg()[0],
        "other_tracers": processes.tracing(),
    }


def write(figures: Sequence[Figure], about: dict[str, Any], directory: Path) -> str:
    """Write bench.md and bench.json into `directory`; the Markdown."""
    facts = [f"- {key}: {value}" for key, value in about.items()]
    text = "\n".join(["# ebtop beside other tracers", "", *facts, "", *(figure.markdown() for figure in figures)])
    directory.mkdir(exist_ok=True)
    (directory / "bench.md").write_text(text)
    taken = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    data = {"taken": taken, "machine": about, "figures": [figure.summary() for figure in figures]}
    (directory / "bench.json").write_text(json.dumps(data, indent=1))
    return text
