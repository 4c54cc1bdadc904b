"""What a stream's pane asks for, answered tick by tick: a new tick costs its own work and no more."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ebtop.model.filter import Filter
from ebtop.model.rows import Part, Rows, part
from ebtop.model.snapshot import ToolSnapshot
from ebtop.model.sort import sort
from ebtop.model.top import Measured, Tally, Top, merged, tally
from ebtop.tool import Column, Names, Tool

_UNSETTLED = 3
"""Names arrive up to so many ticks after the events that need them."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to show. `sort` and `group` are columns' keys; without `sort` rows stand in the order of time.

    `descending` turns the order round. A group is a top, sorted by `top_by`: "value" or one of top.MEASURES; it
    counts the last `window_s` seconds, or all that is held when that is 0.
    """

    filter: Filter | None = None
    sort: str = ""
    descending: bool = False
    group: str = ""
    top_by: str = "count"
    top_descending: bool = True
    window_s: int = 0


class StreamQuery:
    """Answers queries about one tool's snapshots: of a history that grows at its end and loses its beginning, now or as
    it was a while ago. For one thread."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self._measured = Measured.of(tool)
        self._parts: deque[Part] = deque()
        self._serial = 0
        self._filter: Filter | None = None
        self._names: Names = {}
        self._group = ""
        self._tallies: dict[int, Tally] = {}
        self._answered: tuple[Query, Rows] | None = None
        self._there: dict[str, list[tuple[Part, frozenset[int]]]] = {}  # what fields have, by field and tick

    def run(self, snapshot: ToolSnapshot, query: Query) -> Rows | Top:
        """The rows or the top that the query asks for: the same object again where it is all the same."""
        news = self._follow(snapshot, query.filter)
        if not news and self._answered is not None and self._answered[0] is query:
            return self._answered[1]
        found = self._run(snapshot, query)
        self._answered = (query, found) if isinstance(found, Rows) else None
        return found

    def _run(self, snapshot: ToolSnapshot, query: Query) -> Rows | Top:
        group = self._tool.column(query.group) if query.group else None
        if group is not None:
            return self._top(query, group, snapshot.names)
        column = self._tool.column(query.sort) if query.sort else None
        if column is not None:
            return sort(self._parts, snapshot.names, column, query.descending)
        return Rows(self._parts, snapshot.names, newest_first=query.descending)

    def absent(self) -> frozenset[str]:
        """Columns that none of the rows that pass the filter have, by what the columns say of themselves."""
        some = [(column.key, *column.only) for column in self._tool.columns if column.only]
        there = {field: self._numbers(field) for field in {field for _, field, _ in some}}
        return frozenset(key for key, field, numbers in some if there[field].isdisjoint(numbers))

    def _numbers(self, field: str) -> frozenset[int]:
        """The numbers that there are in a field of all rows; asked once of each tick."""
        known = {id(held): (held, numbers) for held, numbers in self._there.get(field, ())}
        found = [(held, known[id(held)][1] if id(held) in known else held.numbers(field)) for held in self._parts]
        self._there[field] = found
        return frozenset().union(*(numbers for _, numbers in found))

    def _follow(self, snapshot: ToolSnapshot, wanted: Filter | None) -> bool:
        """Let go of ticks that are held no more, filter those that are new, and those that may have changed; did
        anything change?"""
        ticks, news = snapshot.ticks, False
        while self._parts and (not ticks or self._parts[0].tick is not ticks[0]):
            old = self._parts.popleft()
            self._tallies.pop(old.serial, None)
            news |= old.offsets[-1] > 0
        while len(self._parts) > len(ticks):  # the snapshot is of an earlier time
            news |= self._step_back()
        news |= self._refresh(wanted, snapshot.names)
        for tick in ticks[len(self._parts) :]:
            self._parts.append(part(tick, self._serial, wanted, snapshot.names))
            self._serial += 1
            news |= tick.event_count > 0
        return news

    def _step_back(self) -> bool:
        """Let go of the newest tick. Its number is used again, by the same tick."""
        last = self._parts.pop()
        self._serial = last.serial
        return last.offsets[-1] > 0

    def _refresh(self, wanted: Filter | None, names: Names) -> bool:
        """Filter again what was filtered, as far as the filter or the names have changed; have they?"""
        same = (wanted.text if wanted else "") == (self._filter.text if self._filter else "")
        changed = {d for d in {*names, *self._names} if names.get(d) is not self._names.get(d)}
        late = {c.key for c in self._tool.columns if c.late} & changed
        self._filter, self._names = wanted, names
        if late:
            self._tallies.clear()
        if not same or (late and wanted is not None and wanted.late):
            first = 0
        elif changed:
            first = max(len(self._parts) - _UNSETTLED, 0)
        else:
            return False
        for index in range(first, len(self._parts)):
            old = self._parts[index]
            if not same or old.uses_names or (wanted is not None and wanted.late):
                self._parts[index] = part(old.tick, old.serial, wanted, names)
            self._tallies.pop(old.serial, None)
        return True

    def _top(self, query: Query, column: Column, names: Names) -> Top:
        if query.group != self._group:
            self._group = query.group
            self._tallies.clear()
        parts = list(self._parts)
        if query.window_s and parts:
            since = parts[-1].tick.end - query.window_s * 1_000_000_000
            parts = [p for p in parts if p.tick.end > since]
        for held in parts:
            if held.serial not in self._tallies:
                self._tallies[held.serial] = tally(held, column, self._measured, names)
        counted = merged([self._tallies[p.serial] for p in parts])
        span_s = max((parts[-1].tick.end - parts[0].tick.start) / 1e9, 1e-9) if parts else 1.0
        return Top(column, counted, parts, names, query.top_by, query.top_descending, span_s)
