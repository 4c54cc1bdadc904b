"""Who started whom, as far as events tell: for processes that have gone, and where nobody can be asked any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ebtop.model.columns import numbers
from ebtop.model.format import cell
from ebtop.model.narrow import PARENT, PID
from ebtop.model.snapshot import ToolSnapshot
from ebtop.tick import Ancestor, Tick
from ebtop.tool import Batch, Column, Names, Tool, Value, values

MOST_CHILDREN = 200
"""So many children that were seen are told, the newest."""

_MOST_ANCESTORS = 64
_NEWEST = 10  # ticks in which a name is looked for
_LOOKED_THROUGH = 100
"""Ticks, from the first and from the last on, that are looked through for a process's own events: those of its children
may be many more."""


class Seen(NamedTuple):
    """A process as an event told of it; `time` is Unix ns."""

    pid: int
    parent: int
    comm: str
    argv: tuple[str, ...]
    time: int


@dataclass(frozen=True, slots=True)
class Child:
    """A process that was started by another. `ended` says what is known of its end, safe to draw; "" if nothing."""

    process: Ancestor
    ended: str
    time: int


@dataclass(frozen=True, slots=True)
class Known:
    """What the events of a process say of itself: by column, and of its end (safe to draw, "" if nothing); the last
    two are when it was first and last seen (Unix ns)."""

    values: dict[str, Value] = field(default_factory=dict)
    ended: str = ""
    first: int = 0
    last: int = 0


def tells_parents(tool: Tool) -> bool:
    """Whether its events name the process and its parent."""
    return tool.column(PID) is not None and tool.column(PARENT) is not None


def children(snapshots: Iterable[ToolSnapshot], pid: int) -> tuple[Child, ...]:
    """The children that events of a process (see Narrow) tell of, oldest first."""
    found: dict[int, Child] = {}
    for snapshot in snapshots:
        if tells_parents(snapshot.tool):
            for child in _children(snapshot, pid):
                known = found.get(child.process.pid)
                if known is None or known.time < child.time:
                    found[child.process.pid] = child
    newest = sorted(found.values(), key=lambda child: child.time)
    return tuple(newest[-MOST_CHILDREN:])


def _children(snapshot: ToolSnapshot, pid: int) -> Iterator[Child]:
    """From the newest on; of a process that has several events the newest counts."""
    late = [c for c in snapshot.tool.columns if c.late and not c.hidden]
    done: set[int] = set()
    for tick in reversed(snapshot.ticks):
        for batch in (*tick.events, *(() if tick.rows is None else (tick.rows,))):
            rest = batch[numbers(_column(snapshot.tool, PARENT), batch, snapshot.names) == pid][-MOST_CHILDREN:]
            ends = list(_ends(late, rest, snapshot.names))
            for seen, end in reversed(list(zip(_seen(snapshot.tool, rest, snapshot.names, tick), ends, strict=True))):
                if seen.pid not in done:
                    done.add(seen.pid)
                    yield Child(Ancestor(seen.pid, seen.comm, seen.argv), end, seen.time)
        if len(done) >= MOST_CHILDREN:
            return


def _ends(late: Sequence[Column], batch: Batch, names: Names) -> Iterator[str]:
    """What was told of the end of each: `took 5.0 ms exit 0`."""
    columns = [values(column, batch, names) for column in late]
    for row in range(len(batch)):
        told = ((c.title.lower(), cell(c, v[row])) for c, v in zip(late, columns, strict=True) if v[row] is not None)
        yield "  ".join(f"{title} {text}" for title, text in told)


def _column(tool: Tool, key: str) -> Column:
    column = tool.column(key)
    assert column is not None  # noqa: S101  only of tools that have it
    return column


def _seen(tool: Tool, batch: Batch, names: Names, tick: Tick) -> Iterator[Seen]:
    """The processes of a batch's rows."""
    told = {key: _values(tool, key, batch, names) for key in (PID, PARENT, "comm", "argv", "ts")}
    for pid, parent, comm, argv, time in zip(*told.values(), strict=True):
        if isinstance(pid, int) and isinstance(parent, int):
            words = tuple(map(str, argv)) if isinstance(argv, list) else ()
            yield Seen(pid, parent, str(comm or ""), words, time if isinstance(time, int) and time else tick.end)


def _values(tool: Tool, key: str, batch: Batch, names: Names) -> Sequence[Value]:
    column = tool.column(key)
    return [None] * len(batch) if column is None else values(column, batch, names)


class Lineage:
    """Ancestors as events tell of them. For one thread; what is held of a tick is worked out once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int, int], dict[int, Seen]] = {}

    def above(self, snapshots: Sequence[ToolSnapshot], pid: int, parent: int | None) -> tuple[Ancestor, ...]:
        """The parent first, as far up as is known."""
        ticks = self._learn(snapshots)
        found: list[Ancestor] = []
        upward = parent or self._parent(ticks, pid)
        while upward and upward != pid and all(a.pid != upward for a in found) and len(found) < _MOST_ANCESTORS:
            seen = self._latest(ticks, upward)
            comm = seen.comm if seen else name_of(snapshots, upward)
            found.append(Ancestor(upward, comm, seen.argv if seen else ()))
            upward = seen.parent if seen else 0
        return tuple(found)

    def _learn(self, snapshots: Iterable[ToolSnapshot]) -> list[dict[int, Seen]]:
        """By tick, the newest first."""
        known, self._known = self._known, {}
        for snapshot in snapshots:
            if tells_parents(snapshot.tool):
                for tick in snapshot.ticks:
                    which = snapshot.tool.name, tick.start, tick.end, tick.event_count
                    found = known.get(which)
                    self._known[which] = self._told(snapshot, tick) if found is None else found
        return [self._known[which] for which in sorted(self._known, key=lambda w: -w[2])]

    def _told(self, snapshot: ToolSnapshot, tick: Tick) -> dict[int, Seen]:
        return {seen.pid: seen for batch in tick.events for seen in _seen(snapshot.tool, batch, snapshot.names, tick)}

    def _latest(self, ticks: Sequence[dict[int, Seen]], pid: int) -> Seen | None:
        return next((told[pid] for told in ticks if pid in told), None)

    def _parent(self, ticks: Sequence[dict[int, Seen]], pid: int) -> int:
        seen = self._latest(ticks, pid)
        return seen.parent if seen else 0


def name_of(snapshots: Iterable[ToolSnapshot], pid: int) -> str:
    """The name that the newest events or histograms have for a process, "" if there is none."""
    for snapshot in snapshots:
        for tick in reversed(snapshot.ticks[-_NEWEST:]):
            labels = (h.label for h in tick.histograms if h.group == PID and h.key == pid)
            if name := next(labels, "") or _event_name(snapshot, tick, pid):
                return name
    return ""


def _event_name(snapshot: ToolSnapshot, tick: Tick, pid: int) -> str:
    process, comm = snapshot.tool.column(PID), snapshot.tool.column("comm")
    if process is None or comm is None:
        return ""
    rows = [batch[numbers(process, batch, snapshot.names) == pid][-1:] for batch in tick.events]
    return next((str(values(comm, row, snapshot.names)[0]) for row in rows if len(row)), "")


_OF_ITSELF = ("comm", "argv", "uid", PARENT, "cgroup", "container")


def known(snapshots: Iterable[ToolSnapshot], pid: int) -> Known:
    """The newest word of each of its own events on who it is. `snapshots` hold that process's events."""
    told: dict[str, tuple[int, Value]] = {}
    first, last, ended = 0, 0, ""
    for snapshot in snapshots:
        late = [c for c in snapshot.tool.columns if c.late and not c.hidden]
        for tick, row in _own(snapshot, pid):
            time = _time(row, tick)
            ended = next(_ends(late, row, snapshot.names)) or ended
            first, last = min(first or time, time), max(last, time)
            for key in _OF_ITSELF:
                (value,) = _values(snapshot.tool, key, row, snapshot.names)
                if value is not None and (key not in told or told[key][0] <= time):
                    told[key] = time, value
    return Known({key: value for key, (_, value) in told.items()}, ended, first, last)


def _time(row: Batch, tick: Tick) -> int:
    return int(row["ts"][0]) if "ts" in (row.dtype.names or ()) else tick.end


def _own(snapshot: ToolSnapshot, pid: int) -> Iterator[tuple[Tick, Batch]]:
    """The first and the last row of its own; failed attempts to become another program do not say what it is."""
    column = snapshot.tool.column(PID)
    if column is None:
        return
    told = [tick for tick in snapshot.ticks if tick.events]
    for ticks, place in ((told[:_LOOKED_THROUGH], 0), (told[: -_LOOKED_THROUGH - 1 : -1], -1)):
        for tick in ticks:
            batches = [_successes(snapshot, batch, column, pid) for batch in tick.events]
            rows = [batch[[place]] for batch in batches if len(batch)]
            if rows:
                yield tick, rows[place]
                break


def _successes(snapshot: ToolSnapshot, batch: Batch, column: Column, pid: int) -> Batch:
    mine = numbers(column, batch, snapshot.names) == pid
    if snapshot.tool.column("argv") is not None and (ret := snapshot.tool.column("ret")) is not None:
        mine &= numbers(ret, batch, snapshot.names) >= 0
    found: Batch = batch[mine]
    return found
