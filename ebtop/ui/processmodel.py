"""Processes as a table shows them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from ebtop.model.bygone import adds_up, told_always
from ebtop.model.census import GONE
from ebtop.model.format import NOTHING, RIGHT_ALIGNED, count, duration, rated
from ebtop.model.processes import Processes, Sought
from ebtop.sanitise import sanitise
from ebtop.tool import Batch, Column, Tool, Value, text, values
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
    """Rows that follow each other, from `first` on, their columns made when they are asked for."""

    def __init__(self, found: Processes, first: int, trend_width: int) -> None:
        end = first + _BLOCK
        self.rows = found.rows(first, end)
        self._found, self._first = found, first
        self._dim = np.flatnonzero(found.context[found.order[first:end]]).tolist()
        self._gone = np.flatnonzero(self.rows["state"] == GONE).tolist()
        trends = sparklines(found.trends(first, end, trend_width), trend_width, found.most, root=True)
        self.made: dict[str, list[Cell]] = {TREND: [Cell(trend, "trend") for trend in trends]}

    def make(self, column: Column) -> list[Cell]:
        """A column's cells: most values are in it many times."""
        found, seconds = values(column, self.rows, self._found.names), self._found.seconds
        known = {value: Cell(rated(column, value, seconds), _tone(column, value)) for value in set(found)}
        self.made[column.key] = cells = [known[value] for value in found]
        for at in self._dim:
            cells[at] = cells[at]._replace(tone="dim")
        for at in self._without(column, found):
            cells[at] = Cell("gone" if column.key == "pid" else NOTHING, "dim")
        return cells

    def _without(self, column: Column, found: Sequence[Value]) -> list[int]:
        """The rows for which there is no such figure."""
        if column.key == "pid":  # of many that have gone
            many = np.flatnonzero(self.rows["count"] != 1).tolist()
            return [at for at in many if self._found.names_in_fold(self._first + at)]
        if column.key == "exit_code":
            return [at for at, value in enumerate(found) if value == -1]
        return self._gone if column.key in _OF_THE_LIVING else []


class ProcessModel:
    """The rows, those that are drawn made into text when they are."""

    live_at_top = True

    def __init__(self, tool: Tool, found: Processes, sought: Sought, trend_width: int) -> None:
        self.found = found
        self.sought = sought
        self._columns = {c.key: c for c in tool.columns}
        self._trend_width = trend_width
        self._blocks: dict[int, _Block] = {}
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
        number, at = divmod(row, _BLOCK)
        if number not in self._blocks:
            self._blocks[number] = _Block(self.found, row - at, self._trend_width)
        block = self._blocks[number]
        made = block.made
        return [
            self._command(row, block.rows[at : at + 1])
            if key == "argv"
            else (made[key] if key in made else block.make(self._columns[key]))[at]
            for key in keys
        ]

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


def _tone(column: Column, value: Value) -> str:
    """Trouble is warm: long waits, devices waited for, zombies, bad ends."""
    if column.key == "wait_p99_ns" and isinstance(value, int) and value > _SLOW_WAIT_NS:
        return "warn"
    if column.key == "state":
        return "" if value == "R" else "warn" if value in ("D", "Z") else "dim"
    if column.key in {"exit_code", "failed_exits"} and isinstance(value, int) and value > 0:
        return "warn"
    return tone(column, value)


def _how(code: int) -> str:
    """How a process ended, where that was not as it should be."""
    if code <= 0:
        return ""
    return f" by signal {code - 128}" if code > 128 else f", {code}"
