"""What is counted on the screen: how often each was, in all and a second, the most first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.widget import Widget

from ebtop.countrow import ROW
from ebtop.model.format import brief, count, counted
from ebtop.model.snapshot import ToolSnapshot
from ebtop.sanitise import sanitise
from ebtop.tool import Tool, values
from ebtop.ui.cells import Cell, Heading
from ebtop.ui.ranked import RankedTable
from ebtop.ui.view import ToolView


@dataclass(frozen=True, slots=True)
class Counted:
    """One thing that is counted: its name as the tool's columns have it and in fewer words, how often it was in all
    ticks held, and a second in the last."""

    key: int
    name: str
    brief: str
    total: int
    rate: float


def counts(snapshot: ToolSnapshot) -> tuple[Counted, ...]:
    """The most first."""
    import numpy as np

    totals: Counter[int] = Counter()
    for tick in snapshot.ticks:
        if tick.rows is not None and tick.rows.dtype == ROW:
            totals.update(dict(zip(tick.rows["probe"].tolist(), tick.rows["count"].tolist(), strict=True)))
    last = snapshot.ticks[-1] if snapshot.ticks else None
    now = dict(last.rows[["probe", "count"]].tolist()) if last is not None and last.rows is not None else {}
    seconds = max((last.end - last.start) / 1e9, 1e-9) if last is not None else 1.0
    rows = np.array([(key, 0, total) for key, total in totals.most_common()], ROW)
    column = snapshot.tool.columns[0]
    names = values(column, rows, snapshot.names)
    return tuple(
        Counted(key, sanitise(str(name)), brief(column, name), total, now.get(key, 0) / seconds)
        for (key, total), name in zip(totals.most_common(), names, strict=True)
    )


class CountRows:
    """A Model of a Table."""

    live_at_top = True

    def __init__(self, rows: Sequence[Counted], title: str) -> None:
        self.rows = rows
        self._row = {one.key: row for row, one in enumerate(rows)}
        self.headings: Sequence[Heading] = (
            Heading("total", "COUNT", 12, 1, right=True, mark="▾"),
            Heading("rate", "/S", 9, 2, right=True),
            Heading("name", title, 30, 0, middle=True),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, row: int) -> Hashable:
        """Its number."""
        return self.rows[row].key

    def find(self, key: Hashable) -> int | None:
        """The row of a number."""
        return self._row.get(key) if isinstance(key, int) else None

    def cells(self, row: int, keys: Sequence[str]) -> Sequence[Cell]:
        """The cells of those columns."""
        one = self.rows[row]
        cells = {"total": Cell(count(one.total)), "rate": Cell(counted(one.rate)), "name": Cell(one.brief)}
        return [cells[key] for key in keys]


class CountsView(ToolView, can_focus=False):
    """Shows a tool of Kind.COUNTS."""

    help_text = "How often each was hit in all that is held, and a second in the last interval; the most first."

    def __init__(self, tool: Tool) -> None:
        super().__init__(tool)
        self._table = RankedTable(id=f"counts-{tool.name}")
        self._shown: CountRows | None = None

    def compose(self) -> ComposeResult:
        """The table."""
        yield self._table

    def keyboard_target(self) -> Widget:
        """The table."""
        return self._table

    def prepare(self, snapshot: ToolSnapshot, wanted: object | None) -> object | None:
        """The rows."""
        del wanted
        return CountRows(counts(snapshot), self.tool.columns[0].title)

    def show(self, snapshot: ToolSnapshot, result: object | None) -> None:
        """Draw them."""
        del snapshot
        if isinstance(result, CountRows):
            self._shown = result
            self._table.set_model(result)

    def selected_fields(self) -> Sequence[tuple[str, str]]:
        """The row under the cursor."""
        row = self._table.cursor
        if self._shown is None or row is None or row >= len(self._shown):
            return ()
        one = self._shown.rows[row]
        return (self.tool.columns[0].key, one.name), ("count", f"{one.total:,}"), ("per second", counted(one.rate))
