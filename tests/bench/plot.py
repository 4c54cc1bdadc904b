"""Draws the results for the README: ratios to libbpf-tools as bars, CPU for a million events over their rate as lines.

By hand, as SVG has all it takes, and its style sheet follows the reader's light or dark mode.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

WIDTH = 860
_BAR, _GAP, _LABELS, _RIGHT = 16, 7, 400, 110
_PLOT_HEIGHT, _PLOT_LEFT, _PLOT_RIGHT = 230, 64, 190
_NAMED = 11  # points with their names below the axis
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 15px } .small { font-size: 11.5px; fill: #57606a }
.axis { stroke: #d0d7de; stroke-width: 1; fill: none }
.one { stroke: #57606a; stroke-width: 1.2; stroke-dasharray: 4 3 }
.range { stroke: #24292f; stroke-width: 1.4 }
.c0 { fill: #0969da; stroke: #0969da } .c1 { fill: #8250df; stroke: #8250df } .c2 { fill: #9a6700; stroke: #9a6700 }
.c3 { fill: #1a7f37; stroke: #1a7f37 } .c4 { fill: #cf222e; stroke: #cf222e }
.bar { stroke: none } .line { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .axis { stroke: #3d444d } .one { stroke: #9198a1 }
  .range { stroke: #e6edf3 }
  .c0 { fill: #4493f8; stroke: #4493f8 } .c1 { fill: #ab7df8; stroke: #ab7df8 } .c2 { fill: #d29922; stroke: #d29922 }
  .c3 { fill: #3fb950; stroke: #3fb950 } .c4 { fill: #f85149; stroke: #f85149 }
  .bar { stroke: none } .line { fill: none }
}
"""
# What is drawn as bars, with shorter words than the tables' titles.
BARS = {
    "open_added": "added to each open",
    "switch_added": "added to each context switch",
    "exec_added": "added to each exec",
    "open_cpu_file": "CPU, opens written to a file",
    "exec_cpu": "CPU for an exec",
    "pss": "memory",
    "startup_attached": "start until attached",
}


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _ours(figure: Mapping[str, Any]) -> Iterator[tuple[str, list[float]]]:
    """ebtop's tracers of a figure, with their ratios."""
    for tracer, ratios in figure.get("ratios", {}).items():
        if tracer.startswith("ebtop"):
            yield tracer, [ratio for ratio in ratios if ratio > 0]


def bars(figures: Sequence[Mapping[str, Any]]) -> tuple[list[str], float]:
    """Horizontal bars of ratios to the baseline, on a logarithmic scale that 1 divides; with their height."""
    rows = [
        (f"{BARS[figure['key']]}, {tracer}", ratios, tracer)
        for figure in figures
        if figure["key"] in BARS
        for tracer, ratios in _ours(figure)
        if ratios
    ]
    if not rows:
        return [], 0
    values = [ratio for _, ratios, _ in rows for ratio in ratios]
    low, high = min(0.1, *values) / 1.3, max(2.0, *values) * 1.15
    one = _scaled(1, low, high, _LABELS, WIDTH - _RIGHT)
    drawn = [_text(0, 18, "ebtop by libbpf-tools: less than 1 is better", 'class="title"')]
    top = 34
    for number, (label, ratios, tracer) in enumerate(rows):
        y = top + number * (_BAR + _GAP)
        ends = [_scaled(v, low, high, _LABELS, WIDTH - _RIGHT) for v in (min(ratios), max(ratios))]
        median = statistics.median(ratios)
        x = _scaled(median, low, high, _LABELS, WIDTH - _RIGHT)
        left, width = min(x, one), max(1, abs(x - one))
        colour = f"c{int('dashboard' not in tracer)}"
        drawn += [
            _text(_LABELS - 14, y + 13, label, 'text-anchor="end"'),
            f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" class="{colour} bar"/>',
            _line(ends[0], y + _BAR / 2, ends[1], y + _BAR / 2, "range"),
            _text(WIDTH - _RIGHT + 10, y + 13, f"{median:.2g} ×"),
        ]
    height = top + len(rows) * (_BAR + _GAP)
    drawn += [
        _line(one, top - 6, one, height, "one"),
        _text(one, height + 12, "1", 'text-anchor="middle" class="small"'),
    ]
    return drawn, height + 20


def _scaled(value: float, low: float, high: float, start: float, end: float) -> float:
    """Where a value is on a logarithmic axis from `low` at `start` to `high` at `end`."""
    return start + (end - start) * math.log(value / low) / math.log(high / low)


Axis = Callable[[Sequence[float]], tuple[list[float], Callable[[float, float, float], float]]]
"""Of the values that are drawn: what is marked, and where a value is between a start and an end."""


def logarithmic(values: Sequence[float]) -> tuple[list[float], Callable[[float, float, float], float]]:
    """An axis of powers of ten."""
    least, most = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values) * 1.01))
    marks = [10.0**exponent for exponent in range(least, most + 1)]
    return marks, lambda value, start, end: _scaled(value, marks[0], marks[-1], start, end)


def linear(values: Sequence[float]) -> tuple[list[float], Callable[[float, float, float], float]]:
    """An axis from 0 on."""
    step = 10.0 ** math.floor(math.log10(max(values)))
    step = step / 2 if max(values) < 3 * step else step
    marks = [step * number for number in range(math.ceil(max(values) / step) + 1)]
    return marks, lambda value, start, end: start + (end - start) * value / marks[-1]


def _medians(curve: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By tracer and point, where there is a positive one."""
    found: dict[str, dict[str, float]] = {}
    for point, figure in curve["points"].items():
        for tracer, samples in figure["samples"].items():
            known = [value for value in samples if value is not None]
            if known and statistics.median(known) > 0:
                found.setdefault(tracer, {})[point] = statistics.median(known)
    return found


def lines(curve: Mapping[str, Any], top: float, axis: Axis) -> tuple[list[str], float]:
    """A line for each tracer over the curve's points, evenly spaced; with the height used."""
    medians, points = _medians(curve), list(curve["points"])
    if not medians:
        return [], 0
    marks, place = axis([value for line in medians.values() for value in line.values()])
    base, right = top + 40 + _PLOT_HEIGHT, WIDTH - _PLOT_RIGHT
    drawn = [_text(0, top + 18, f"{curve['title']} ({curve['unit']})", 'class="title"')]
    for mark in marks:
        y = place(mark, base, top + 40)
        drawn += [
            _line(_PLOT_LEFT, y, right, y, "axis"),
            _text(_PLOT_LEFT - 8, y + 4, f"{mark:g}", 'text-anchor="end" class="small"'),
        ]
    across = {
        point: _PLOT_LEFT + 30 + (right - _PLOT_LEFT - 60) * i / max(1, len(points) - 1)
        for i, point in enumerate(points)
    }
    named = list(across.items())[:: math.ceil(len(across) / _NAMED)]
    drawn += [_text(x, base + 18, point, 'text-anchor="middle" class="small"') for point, x in named]
    drawn.append(_text((_PLOT_LEFT + right) / 2, base + 36, curve["over"], 'text-anchor="middle" class="small"'))
    for number, (tracer, line) in enumerate(medians.items()):
        spots = [(across[point], place(value, base, top + 40)) for point, value in line.items()]
        drawn += _polyline(tracer, spots, number % 5, (right, top + 52 + 20 * number))
    return drawn, base + 46 - top


def _polyline(tracer: str, spots: Sequence[tuple[float, float]], colour: int, legend: tuple[float, float]) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    x, y = legend
    return [
        f'<polyline points="{path}" class="c{colour} line"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="c{colour}"/>' for x, y in spots),
        f'<rect x="{x + 16:.1f}" y="{y - 10:.1f}" width="14" height="10" class="c{colour} bar"/>',
        _text(x + 36, y, tracer),
    ]


CURVES: Mapping[str, Axis] = {"open_cpu": logarithmic, "soak_own": linear}


def draw(data: Mapping[str, Any]) -> str:
    """The whole picture as SVG, from what bench.json holds; what was not measured is not drawn."""
    drawn, height = bars([figure for figure in data["figures"] if "samples" in figure])
    for figure in data["figures"]:
        if figure["key"] in CURVES:
            more, used = lines(figure, height + 10, CURVES[figure["key"]])
            drawn, height = drawn + more, height + 10 + used
    about = data["machine"]
    facts = (
        f"{about['cpu']}, {about['cpus']} CPUs, Linux {about['kernel']}, {about['distribution']}, {about['date'][:10]}"
    )
    drawn.append(_text(0, height + 16, facts, 'class="small"'))
    size = f'width="{WIDTH}" height="{height + 26:.0f}" viewBox="-10 0 {WIDTH + 20} {height + 26:.0f}"'
    body = "\n".join(drawn)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<style>{STYLE}</style>\n{body}\n</svg>\n'
