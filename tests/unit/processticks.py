"""Ticks of processes, written in a line each."""

from __future__ import annotations

from typing import Any

import numpy as np

from ebtop import registry
from ebtop.model.history import History
from ebtop.model.snapshot import ToolSnapshot
from ebtop.processrow import KEYFRAME, ROW
from ebtop.tick import Tick
from ebtop.tool import Batch, Kind

TOOL = next(tool for tool in registry.tools() if tool.kind is Kind.PROCESSES)
SECOND = 1_000_000_000
MS = 1_000_000


def process(pid: int, ppid: int = 1, **fields: Any) -> Any:
    """A row; its id is the pid times 1,000, `wait` a mapping of buckets to counts."""
    one = np.zeros(1, ROW)[0]
    one["id"], one["pid"], one["ppid"], one["count"], one["exit_code"] = pid * 1000, pid, ppid, 1, -1
    one["state"], one["comm"], one["age_ns"], one["threads"] = b"S", f"p{pid}".encode(), 100 * SECOND, 1
    for bucket, count in fields.pop("wait", {}).items():
        one["wait"][bucket] = count
    for name, value in fields.items():
        one[name] = value
    return one


def gone(pid: int, ppid: int, comm: bytes, count: int, **fields: Any) -> Any:
    """A row of `count` processes that began and ended within the interval."""
    fields = {"comm": comm, "count": count, "exits": count, "state": b"X", "age_ns": 5 * MS, "exit_code": 0} | fields
    return process(pid, ppid, **fields)


def batch(*rows: Any) -> Batch:
    """Rows of processes."""
    return np.array(list(rows), ROW) if rows else np.zeros(0, ROW)


def tick(number: int, *rows: Any, seconds: float = 1.0, **gauges: float) -> Tick:
    """Second `number`; the first is a keyframe."""
    said = gauges | ({KEYFRAME: 1.0} if number == 0 else {})
    start = 1000 * SECOND + number * SECOND
    return Tick(TOOL.name, start, start + int(seconds * SECOND), rows=batch(*rows), gauges=said)


def snapshot(*ticks: Tick) -> ToolSnapshot:
    """What History makes of them."""
    history = History([TOOL])
    for one in ticks:
        history.add(one)
    return history.tool(TOOL.name)
