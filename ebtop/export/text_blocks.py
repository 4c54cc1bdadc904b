"""Histograms, stacks and processes as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ebtop.export.columns_text import Layout
from ebtop.export.stackcounts import KERNEL_COLUMN
from ebtop.model import percentiles
from ebtop.model.census import busy, span_ns, summed
from ebtop.model.format import clock, count, duration, percent, rated
from ebtop.sanitise import sanitise
from ebtop.tick import Frame, Histogram, Stack, Tick
from ebtop.tool import Batch, Buckets, Column, Names, Tool, Type, values

_BAR = 40
_INDENT = " " * 12
_MOST_BARS = 32

Bar = tuple[int, int, int]
"""Low, high (exclusive), count."""


def bars(buckets: Buckets, counts: percentiles.Counts) -> list[Bar]:
    """From the first bucket that is not empty to the last; where those are too many, one for each power of two."""
    filled = np.flatnonzero(counts)
    if not len(filled):
        return []
    if filled[-1] - filled[0] >= _MOST_BARS:
        buckets, counts = percentiles.fold(buckets, counts, percentiles.starts_within(buckets, 1))
        filled = np.flatnonzero(counts)
    first, last = int(filled[0]), int(filled[-1])
    low = buckets.low.tolist()[first : last + 2]
    return list(zip(low, low[1:], counts.tolist()[first : last + 1], strict=False))


def _quantity(value: float, unit: str) -> str:
    return duration(value) if unit == "ns" else f"{count(value)} {unit}"


def _whose(one: Histogram) -> str:
    label = sanitise(one.label)
    return {"all": "whole system", "pid": f"{label} {one.key}"}.get(one.group, label or f"{one.group} {one.key}")


def histogram_lines(tool: Tool, tick: Tick, one: Histogram) -> Iterator[str]:
    """An empty line, one of percentiles, and a bar for each bucket."""
    if tool.buckets is None:
        raise ValueError(f"{tool.name} declares no buckets")
    unit, said = tool.buckets.unit, percentiles.summary(tool.buckets, one.counts)
    marks = {"p50 ": said.p50, "p90 ": said.p90, "p99 ": said.p99, "max < ": said.below}
    head = [clock(tick.end), tool.name, _whose(one), f"n {said.total:,}"]
    yield ""
    yield "  ".join(head + [mark + _quantity(value, unit) for mark, value in marks.items() if said.total])
    shown = bars(tool.buckets, one.counts)
    top = max((n for _, _, n in shown), default=0)
    for start, end, n in shown:
        span = f"{_quantity(start, unit):>9} -> {_quantity(end, unit):<9}"
        yield f"{span} {n:>12,} |{'*' * round(_BAR * n / top):<{_BAR}}|"


def stack_lines(tool: Tool, tick: Tick) -> Iterator[str]:
    """An empty line, one of totals, and each stack as an indented list of its functions, the innermost first."""
    total = sum(one.count for one in tick.stacks)
    yield ""
    yield (
        f"{clock(tick.end)}  {tool.name}  {total:,} samples, {len(tick.stacks):,} stacks: "
        "the hottest last, the innermost function first"
    )
    for one in sorted(tick.stacks, key=lambda stack: stack.count):
        yield from _stack(one, total)


def _stack(one: Stack, total: int) -> Iterator[str]:
    thread = f" thread {one.tid}" if one.tid != one.pid else ""
    yield f"{one.count:>8,} {100 * one.count / max(total, 1):5.1f} %  {sanitise(one.comm)} {one.pid}{thread}"
    for frame in reversed(one.frames):
        yield _INDENT + _frame(frame)


def _frame(frame: Frame) -> str:
    module = "kernel" if frame.kernel else frame.module
    return sanitise(f"{frame.name}  [{module}]" if module else frame.name)


def event_stacks(tool: Tool, batch: Batch, names: Names) -> list[str]:
    """For each event the functions that led to it, the innermost first, a line each; "" for one without."""
    stacks = [(column, values(column, batch, names)) for column in tool.columns if column.type is Type.STACK]
    lines = [""] * len(batch)
    for column, found in reversed(stacks):  # the kernel's are the last, and the innermost
        of_kernel = column.key == KERNEL_COLUMN
        for row, functions in enumerate(found):
            frames = [Frame(name, "", of_kernel) for name in functions] if isinstance(functions, list) else []
            lines[row] += "".join(f"\n{_INDENT}{_frame(frame)}" for frame in reversed(frames))
    return lines


def process_lines(tool: Tool, tick: Tick, columns: Sequence[Column], names: Names) -> Iterator[str]:
    """An empty line, one of totals, and who did something in the interval, the most CPU first; rates are a second."""
    if tick.rows is None:
        return
    seconds = span_ns(tick) / 1e9
    rows = tick.rows[busy(tick.rows)]
    rows = rows[np.argsort(rows["cpu_ns"], kind="stable")[::-1]]
    total = summed(rows)[0]
    layout = Layout(columns)
    yield ""
    yield (
        f"{clock(tick.end)}  {tool.name}  {len(rows):,} did something: "
        f"CPU {percent(int(total['cpu_ns']) / 1e9 / seconds)}, {count(int(total['execs']))} execs, "
        f"{count(int(total['opens']))} opens, {count(int(total['connects']))} connects in {seconds:.1f} s"
    )
    if len(rows):
        yield layout.line([column.title for column in columns])
    cells = ([rated(column, value, seconds) for value in values(column, rows, names)] for column in columns)
    yield from map(layout.line, zip(*cells, strict=True))
