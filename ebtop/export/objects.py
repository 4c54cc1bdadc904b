"""What is not an event as the objects of the JSON contract: histograms, stacks, losses, the summary."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ebtop.export.exporter import Summary
from ebtop.export.timestamps import rfc3339
from ebtop.model import percentiles
from ebtop.model.top import Top
from ebtop.tick import Histogram, Stack, Tick
from ebtop.tool import Tool, Type

Object = dict[str, Any]

HISTOGRAM_KEYS = ("group", "pid", "cgroup", "label", "unit", "buckets", "total", "p50", "p90", "p99")
STACK_KEYS = ("frames", "modules", "kernel_frames", "count", "pid", "tid", "comm")


def histogram(tool: Tool, tick: Tick, one: Histogram) -> Object:
    """A histogram: `buckets` are [low, high, count], high exclusive, those that are not empty in ascending order.

    `pid` is set for the group "pid", `cgroup` (its path) for the group "cgroup"; only those of the group "probe" have
    a `probe`.
    """
    if tool.buckets is None:
        raise ValueError(f"{tool.name} declares no buckets")
    low = tool.buckets.low.tolist()
    counts = one.counts.tolist()
    said = percentiles.summary(tool.buckets, one.counts)
    part = {"probe": one.label} if one.group == "probe" else {}
    return {
        "tool": tool.name,
        "type": "histogram",
        "ts": rfc3339(tick.end),
        "group": one.group,
        "pid": one.key if one.group == "pid" else None,
        "cgroup": (one.label or str(one.key)) if one.group == "cgroup" else None,
        "label": one.label,
        "unit": tool.buckets.unit,
        "buckets": [[low[i], low[i + 1], count] for i, count in enumerate(counts) if count],
        "total": said.total,
        "p50": _whole(said.p50),
        "p90": _whole(said.p90),
        "p99": _whole(said.p99),
        **part,
    }


def _whole(value: float) -> int | None:
    return None if math.isnan(value) else int(value)


def stack(tool: Tool, tick: Tick, one: Stack) -> Object:
    """A stack: names and modules root first; `kernel_frames` says how many of the frames are the kernel's."""
    return {
        "tool": tool.name,
        "type": "stack",
        "ts": rfc3339(tick.end),
        "frames": [frame.name for frame in one.frames],
        "modules": [frame.module for frame in one.frames],
        "kernel_frames": sum(frame.kernel for frame in one.frames),
        "count": one.count,
        "pid": one.pid,
        "tid": one.tid,
        "comm": one.comm,
    }


def top_keys(tool: Tool, top: Top) -> tuple[str, ...]:
    """The keys of a top's rows: the value's, under its column's key, and what was counted of it."""
    failed = ("failed",) if any(column.type is Type.RET for column in tool.columns) else ()
    timed = ("total_ns", "mean_ns", "max_ns") if any(c.type is Type.DURATION for c in tool.columns) else ()
    counted = ("count", "per_second", *failed, *timed)
    key = top.column.key
    return ("value" if key in counted else key, *counted)


def top_rows(tool: Tool, top: Top, time: int) -> Iterator[Object]:
    """A top's rows in its order, as of `time` (Unix ns); durations are None where none is known."""
    keys, counted = top_keys(tool, top), top.counted
    for row in range(len(top)):
        place = top.place(row)
        count, timed = int(counted.count[place]), counted.timed[place] > 0
        found: Object = {
            keys[0]: top.value(row),
            "count": count,
            "per_second": round(count / top.span_s, 3),
            "failed": int(counted.failed[place]),
            "total_ns": int(counted.total[place]) if timed else None,
            "mean_ns": round(float(counted.mean[place])) if timed else None,
            "max_ns": int(counted.max[place]) if timed else None,
        }
        yield {"tool": tool.name, "type": "row", "ts": rfc3339(time)} | {key: found[key] for key in keys}


def losses(tool: Tool, tick: Tick) -> Iterator[Object]:
    """What the tick lost, by reason."""
    for reason, count in tick.lost.items():
        if count:
            yield {"tool": tool.name, "type": "lost", "ts": rfc3339(tick.end), "reason": reason, "lost": count}


def summary(one: Summary) -> Object:
    """The last object; `exit_code` only with a command, `truncated` only when something was cut."""
    written: Object = {
        "tool": one.tool,
        "type": "summary",
        "ts": rfc3339(one.time),
        "events": one.events,
        "lost": one.lost,
        "duration_s": one.duration_s,
        "probes": list(one.probes),
    }
    if one.exit_code is not None:
        written["exit_code"] = one.exit_code
    if one.truncated:
        written["truncated"] = one.truncated
    return written
