"""Figures as people and programs read them: samples, ratios to a peer of the same round, Markdown and JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


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
        return [mine / theirs for mine, theirs in pairs if mine is not None and theirs and theirs > 0]

    def met(self, tracer: str) -> bool | None:
        """Whether the goal is met, by the median; None without a goal or without a sample."""
        goal = self.goals.get(tracer)
        values = self.ratios(tracer) if self.baseline else _known(self.samples.get(tracer, []))
        return None if goal is None or not values else statistics.median(values) <= goal

    def markdown(self) -> str:
        """A table of min, median and max."""
        head = _head(self.baseline, bool(self.goals))
        lines = [f"### {self.title} ({self.unit})", "", _row(head), _row(["---", *["--:"] * (len(head) - 1)])]
        lines += [_row(cells) for cells in self.rows(with_goals=bool(self.goals))]
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes), ""])

    def rows(self, with_goals: bool) -> list[list[str]]:
        """The table's cells, for each tracer that could be measured."""
        return [self._cells(tracer, with_goals) for tracer, values in self.samples.items() if _known(values)]

    def _cells(self, tracer: str, with_goals: bool) -> list[str]:
        cells = [tracer, *(f"{value:,.{self.digits}f}" for value in _spread(_known(self.samples[tracer])))]
        if self.baseline:
            ratios = self.ratios(tracer)
            cells.append(" / ".join(f"{ratio:.3f}" for ratio in _spread(ratios)) if ratios else "")
        if with_goals:
            goal = self.goals.get(tracer)
            cells.append("" if goal is None else f"≤ {goal:g} {'met' if self.met(tracer) else 'MISSED'}")
        return cells

    def summary(self) -> dict[str, Any]:
        """The figure as JSON: all samples and their ratios."""
        ratios = {tracer: self.ratios(tracer) for tracer in self.samples}
        met = {tracer: self.met(tracer) for tracer in self.goals}
        return {**asdict(self), "ratios": {t: r for t, r in ratios.items() if r}, "met": met}


@dataclass
class Curve:
    """One quantity over another: a Figure at each point, named as the table shows it, in the order of the points."""

    key: str
    title: str
    unit: str
    over: str
    baseline: str = ""
    digits: int = 2
    goals: dict[tuple[str, str], float] = field(default_factory=dict)
    points: dict[str, Figure] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def at(self, point: str) -> Figure:
        """The figure of a point, made when it is first asked for."""
        if point not in self.points:
            goals = {tracer: goal for (tracer, where), goal in self.goals.items() if where == point}
            self.points[point] = Figure(self.key, self.title, self.unit, self.baseline, self.digits, goals)
        return self.points[point]

    def add(self, point: str, tracer: str, value: float | None) -> None:
        """Note a round's value at a point."""
        self.at(point).add(tracer, value)

    def missing(self, points: Iterable[str], tracer: str, why: Exception) -> None:
        """Note that the tracer could not be measured in this round, at these points."""
        for point in points:
            self.add(point, tracer, None)
        self.note(f"{tracer} not measured: {why}")

    def note(self, text: str) -> None:
        """Say something about the curve, once."""
        if text not in self.notes:
            self.notes.append(text)

    def markdown(self) -> str:
        """A table with a row for each point and tracer."""
        head = [self.over, *_head(self.baseline, bool(self.goals))]
        lines = [f"### {self.title} ({self.unit})", "", _row(head), _row(["--:", "---", *["--:"] * (len(head) - 2)])]
        for point, figure in self.points.items():
            lines += [_row([point, *cells]) for cells in figure.rows(with_goals=bool(self.goals))]
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes), ""])

    def summary(self) -> dict[str, Any]:
        """The curve as JSON: its figures by point."""
        head = {"key": self.key, "title": self.title, "unit": self.unit, "over": self.over, "baseline": self.baseline}
        return {**head, "notes": self.notes, "points": {name: f.summary() for name, f in self.points.items()}}


def _head(baseline: str, goals: bool) -> list[str]:
    by = [f"by {baseline} (min, median, max)"] if baseline else []
    return ["", "min", "median", "max", *by, *(["goal"] if goals else [])]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write(figures: Sequence[Figure | Curve], about: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Write bench.md and bench.json into `directory`; what the JSON holds."""
    facts = [f"- {key}: {value}" for key, value in about.items()]
    text = "\n".join(["# ebtop beside other tracers", "", *facts, "", *(figure.markdown() for figure in figures)])
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "bench.md").write_text(text)
    data = {"machine": about, "figures": [figure.summary() for figure in figures]}
    (directory / "bench.json").write_text(json.dumps(data, indent=1))
    return data
