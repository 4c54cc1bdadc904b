"""The rows of the table of processes, cgroups or attach points beside a histogram."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from ebtop.model.format import count
from ebtop.model.groups import By, Group
from ebtop.sanitise import sanitise
from ebtop.tool import Buckets
from ebtop.ui.cells import Cell, Heading
from ebtop.ui.heatmap import amount

SORTS = ("p99", "count", "p50", "max", "name")
"""What the groups can be sorted by, in the order of the sort key."""

_TITLES = {By.ALL: "", By.PID: "COMM", By.CGROUP: "CGROUP", By.PART: "PROBE"}


def ordered(groups: Sequence[Group], sort: str, reverse: bool) -> tuple[Group, ...]:
    """Groups by one of SORTS: the largest first, names from a to z; `reverse` turns it. Equal ones go by key."""
    if sort == "name":
        return tuple(sorted(groups, key=lambda g: (g.label, g.key), reverse=reverse))
    of = {"p99": lambda g: g.p99, "count": lambda g: g.count, "p50": lambda g: g.p50, "max": lambda g: g.below}[sort]
    by_key = sorted(groups, key=lambda g: g.key)
    return tuple(sorted(by_key, key=of, reverse=not reverse))


class GroupRows:
    """A Model of a Table."""

    live_at_top = True

    def __init__(self, groups: Sequence[Group], by: By, buckets: Buckets, sort: str, reverse: bool) -> None:
        self._groups = groups
        self._buckets = buckets
        self._row = {group.key: row for row, group in enumerate(groups)}
        mark = "▴" if reverse ^ (sort == "name") else "▾"
        titles = [("p99", "P99", 8), ("max", "MAX <", 8), ("p50", "P50", 8), ("count", "COUNT", 8)]
        numbers = [
            Heading(key, title, width, rank, right=True, mark=mark if key == sort else "")
            for rank, (key, title, width) in enumerate(titles, 2)
        ]
        pid = [Heading("pid", "PID", 8, 1, right=True)] if by is By.PID else []
        name = Heading("name", _TITLES[by], 20, 0, mark=mark if sort == "name" else "", middle=by is By.PART)
        self.headings: Sequence[Heading] = [*numbers, *pid, name]

    def __len__(self) -> int:
        return len(self._groups)

    def group(self, row: int) -> Group:
        """The group of a row."""
        return self._groups[row]

    def key(self, row: int) -> Hashable:
        """The pid, the cgroup's id or the number of an attach point."""
        return self._groups[row].key

    def find(self, key: Hashable) -> int | None:
        """The row of a group."""
        return self._row.get(key) if isinstance(key, int) else None

    def cells(self, row: int, keys: Sequence[str]) -> Sequence[Cell]:
        """The cells of those columns."""
        return [self._cell(self._groups[row], key) for key in keys]

    def _cell(self, group: Group, key: str) -> Cell:
        match key:
            case "p99":
                return Cell(amount(self._buckets, group.p99))
            case "max":
                return Cell(amount(self._buckets, group.below))
            case "p50":
                return Cell(amount(self._buckets, group.p50))
            case "count":
                return Cell(count(group.count))
            case "pid":
                return Cell(str(group.key))
            case _:
                return Cell(sanitise(group.label) or "-")
