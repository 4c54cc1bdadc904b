"""Who a process of a recording was, by the rows of a tool that tells of processes: /proc was not asked then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ebtop.model.format import user
from ebtop.processrow import KEYFRAME_EVERY
from ebtop.record.reader import Recording
from ebtop.tick import CHILDREN_TOLD, Ancestor, ProcessDetails
from ebtop.tool import Kind, Names, Tool, text

_SPAN_NS = 2 * KEYFRAME_EVERY * 1_000_000_000
"""So far back everyone is named at least once, with ticks a second apart."""
_NAMES = 50_000
_MOST_ANCESTORS = 64

Rows = dict[int, Any]
"""The newest row of each process (a record of ROW), by pid."""


def details(recording: Recording, tools: Sequence[Tool], pid: int, time: int) -> ProcessDetails | None:
    """What is known of a process at a time (Unix ns); None where no tool told of it. Raises RecordingError."""
    for tool in tools:
        if tool.kind is Kind.PROCESSES and tool.name in recording.tools:
            rows = _newest(recording, tool, time)
            if pid in rows:
                return _described(rows, pid, recording.names(tool.name, time + 1, _NAMES))
    return None


def _newest(recording: Recording, tool: Tool, time: int) -> Rows:
    rows: Rows = {}
    for tick in recording.ticks({tool.name}, max(time - _SPAN_NS, 0), time):
        if tick.rows is not None:
            rows.update(zip(tick.rows["pid"].tolist(), tick.rows, strict=True))
    return rows


def _described(rows: Rows, pid: int, names: Names) -> ProcessDetails:
    row = rows[pid]
    ended = row["state"] == b"X"
    children = [_named(rows[child], names) for child in rows if _is_child(rows[child], pid)]
    return ProcessDetails(
        pid,
        alive=not ended,
        comm=text(row["comm"]),
        user=user(int(row["uid"])),
        uid=int(row["uid"]),
        cgroup=str(names.get("cgroup", {}).get(int(row["cgroup"]), "")),
        container=str(names.get("container", {}).get(int(row["cgroup"]), "")),
        argv=_argv(row, names),
        ancestors=tuple(_ancestors(rows, row, names)),
        threads=int(row["threads"]),
        rss=int(row["rss"]),
        age_s=float(row["age_ns"]) / 1e9,
        state=text(row["state"]),
        children=tuple(children[:CHILDREN_TOLD]),
        start=int(row["start"]),
    )


def _is_child(row: Any, pid: int) -> bool:
    return bool(row["ppid"] == pid and row["state"] != b"X")


def _ancestors(rows: Rows, row: Any, names: Names) -> Iterator[Ancestor]:
    seen = {int(row["pid"])}
    while (parent := int(row["ppid"])) in rows and parent not in seen and len(seen) < _MOST_ANCESTORS:
        seen.add(parent)
        row = rows[parent]
        yield _named(row, names)


def _named(row: Any, names: Names) -> Ancestor:
    return Ancestor(int(row["pid"]), text(row["comm"]), _argv(row, names))


def _argv(row: Any, names: Names) -> tuple[str, ...]:
    known = names.get("argv", {}).get(int(row["id"]))
    return tuple(str(known).split("\0")) if known is not None else ()
