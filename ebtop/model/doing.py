"""What a process does, a line for each tool: how much, how it went over the last seconds, and the latest of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ebtop.model.activity import amount
from ebtop.model.format import cell, duration
from ebtop.model.groups import whole
from ebtop.model.percentiles import merged, summary
from ebtop.model.snapshot import ToolSnapshot
from ebtop.model.window import SECOND_NS, Window, newest, spanned, within
from ebtop.sanitise import sanitise
from ebtop.tick import Phase, Tick
from ebtop.tool import Kind, Tool, Type, values

RECENT = 12
"""So many of the newest ticks are told one by one."""

_RATE_NS = 3 * SECOND_NS
_WHO_AND_WHEN = frozenset({"ts", "pid", "tid", "ppid", "uid", "comm", "cgroup", "container"})
_OWN_SIDE = frozenset({"saddr", "sport", "family"})
_TELLING = frozenset({Type.PATH, Type.ARGV, Type.TEXT, Type.INT})


@dataclass(frozen=True, slots=True)
class Doing:
    """One tool's line. `total` counts what is held of the process, `rate` is per second of late, `recent` has the
    newest ticks' amounts, oldest first; `latest` is safe to draw, `failed` says that it tells of a failure."""

    tool: Tool
    total: int
    rate: float
    recent: tuple[int, ...]
    latest: str = ""
    failed: bool = False


def doing(snapshot: ToolSnapshot) -> Doing:
    """The line of a snapshot that holds one process's data alone."""
    late = newest(snapshot.ticks, _RATE_NS)
    span = spanned(late)
    rate = sum(map(amount, late)) / span if span > 0 else 0.0
    recent = tuple(moment.amount for moment in snapshot.activity[-RECENT:])
    total = sum(moment.amount for moment in snapshot.activity)
    if snapshot.state.phase is Phase.FAILED:
        latest, failed = f"× cannot run here: {sanitise(snapshot.state.reason)}", True
    else:
        latest, failed = _LATEST[snapshot.tool.kind](snapshot)
    return Doing(snapshot.tool, total, rate, recent, latest, failed)


def _event(snapshot: ToolSnapshot) -> tuple[str, bool]:
    """The newest event in short: the error, if it is one, and what it was about."""
    tick = next((tick for tick in reversed(snapshot.ticks) if tick.event_count), None)
    if tick is None:
        return "", False
    batch = max((batch for batch in tick.events if len(batch)), key=lambda b: int(b["ts"][-1]))[-1:]
    words: list[str] = []
    failed = False
    for column in snapshot.tool.columns:
        if column.hidden or column.late or column.key in _WHO_AND_WHEN | _OWN_SIDE:
            continue
        (value,) = values(column, batch, snapshot.names)
        if column.type is Type.RET and isinstance(value, int) and value < 0:
            words.insert(0, cell(column, value))
            failed = True
        elif column.type in _TELLING and value not in (None, "", []):
            words.append(cell(column, value))
    return " ".join(words), failed


def _latencies(snapshot: ToolSnapshot) -> tuple[str, bool]:
    """The last minute's percentiles."""
    buckets = snapshot.tool.buckets
    if buckets is None:
        return "", False
    found = summary(buckets, merged(buckets, [whole(t, buckets) for t in within(Window.MINUTE, snapshot.ticks)]))
    if not found.total:
        return "", False
    said = duration if buckets.unit == "ns" else "{:.0f}".format
    parts = (("p50", found.p50), ("p90", found.p90), ("p99", found.p99), ("max <", found.below))
    return "  ".join(f"{name} {said(value)}" for name, value in parts), False


def _hottest(snapshot: ToolSnapshot) -> tuple[str, bool]:
    """The functions that ran most in the last minute, by what was theirs alone."""
    samples: Counter[str] = Counter()
    for tick in within(Window.MINUTE, snapshot.ticks):
        samples.update(_tips(tick))
    total = sum(samples.values())
    parts = [f"{sanitise(name)} {100 * number / total:.0f} %" for name, number in samples.most_common(3)]
    return "  ".join(parts), False


def _tips(tick: Tick) -> Counter[str]:
    found: Counter[str] = Counter()
    for stack in tick.stacks:
        found[stack.frames[-1].name if stack.frames else stack.comm] += stack.count
    return found


def _nothing(_snapshot: ToolSnapshot) -> tuple[str, bool]:
    return "", False


_LATEST: Mapping[Kind, Callable[[ToolSnapshot], tuple[str, bool]]] = {
    Kind.EVENTS: _event,
    Kind.HISTOGRAM: _latencies,
    Kind.STACKS: _hottest,
    Kind.PROCESSES: _nothing,
    Kind.COUNTS: _nothing,
}
