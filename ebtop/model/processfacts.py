"""All that is held of one process, whatever tool told it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ebtop.model.activity import Moment
from ebtop.model.doing import Doing, doing
from ebtop.model.format import rated
from ebtop.model.kin import Child, Known, Lineage, children, known
from ebtop.model.narrow import PARENT, PID, Narrow
from ebtop.model.snapshot import Snapshot, ToolSnapshot
from ebtop.model.window import SECOND_NS, spanned
from ebtop.tick import Ancestor
from ebtop.tool import Kind, values

_NAMED = frozenset({PID, PARENT, "comm", "argv", "uid", "cgroup", "container", "ts"})


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What the tools hold of a process. `figures` are titles and texts of the newest row of a view of processes;
    `ancestors` those that events tell of, for where /proc is not asked."""

    doings: tuple[Doing, ...] = ()
    children: tuple[Child, ...] = ()
    known: Known = field(default_factory=Known)
    ancestors: tuple[Ancestor, ...] = ()
    figures: tuple[tuple[str, str], ...] = ()
    activity: tuple[Moment, ...] = ()


class ProcessReader:
    """Collects the facts of a process from snapshots. For one thread. `narrows` has one for each tool."""

    def __init__(self, narrows: Sequence[Narrow], pid: int) -> None:
        self._narrows = narrows
        self._pid = pid
        self._lineage = Lineage()

    def read(self, snapshot: Snapshot) -> ProcessFacts:
        """The facts as of a snapshot."""
        own = [narrow(snapshot.tools[narrow.tool.name]) for narrow in self._narrows]
        told = known(own, self._pid)
        details = snapshot.processes.get(self._pid)
        above: tuple[Ancestor, ...] = ()
        if details is None or not details.ancestors:
            parent = told.values.get(PARENT)
            above = self._lineage.above(
                list(snapshot.tools.values()), self._pid, parent if isinstance(parent, int) else None
            )
        return ProcessFacts(
            tuple(doing(part) for part in own if part.tool.kind is not Kind.PROCESSES),
            children(own, self._pid),
            told,
            above,
            tuple(figure for part in own for figure in _figures(part, self._pid)),
            _activity(own),
        )


def _figures(snapshot: ToolSnapshot, pid: int) -> Sequence[tuple[str, str]]:
    """The newest row of a process in a view of processes; its names are told elsewhere."""
    if snapshot.tool.kind is not Kind.PROCESSES or not snapshot.ticks or snapshot.ticks[-1].rows is None:
        return ()
    rows = snapshot.ticks[-1].rows
    rows = rows[rows[PID] == pid][-1:] if PID in (rows.dtype.names or ()) else rows[:0]
    columns = [c for c in snapshot.tool.columns if c.key not in _NAMED and not c.hidden] if len(rows) else []
    seconds = max(spanned(snapshot.ticks[-1:]), 1e-6)
    return [(c.title.lower(), rated(c, values(c, rows, snapshot.names)[0], seconds)) for c in columns]


def _activity(snapshots: Sequence[ToolSnapshot]) -> tuple[Moment, ...]:
    """That of all tools together, by second."""
    amounts: Counter[int] = Counter()
    ends: dict[int, int] = {}
    for snapshot in snapshots:
        for moment in snapshot.activity:
            second = round(moment.end / SECOND_NS)
            amounts[second] += moment.amount
            ends[second] = max(ends.get(second, 0), moment.end)
    return tuple(Moment(ends[second], amounts[second]) for second in sorted(ends))
