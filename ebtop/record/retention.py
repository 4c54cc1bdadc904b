"""What is kept of a recording that goes on: the oldest ticks go, and with them what nothing refers to any more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from ebtop.record.schema import batch_table, late_table, quoted

_SHARES = 8
"""Texts are stored anew so often in what is kept: a text goes with the last tick of its share."""

NAMES_KEPT = 50_000
"""Names remembered for each domain of a tool; those learnt longest ago go first."""

_STEP = 64
_NAMES_EVERY = 64
_OF_TICK = ("lost", "gauge", "histogram", "stack")


@dataclass(frozen=True, slots=True)
class Keep:
    """How much is kept: ns before the newest tick, bytes on disk; 0 for all."""

    age: int = 0
    size: int = 0


class Retention:
    """Removes what is too old or too much."""

    def __init__(self, database: sqlite3.Connection, keep: Keep) -> None:
        self._database, self._keep = database, keep
        self._newest = self._share_began = self._first = self._drops = 0
        self._share_size = 0
        self.nbytes = 0
        self.wants_new_texts = False

    def added(self, end: int) -> None:
        """A tick that ended then was written."""
        self._newest = max(self._newest, end)
        self._share_began = self._share_began or end

    def apply(self, tools: Iterable[str]) -> None:
        """Before a commit."""
        before, self.nbytes = self.nbytes, self._used()
        grown = max(self.nbytes - before, 0)
        self._share_size += grown
        if self._keep.age:
            self._drop(self._first_after(self._newest - self._keep.age), tools)
        if self._keep.size and self.nbytes + grown > self._keep.size:  # the next interval may be as large
            self._shrink(max(self._keep.size * 15 // 16 - grown, 0), tools)
            self._database.execute("PRAGMA incremental_vacuum").fetchall()  # a page a step
        self.nbytes = self._used()
        of_age = self._keep.age and self._newest - self._share_began > self._keep.age // _SHARES
        of_size = self._keep.size and self._share_size > self._keep.size // _SHARES
        self.wants_new_texts = bool(of_age or of_size)
        if self.wants_new_texts:
            self._share_began, self._share_size = self._newest, 0

    def _one(self, statement: str, *values: int) -> int:
        found = self._database.execute(statement, values).fetchone()
        return int(found[0] or 0) if found else 0

    def _used(self) -> int:
        pages = self._one("PRAGMA page_count") - self._one("PRAGMA freelist_count")
        return pages * self._one("PRAGMA page_size")

    def _first_after(self, time: int) -> int:
        """The first tick that ended not before a time."""
        return self._one('SELECT id FROM tick WHERE "end" >= ? ORDER BY "end" LIMIT 1', time)

    def _shrink(self, size: int, tools: Iterable[str]) -> None:
        """Step by step, as nobody knows how much a tick takes; the newest stays."""
        while self._used() > size:
            first, last = self._one("SELECT min(id) FROM tick"), self._one("SELECT max(id) FROM tick")
            if first >= last:
                return
            self._drop(first + max((last - first) // _STEP, 1), tools)

    def _drop(self, first: int, tools: Iterable[str]) -> None:
        """Remove all ticks before that one."""
        if self._one("SELECT count(*) FROM (SELECT 1 FROM tick WHERE id < ? LIMIT 1)", first) == 0:
            return
        run = self._database.execute
        for table in _OF_TICK:
            run(f"DELETE FROM {table} WHERE tick < ?", (first,))
        for tool in tools:
            self._drop_of_tool(tool, first)
        self._drop_names(first)
        run("DELETE FROM message WHERE tick < ? AND kind <> 'ToolState'", (first,))
        run("DELETE FROM tick WHERE id < ?", (first,))
        run("DELETE FROM text WHERE id < (SELECT text_from FROM tick ORDER BY id LIMIT 1)")
        self._first = first

    def _drop_names(self, first: int) -> None:
        """A name stays while no later one says what its id stands for, as ticks that are kept may need it; but not
        more of them than anyone remembers."""
        run = self._database.execute
        newer = run("SELECT tool, domain, id, tick FROM name WHERE tick >= ? AND tick < ?", (self._first, first))
        self._database.executemany(
            "DELETE FROM name WHERE tool = ? AND domain = ? AND id = ? AND tick < ?", newer.fetchall()
        )
        self._drops += 1
        if self._drops % _NAMES_EVERY:
            return
        for tool, domain in run("SELECT DISTINCT tool, domain FROM name").fetchall():
            of = (tool, domain, first)
            query = (
                "SELECT tick FROM name WHERE tool = ? AND domain = ? AND tick < ? ORDER BY tick DESC LIMIT 1 OFFSET ?"
            )
            last = run(query, (*of, NAMES_KEPT)).fetchone()
            if last:
                run("DELETE FROM name WHERE tool = ? AND domain = ? AND tick < ?", (tool, domain, last[0]))

    def _drop_of_tool(self, tool: str, first: int) -> None:
        tables = [table for (table,) in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in (batch_table(tool, "events"), batch_table(tool, "rows")):
            if table in tables:
                self._database.execute(f'DELETE FROM {quoted(table)} WHERE "tick id" < ?', (first,))
        if late_table(tool) in tables:
            self._database.execute(f"DELETE FROM {quoted(late_table(tool))} WHERE tick < ?", (first,))
