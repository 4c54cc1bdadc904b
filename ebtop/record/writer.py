"""Writes a recording: one transaction an interval, so that whatever kills the recorder takes the last one at most."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np

from ebtop import __version__, registry
from ebtop.model.activity import amount
from ebtop.probing.plan import Plan
from ebtop.record.batches import BatchWriter
from ebtop.record.newfile import NewFile
from ebtop.record.retention import NAMES_KEPT, Keep, Retention
from ebtop.record.schema import APPLICATION_ID, CREATE, RECORDED, VERSION
from ebtop.record.texts import Texts, stored
from ebtop.source.wire_json import dump
from ebtop.source.wire_values import plain
from ebtop.tick import Histogram, Message, Stack, Tick, ToolState
from ebtop.tool import Tool

_MOST = (1 << 63) - 1
_PAGE = 16 << 10
_LOG = 8 << 20


class RecordingWriter:
    """A recording in the making. Raises PlaceError where no file can be made, sqlite3.Error when one cannot be written
    any more (a full disk): what was committed stays."""

    def __init__(
        self, path: str | Path, *, force: bool = False, focus: str = "all", tools: Iterable[Tool] | None = None,
        keep: Keep | None = None,
    ) -> None:  # fmt: skip
        self.path = Path(path)
        self._tools = {tool.name: tool for tool in (registry.tools() if tools is None else tools)}
        self._file = NewFile(self.path, force=force)
        self._texts = Texts()
        self._batches: dict[str, BatchWriter] = {}
        self._names: dict[str, dict[str, dict[int, str | int]]] = {}
        self._events: dict[str, int] = {}
        self._tick = 0
        self._time = time.time_ns()
        keep = keep or Keep()
        self._database = _open(self.path, self._file, keep)
        self._retention = Retention(self._database, keep)
        self._begin(focus)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def nbytes(self) -> int:
        """How many bytes the recording takes on disk, but for what is still in its log."""
        return self._retention.nbytes

    def add(self, message: Message) -> None:
        """Take over a message; a Gone, and ticks of tools that nobody knows, are left aside."""
        if isinstance(message, Tick):
            if message.tool in self._tools:
                self._add_tick(message)
            return
        if type(message).__name__ not in RECORDED:
            return
        if isinstance(message, Plan):
            self._tools[message.tool] = registry.made(message)
        if isinstance(message, ToolState) and message.tool in self._tools:
            self._of(message.tool)
        body = dump(plain(message)).decode("ascii")
        subject = str(getattr(message, "tool", getattr(message, "pid", "")))
        self._database.execute(
            "INSERT INTO message (tick, time, kind, subject, body) VALUES (?, ?, ?, ?, ?)",
            (self._tick, self._time, type(message).__name__, subject, body),
        )

    def commit(self) -> None:
        """End an interval: what was added is safe from the end of this process."""
        self._write_texts()
        self._retention.apply(self._batches)
        self._database.commit()
        if self._texts.is_full or self._retention.wants_new_texts:
            self._texts.forget()
            for writer in self._batches.values():
                writer.forget()
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Mark the recording closed and leave one file; an empty log may stay beside it where someone reads it."""
        try:
            self._database.execute("UPDATE meta SET value = 1 WHERE key = 'closed'")
            self._write_texts()
            self._database.commit()
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._database.execute("PRAGMA journal_mode = MEMORY")  # away with the log, unless someone reads just now
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        self._database.close()
        self._file.clean()

    def remove(self) -> None:
        """Take the file away again: there is nothing in it. It must be closed."""
        self._file.remove()

    def _begin(self, focus: str) -> None:
        machine = os.uname()
        meta = {
            "ebtop": __version__, "host": machine.nodename, "kernel": machine.release, "focus": focus,
            "start": self._time, "closed": 0,
            "versions": json.dumps({"numpy": np.__version__, "sqlite": sqlite3.sqlite_version}),
        }  # fmt: skip
        self._database.execute("BEGIN")
        for statement in CREATE.split(";\n"):
            self._database.execute(statement)
        self._database.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        self._database.commit()
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # whatever happens to the log, this is a recording
        self._database.execute("BEGIN")

    def _of(self, tool: str) -> BatchWriter:
        if tool not in self._batches:
            declared = self._tools[tool]
            self._batches[tool] = BatchWriter(self._database, declared, self._texts)
            self._events[tool] = 0
            if declared.buckets is not None:
                edges = declared.buckets.low.astype(np.int64).tolist()
                rows = [(tool, i, declared.buckets.unit, *edges[i : i + 2]) for i in range(declared.buckets.count)]
                self._database.executemany("INSERT INTO bucket VALUES (?, ?, ?, ?, ?)", rows)
        return self._batches[tool]

    def _add_tick(self, tick: Tick) -> None:
        batches = self._of(tick.tool)
        self._tick += 1
        number, self._time = self._tick, tick.end
        self._learn(number, tick)
        names = self._names.get(tick.tool, {})
        if tick.events:
            batches.write(number, "events", tick.events, names, tick.names)
        if tick.rows is not None:
            batches.write(number, "rows", (tick.rows,), names, tick.names)
        self._write_histograms(number, tick.histograms)
        self._write_stacks(number, tick.stacks)
        self._write_figures(number, tick)
        self._events[tick.tool] += tick.event_count
        self._retention.added(tick.end)

    def _write_figures(self, number: int, tick: Tick) -> None:
        before, much = self._events[tick.tool], min(amount(tick), _MOST)
        of_tick = (
            number, tick.tool, tick.start, tick.end, tick.event_count, before, much, tick.nbytes,
            tick.cost.run_ns, tick.cost.run_count, self._texts.first,
        )  # fmt: skip
        execute = self._database.executemany
        execute(f"INSERT INTO tick VALUES ({', '.join('?' * len(of_tick))})", [of_tick])
        execute(
            "INSERT INTO lost VALUES (?, ?, ?, ?)", [(number, tick.tool, _of_text(r), n) for r, n in tick.lost.items()]
        )
        execute("INSERT INTO gauge VALUES (?, ?, ?)", [(number, _of_text(k), n) for k, n in tick.gauges.items()])

    def _learn(self, number: int, tick: Tick) -> None:
        rows = []
        for domain, names in tick.names.items():
            known = self._names.setdefault(tick.tool, {}).setdefault(domain, {})
            of = _of_text(domain)
            for key, value in names.items():
                known.pop(key, None)  # learnt again: as if new
                known[key] = value
                rows.append((tick.tool, of, _signed(key), number, _of_text(value)))
            while len(known) > NAMES_KEPT:
                del known[next(iter(known))]
        self._database.executemany("INSERT INTO name VALUES (?, ?, ?, ?, ?)", rows)

    def _write_histograms(self, number: int, histograms: Iterable[Histogram]) -> None:
        rows = []
        for place, one in enumerate(histograms):
            filled = np.flatnonzero(one.counts)
            counts = json.dumps(list(zip(filled.tolist(), one.counts[filled].tolist(), strict=True)))
            label = self._texts.number(one.label.encode("utf-8", "surrogateescape"))
            rows.append(
                (number, place, _of_text(one.group), _signed(one.key), label, len(one.counts), counts.replace(" ", ""))
            )
        self._database.executemany("INSERT INTO histogram VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _write_stacks(self, number: int, stacks: Iterable[Stack]) -> None:
        rows = []
        for place, one in enumerate(stacks):
            comm = self._texts.number(one.comm.encode("utf-8", "surrogateescape"))
            frames = self._texts.number(dump(one.frames))
            rows.append((number, place, one.count, one.pid, one.tid, comm, frames))
        self._database.executemany("INSERT INTO stack VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _write_texts(self) -> None:
        self._database.executemany("INSERT INTO text VALUES (?, ?)", self._texts.fresh)
        self._texts.fresh.clear()


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _of_text(value: str | int) -> str | bytes | int:
    return stored(value.encode("utf-8", "surrogateescape")) if isinstance(value, str) else value


def _open(path: Path, file: NewFile, keep: Keep) -> sqlite3.Connection:
    settings: Mapping[str, Any] = {
        "journal_mode": "MEMORY",  # for the first page: no other file is made
        "page_size": _PAGE, "auto_vacuum": "INCREMENTAL" if keep.size else "NONE",
        "application_id": APPLICATION_ID, "user_version": VERSION,
    }  # fmt: skip
    log = min(_LOG, keep.size // 16) if keep.size else _LOG
    database = sqlite3.connect(path, isolation_level=None, timeout=2.0)
    with ExitStack() as unless_all_is_well:
        unless_all_is_well.callback(database.close)
        for name, value in settings.items():
            database.execute(f"PRAGMA {name} = {value}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA wal_autocheckpoint = {max(log // _PAGE, 16)}")
        database.execute(f"PRAGMA journal_size_limit = {log}")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the log is opened at that
        file.check()
        unless_all_is_well.pop_all()
    return database
