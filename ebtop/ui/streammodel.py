"""A stream's rows, and its top, as a table shows them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace

from ebtop.model.format import NOTHING, RIGHT_ALIGNED, brief, count, duration
from ebtop.model.query import Query
from ebtop.model.rows import RowId, Rows
from ebtop.model.top import Top
from ebtop.tool import Column, Tool, Type, Value, shown, values
from ebtop.ui.cells import Cell, Heading

DOWN, UP = "↓", "↑"

_QUIET_ZERO = frozenset({Type.COUNT, Type.DURATION, Type.BYTES, Type.INT, Type.RET})


def mark(descending: bool) -> str:
    """How a sorted column is marked: the arrow points to where values grow smaller (down) or larger (up)."""
    return DOWN if descending else UP


def tone(column: Column, value: Value) -> str:
    """Trouble is warm, what says nothing is dim."""
    if value is None:
        return "dim"
    if column.type is Type.RET and isinstance(value, int) and value < 0:
        return "warn"
    if value == 0 and column.type in _QUIET_ZERO:
        return "dim"
    return "warn" if column.type is Type.BOOL and value else ""


class StreamModel:
    """Events, one a row. Columns that are `absent` have nothing to say of any of them."""

    def __init__(self, tool: Tool, rows: Rows, query: Query, absent: Collection[str] = ()) -> None:
        self.rows = rows
        self.live_at_top = bool(query.sort) or query.descending
        self.columns = {c.key: c for c in tool.columns}
        self.headings = [
            Heading(
                c.key,
                c.title,
                c.width,
                c.rank,
                c.type in RIGHT_ALIGNED,
                mark(query.descending) if c.key == query.sort else "",
                middle=c.brief is not None,
            )
            for c in tool.columns
            if not c.hidden and c.key not in absent
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, row: int) -> RowId:
        """The event's identity."""
        return self.rows.id(row)

    def find(self, key: Hashable) -> int | None:
        """Where that event is listed now."""
        return self.rows.find(key) if isinstance(key, RowId) else None

    def cells(self, row: int, keys: Sequence[str]) -> list[Cell]:
        """The event's values as people read them."""
        batch = self.rows.event(self.rows.id(row))
        found = []
        for key in keys:
            column = self.columns[key]
            value = None if batch is None else shown(column, batch, self.rows.names)[0]
            found.append(Cell(brief(column, value), tone(column, value)))
        return found

    @property
    def lasting(self) -> bool:
        """An event never changes, unless its tool learns more of it later."""
        return not any(column.late for column in self.columns.values())

    def value(self, row: int, key: str) -> Value:
        """One value of the event; None when it is not known or not held any more."""
        batch = self.rows.event(self.rows.id(row))
        return None if batch is None else values(self.columns[key], batch, self.rows.names)[0]


class TopModel:
    """Distinct values, one a row, with what was counted of each."""

    live_at_top = True

    def __init__(self, tool: Tool, top: Top, query: Query) -> None:
        self.top = top
        ret = any(c.type is Type.RET for c in tool.columns)
        timed = any(c.type is Type.DURATION for c in tool.columns)
        arrow = mark(query.top_descending)
        shown = [
            Heading("count", "COUNT", 8, 1, right=True),
            Heading("rate", "RATE", 9, 3, right=True),
            *([Heading("failed", "FAILED", 8, 2, right=True)] if ret else []),
            *([Heading("total", "TOTAL", 8, 4, right=True)] if timed else []),
            *([Heading("mean", "MEAN", 8, 3, right=True)] if timed else []),
            *([Heading("max", "MAX", 8, 3, right=True)] if timed else []),
            Heading("value", top.column.title, max(top.column.width, 16), 1, middle=top.column.brief is not None),
        ]
        self.headings = [replace(h, mark=arrow) if h.key == query.top_by else h for h in shown]

    def __len__(self) -> int:
        return len(self.top)

    def key(self, row: int) -> Hashable:
        """The value's identity."""
        return self.top.key(row)

    def find(self, key: Hashable) -> int | None:
        """Where that value is listed now."""
        return self.top.find(key) if isinstance(key, int) else None

    def cells(self, row: int, keys: Sequence[str]) -> list[Cell]:
        """The row's numbers, and the value itself."""
        return [self._cell(row, key) for key in keys]

    def _cell(self, row: int, key: str) -> Cell:
        counted, place = self.top.counted, self.top.place(row)
        if key == "value":
            value = self.top.value(row)
            return Cell(brief(self.top.column, value), tone(self.top.column, value))
        if key == "rate":
            return Cell(f"{count(float(counted.count[place]) / self.top.span_s)}/s")
        number = float(getattr(counted, key)[place])
        if key in {"count", "failed"}:
            return Cell(count(int(number)), "dim" if not number else "warn" if key == "failed" else "")
        if not counted.timed[place]:
            return Cell(NOTHING, "dim")
        return Cell(duration(number), "" if number else "dim")
