"""Writing batches of records: a table for each tool's events, one for its rows, and the view over them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ebtop.record.columns import Plan, plans
from ebtop.record.derived import Maker, makers
from ebtop.record.packing import PART, Part, as_signed, is_whole, pack
from ebtop.record.remembered import Remembered
from ebtop.record.schema import OWN, at, batch_table, create_batches, late_table, quoted, shown
from ebtop.record.texts import Texts
from ebtop.record.views import create_view
from ebtop.source.wire_arrays import describe, little_endian
from ebtop.tool import OF_ROWS, Batch, Kind, Names, Tool

_Layout = np.dtype[Any]


@dataclass
class _Table:
    """One table of batches: the columns it has so far."""

    name: str
    columns: list[str] = field(default_factory=list)
    known: set[_Layout] = field(default_factory=set)
    makers: list[Maker] = field(default_factory=list)
    texts: dict[str, Remembered] = field(default_factory=dict)


class BatchWriter:
    """Writes one tool's batches."""

    def __init__(self, database: sqlite3.Connection, tool: Tool, texts: Texts) -> None:
        self._database, self._tool, self._texts = database, tool, texts
        self._tables: dict[str, _Table] = {}
        self._plans: dict[str, Plan] = {}
        self._late = [column.key for column in tool.columns if column.late]
        self._viewed = "rows" if tool.kind in OF_ROWS else "events"
        for role in ("events", "rows") if tool.kind in {Kind.EVENTS, *OF_ROWS} else ():
            self._tables[role] = _Table(batch_table(tool.name, role))
            database.execute(create_batches(self._tables[role].name))
        if self._late:
            for statement in _create_late(tool.name, self._late):
                database.execute(statement)
        self._view(np.dtype([]))

    def forget(self) -> None:
        """Texts were forgotten."""
        for table in self._tables.values():
            for maker in table.makers:
                maker.forget()
            for known in table.texts.values():
                known.forget()

    def write(self, tick: int, role: str, batches: Sequence[Batch], names: Names, learnt: Iterable[str]) -> None:
        """The batches of a tick in that role. `names` are all that are known, `learnt` the domains with new ones."""
        table = self._tables[role]
        for maker in table.makers:
            maker.learn(learnt)
        rows: dict[tuple[str, ...], list[list[Any]]] = {}
        for place, (number, batch) in enumerate(_parts(batches)):
            columns, values = self._packed(table, role, batch, names)
            layout = self._texts.number(describe(little_endian(batch.dtype)).encode())
            own = [tick, place, number, len(batch), layout]
            rows.setdefault(columns, []).append([*own, *values])
        for columns, found in rows.items():
            self._insert(table.name, columns, found)
        if role == "rows" and self._late:
            for batch in batches:
                self._write_late(tick, batch)

    def _packed(self, table: _Table, role: str, batch: Batch, names: Names) -> tuple[tuple[str, ...], list[Any]]:
        self._make_room(table, role, batch.dtype)
        if not len(batch):
            return OWN, ["[]"]
        part = Part(batch)
        columns = {name: part.numbers(name, table.texts.get(name), self._texts) for name in batch.dtype.names or ()}
        for maker in table.makers:
            columns[shown(maker.plan.column.key)] = maker.numbers(part, names, self._texts)
        packed = pack(columns, len(batch))
        places = {at(name): place for name, place in packed.at.items() if place}
        return (*OWN, *packed.base, *places), [packed.events, *packed.base.values(), *places.values()]

    def _insert(self, table: str, columns: Sequence[str], rows: list[list[Any]]) -> None:
        listed = ", ".join(map(quoted, columns))
        marks = ", ".join("?" * len(columns))
        self._database.executemany(f"INSERT INTO {quoted(table)} ({listed}) VALUES ({marks})", rows)

    def _make_room(self, table: _Table, role: str, layout: _Layout) -> None:
        """A column for each field that the table has not had yet."""
        if layout in table.known:
            return
        table.known.add(layout)
        found = plans(self._tool, layout) if role == self._viewed else ()
        if not table.makers:
            table.makers = makers(found)
        for name in layout.names or ():
            if not is_whole(layout[name]) and name not in table.texts:
                table.texts[name] = Remembered()
        wanted = [*(layout.names or ()), *(shown(maker.plan.column.key) for maker in table.makers)]
        new = [name for name in wanted if name not in table.columns]
        for name in new:
            self._database.execute(f"ALTER TABLE {quoted(table.name)} ADD COLUMN {quoted(name)} INTEGER")
            self._database.execute(f"ALTER TABLE {quoted(table.name)} ADD COLUMN {quoted(at(name))} TEXT")
        table.columns += new
        if found and new:
            self._view(layout)

    def _view(self, layout: _Layout) -> None:
        if self._tool.columns or self._tool.kind in {Kind.HISTOGRAM, Kind.STACKS}:
            self._database.execute(f"DROP VIEW IF EXISTS {quoted(self._tool.name)}")
            self._database.execute(create_view(self._tool, plans(self._tool, layout)))

    def _write_late(self, tick: int, rows: Batch) -> None:
        fields = rows.dtype.names or ()
        known = [key for key in self._late if key in fields]
        if self._tool.row_key not in fields or not len(rows):
            return
        columns = ", ".join(map(quoted, ["id", "tick", *known]))
        marks = ", ".join("?" * (len(known) + 2))
        ids = as_signed(rows[self._tool.row_key]).tolist()
        values = [as_signed(rows[key]).tolist() for key in known]
        self._database.executemany(
            f"INSERT OR REPLACE INTO {quoted(late_table(self._tool.name))} ({columns}) VALUES ({marks})",
            zip(ids, [tick] * len(ids), *values, strict=True),
        )


def _create_late(tool: str, keys: Iterable[str]) -> tuple[str, str]:
    columns = ", ".join(f"{quoted(key)} INTEGER" for key in keys)
    table = late_table(tool)
    return (
        f"CREATE TABLE {quoted(table)} (id INTEGER PRIMARY KEY, tick INTEGER, {columns})",
        f"CREATE INDEX {quoted(f'{table}_of_tick')} ON {quoted(table)} (tick)",
    )


def _parts(batches: Sequence[Batch]) -> Iterator[tuple[int, Batch]]:
    """The batches in pieces that are not too long, each with the number of its batch."""
    for number, batch in enumerate(batches):
        for first in range(0, max(len(batch), 1), PART):
            yield number, batch[first : first + PART]
