"""Processes as a table shows them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from ebtop.model.bygone import adds_up, told_always
from ebtop.model.census import GONE
from ebtop.model.format import NOTHING, RIGHT_ALIGNED, count, duration, rated
from ebtop.model.processes import Processes, Sought
from ebtop.sanitise import sanitise
from ebtop.tool import Batch, Column, Names, Tool, Value, text, values
from ebtop.ui.cells import Cell, Heading
from ebtop.ui.sparkline import sparklines
from ebtop.ui.streammodel import mark, tone

TREND = "trend"
"""The key of the column that shows the past."""

_OPEN, _SHUT = "▾ ", "▸ "
_MOST_DEPTH = 12
_NAMES_SHOWN = 3
_SLOW_WAIT_NS = 10_000_000
_OF_THE_LIVING = frozenset({"rss", "threads"})


_BLOCK = 32
"""Rows whose values are asked for together: one by one each would cost as much as all of them."""


class _Block:
    """Some rows that follow each other, their columns made when they are asked for."""

    def __init__(self, rows: Batch, names: Names, trends: list[str]) -> None:
        self.rows, self.trends = rows, trends
        self._names = names
        self._values: dict[str, Sequence[Value]] = {}

    def values(self, column: Column) -> Sequence[Value]:
        """A column's values."""
        if column.key not in self._values:
            self._values[column.key] = values(column, self.rows, self._names)
        return self._values[column.key]


class _Blocks(dict[int, _Block]):
    """Block n has the rows from n * _BLOCK on."""

    def __init__(self, found: Processes, trend_width: int) -> None:
        super().__init__()
        self._found, self._trend_width = found, trend_width

    def __missing__(self, number: int) -> _Block:
        found, width = self._found, self._trend_width
        first, end = number * _BLOCK, (number + 1) * _BLOCK
        trends = sparklines(found.trends(first, end, width), width, found.most, root=True)
        self[number] = _Block(found.rows(first, end), found.names, trends)
        return self[number]


class ProcessModel:
    """The rows, those that are drawn made into text when they are."""

    live_at_top = True

    def __init__(self, tool: Tool, found: Processes, sought: Sought, trend_width: int) -> None:
        self.found = found
        self.sought = sought
        self._columns = {c.key: c for c in tool.columns}
        self._trend_width = trend_width
        self._blocks = _Blocks(found, trend_width)
        shown = [c for c in tool.columns if c.hidden is (c.key in sought.turned) or c.key == sought.sort]
        self.headings = [self._heading(c) for c in shown]
        trend = Heading(TREND, f"{found.trend.title} ▂▅▇", trend_width, 6)
        self.headings.insert(max(len(self.headings) - 1, 0), trend)

    def _heading(self, column: Column) -> Heading:
        arrow = mark(self.sought.descending) if column.key == self.sought.sort else ""
        rank = 2 if column.key in self.sought.turned else column.rank  # what was asked for stays longest
        return Heading(column.key, column.title, column.width, rank, column.type in RIGHT_ALIGNED, arrow)

    def __len__(self) -> int:
        return len(self.found)

    def key(self, row: int) -> Hashable:
        """The process's identity."""
        return self.found.key(row)

    def find(self, key: Hashable) -> int | None:
        """Where that process is listed now."""
        return self.found.find(key) if isinstance(key, int) else None

    def cells(self, row: int, keys: Sequence[str]) -> list[Cell]:
        """What the process is and did."""
        return [self._cell(row, key) for key in keys]

    def _cell(self, row: int, key: str) -> Cell:
        block, at = self._blocks[row // _BLOCK], row % _BLOCK
        if key == TREND:
            return Cell(block.trends[at], "trend")
        one = block.rows[at : at + 1]
        if key == "argv":
            return self._command(row, one)
        column = self._columns[key]
        if key == "pid" and self.found.names_in_fold(row) and int(one["count"][0]) != 1:
            return Cell("gone", "dim")
        value = block.values(column)[at]
        if (key == "exit_code" and value == -1) or (key in _OF_THE_LIVING and one["state"][0] == GONE):
            return Cell(NOTHING, "dim")
        cell = rated(column, value, self.found.seconds)
        return Cell(cell, "dim" if self.found.context[self.found.order[row]] else self._tone(column, value))

    def _tone(self, column: Column, value: Value) -> str:
        """Trouble is warm: long waits, devices waited for, zombies, bad ends."""
        if column.key == "wait_p99_ns" and isinstance(value, int) and value > _SLOW_WAIT_NS:
            return "warn"
        if column.key == "state":
            return "" if value == "R" else "warn" if value in ("D", "Z") else "dim"
        if column.key in {"exit_code", "failed_exits"} and isinstance(value, int) and value > 0:
            return "warn"
        return tone(column, value)

    def _command(self, row: int, one: Batch) -> Cell:
        branch, dim = self._branch(row), self.found.context[self.found.order[row]] or bool(one["kind"][0])
        names = self.found.names_in_fold(row)
        if names:
            said, dim = self._gone(names, one), False
        else:
            said = self.command(one)
            if one["state"][0] == GONE:
                said += f" (ended{_how(int(one['exit_code'][0]))})"
        if self.found.shut(row):
            said += f"  +{count(int(one['count'][0]) - 1)}"
        return Cell(branch + said, "dim" if dim else "")

    def _gone(self, names: Sequence[tuple[bytes, int]], one: Batch) -> str:
        """`47 gone, 5 ms each: sh, sed, grep …`; outside of a tree first of all whose children they were."""
        many, failed = int(one["count"][0]), int(one["failed_exits"][0])
        parent = "" if self.found.laid is not None else f" ← {self._parent_of_gone(int(one['ppid'][0]))}"
        each = f"{duration(int(one['age_ns'][0]))}{' each' if many != 1 else ''}"
        said = ", ".join(sanitise(text(name)) for name, _ in names[:_NAMES_SHOWN])
        more = " …" if len(names) > _NAMES_SHOWN else ""
        bad = f", {count(failed)} failed" if failed else ""
        return f"{count(many)} gone{parent}, {each}: {said}{more}{bad}"

    def _parent_of_gone(self, pid: int) -> str:
        rows = self.found.folded.rows
        found = rows[(rows["pid"] == pid) & (rows["state"] != GONE)]
        return f"{self.command(found[:1], brief=True)} {pid}" if len(found) else str(pid)

    def command(self, one: Batch, brief: bool = False) -> str:
        """A process as people call it: its arguments, the program's without the folder; safe to draw."""
        column = self._columns.get("argv")
        (words,) = values(column, one, self.found.names) if column else (None,)
        if not isinstance(words, list) or not words:
            name = sanitise(text(one["comm"][0]))
            return f"[{name}]" if one["kind"][0] else name  # kernel threads as ps has them
        path, blank, rest = words[0].partition(" ")  # of who writes its own title, all is one word
        program = (path.rpartition("/")[2] or path) + blank + rest
        # Each word takes a cell at least: more of them than any screen is wide need not be looked at.
        shown = [program, *words[1 : 2 if brief else _WIDEST]]
        return sanitise(" ".join(word[:_WIDEST] for word in shown if word))[:_WIDEST]

    def _branch(self, row: int) -> str:
        if self.found.laid is None:
            return ""
        branches = self.found.branches(row)
        shown = branches[-_MOST_DEPTH:]
        drawn = "".join("  " if last else "│ " for last in shown[:-1])
        drawn = ("… " if len(branches) > _MOST_DEPTH else "") + drawn
        if shown:
            drawn += "└ " if shown[-1] else "├ "
        return drawn + (_SHUT if self.found.shut(row) else _OPEN if self.found.has_children(row) else "")

    def totals(self, keys: Sequence[str]) -> list[Cell]:
        """The sums of all rows that match, whether they are drawn or not."""
        return [self._total(key) for key in keys]

    def _total(self, key: str) -> Cell:
        if key == "pid":
            return Cell("all" if self.found.matching == self.found.all_ else "sum", "dim")
        if key == "argv":
            return Cell(self._all(), "dim")
        column = self._columns.get(key)
        if column is None or not (adds_up(column) or told_always(column)):
            return Cell("")
        (value,) = values(column, self.found.total, self.found.names)
        return Cell(rated(column, value, self.found.seconds), tone(column, value))

    def _all(self) -> str:
        found = self.found
        of = f" of {found.all_:,}" if found.matching != found.all_ else ""
        gone = f", {found.gone:,} gone" if found.gone else ""
        return f"{found.matching:,}{of} processes{gone}"


_WIDEST = 1000


def _how(code: int) -> str:
    """How a process ended, where that was not as it should be."""
    if code <= 0:
        return ""
    return f" by signal {code - 128}" if code > 128 else f", {code}"
