"""Reads a recording: its ticks exactly as they were, at any time, also while it is still being written."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar

import numpy as np

from ebtop.eventstack import TOLD_NS
from ebtop.model.activity import Moment
from ebtop.probing.plan import Plan
from ebtop.record.database import RecordingError, check_tables, connect, string, whole
from ebtop.record.schema import batch_table
from ebtop.record.unpacking import Table, TextReader
from ebtop.source.wire_json import WireError, load
from ebtop.source.wire_values import decoder
from ebtop.tick import Cost, Frame, Histogram, Message, Notice, ProcessDetails, Stack, Tick, ToolState, Vitals
from ebtop.tool import Batch, Names

__all__ = ["Meta", "Recording", "RecordingError"]

MOMENTS = 20_000
"""Moments of a tool at most; in a longer recording each stands for some ticks."""

_FAR = (1 << 63) - 1
_PAGE = 256
_SLACK = 1 << 20
_MOST_BUCKETS = 1 << 12
_MESSAGES: Mapping[str, Any] = {kind.__name__: kind for kind in (ToolState, Vitals, ProcessDetails, Notice)}

_plan = decoder(Plan)

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Meta:
    """Whose recording it is. `start` and `end` are Unix ns; `closed` is False while it is being recorded, and for ever
    when the recorder was killed."""

    schema: int
    ebtop: str
    host: str
    kernel: str
    focus: str
    start: int
    end: int
    closed: bool


def _told(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """What SQLite and the protocol's forms find wrong as RecordingError."""

    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(*args, **kwargs)
        except RecordingError:
            raise
        except (sqlite3.Error, WireError, ValueError, OverflowError, MemoryError) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise RecordingError(f"the recording cannot be read: {said}") from error

    return call


class Recording:
    """A recording, to be read only by one thread at a time. Opening is quick whatever the size."""

    @_told
    def __init__(self, path: str | Path) -> None:
        """Raises RecordingError, also where the file is missing or may not be read."""
        self.path = Path(path)
        self._database = connect(self.path)
        with contextlib.ExitStack() as unless_all_is_well:
            unless_all_is_well.callback(self._database.close)
            self._check_tables()
            self._texts = TextReader(self._database)
            self._batches: dict[str, Table] = {}
            self.meta = self._meta()
            unless_all_is_well.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @_told
    def refresh(self) -> Meta:
        """Look again at a recording that goes on: `meta` anew."""
        self.meta = self._meta()
        return self.meta

    @property
    @_told
    def states(self) -> Mapping[str, ToolState]:
        """How each tool stood last."""
        query = "SELECT body FROM message WHERE kind = 'ToolState' ORDER BY id"
        found = [self._message("ToolState", body) for (body,) in self._database.execute(query)]
        return {state.tool: state for state in found}

    @property
    @_told
    def plans(self) -> Mapping[str, Plan]:
        """What those tools were made from that are made by plans."""
        query = "SELECT body FROM message WHERE kind = 'Plan' ORDER BY id"
        found = [_plan(load(_bytes(body))) for (body,) in self._database.execute(query)]
        return {plan.tool: plan for plan in found}

    @property
    @_told
    def tools(self) -> tuple[str, ...]:
        """The tools that were recorded, whether or not they produced anything."""
        query = "SELECT DISTINCT subject FROM message WHERE kind = 'ToolState' UNION SELECT DISTINCT tool FROM tick"
        return tuple(sorted(string(name) for (name,) in self._database.execute(query)))

    def ticks(self, tools: Collection[str] | None = None, start: int = 0, end: int | None = None) -> Iterator[Tick]:
        """Whole ticks, as they were, that ended from `start` to `end` (Unix ns, both included), by their end. Raises
        RecordingError."""
        last = (start, -1)
        while True:
            page = self._page(last, _FAR if end is None else end, tools)
            for at, number in page:
                if (tick := self.tick(number)) is not None:
                    yield tick
                last = (at, number)
            if len(page) < _PAGE:
                return

    @_told
    def _page(self, after: tuple[int, int], end: int, tools: Collection[str] | None) -> list[tuple[int, int]]:
        """Some ticks after one, their ends and numbers; never all at once, nor with a transaction open that would keep
        the log from ending."""
        wanted = json.dumps(None if tools is None else list(tools))
        query = (
            'SELECT "end", id FROM tick WHERE ("end", id) > (?1, ?2) AND "end" <= ?3 '
            "AND (?4 = 'null' OR tool IN (SELECT value FROM json_each(?4))) ORDER BY \"end\", id LIMIT ?5"
        )
        rows = self._database.execute(query, (*after, end, wanted, _PAGE))
        return [(whole(at), whole(number)) for at, number in rows]

    @_told
    def before(self, tool: str, time: int, budget: int, most: int) -> int:
        """The earliest end of a tool's ticks up to `time` that together take at most so many bytes of memory and are
        at most so many; `time` + 1 where there are none."""
        query = 'SELECT "end", size FROM tick WHERE tool = ? AND "end" <= ? ORDER BY "end" DESC LIMIT ?'
        earliest, total = time + 1, 0
        for end, size in self._database.execute(query, (tool, time, most)):
            total += whole(size)
            if total > budget and earliest <= time:
                break
            earliest = whole(end)
        return earliest

    @_told
    def size(self, tool: str, first: int, last: int) -> int:
        """Bytes of memory that a tool's ticks take that end in this time."""
        query = 'SELECT size FROM tick WHERE tool = ? AND "end" BETWEEN ? AND ?'
        return sum(whole(size) for (size,) in self._database.execute(query, (tool, first, last)))

    @_told
    def moments(self, tool: str, after: int = 0) -> Sequence[Moment]:
        """When how much happened after a time, to the end of the recording."""
        query = 'SELECT "end", amount FROM tick WHERE tool = ? AND "end" > ? ORDER BY "end"'
        rows = self._database.execute(query, (tool, after)).fetchall()
        if len(rows) <= MOMENTS:
            return tuple(Moment(whole(end), whole(amount)) for end, amount in rows)
        each = -(-len(rows) // MOMENTS)
        amounts = np.array([whole(amount) for _end, amount in rows], np.uint64)
        sums = np.add.reduceat(amounts, range(0, len(rows), each)).tolist()
        ends = [whole(end) for end, _amount in rows[each - 1 :: each]]
        ends += [whole(rows[-1][0])][: len(sums) - len(ends)]
        return tuple(map(Moment, ends, sums))

    @_told
    def totals(self, tool: str, before: int) -> tuple[int, Mapping[str, int]]:
        """Events of a tool in the ticks that ended before that time, and what is still known to have been lost."""
        of_tool = 'FROM tick WHERE tool = ? AND "end" < ? ORDER BY "end" DESC LIMIT 1'
        found = self._database.execute(f"SELECT events_before + events {of_tool}", (tool, before)).fetchone()
        query = "SELECT reason, sum(count) FROM lost WHERE tool = ? AND tick <= ? GROUP BY reason"
        rows = self._database.execute(query, (tool, self._last_before(before)))
        return whole(found[0]) if found else 0, {string(reason): whole(count) for reason, count in rows}

    @_told
    def names(self, tool: str, before: int, most: int, recent: tuple[str, ...] = ()) -> Names:
        """What ids stood for, by what was learnt before that time; at most so many for each domain, the latest. Of the
        domains in `recent`, which tell again what is in use, what was told TOLD_NS before the next tick began."""
        run, last = self._database.execute, self._last_before(before)
        among = f"({', '.join('?' * len(recent))})"
        query = (
            "SELECT domain, id, value FROM (SELECT domain, id, value, tick, "
            "row_number() OVER (PARTITION BY domain ORDER BY tick DESC) AS nth FROM name WHERE tool = ? AND tick <= ? "
            f"AND domain NOT IN {among}) WHERE nth <= ? ORDER BY tick"
        )
        known = _names(run(query, (tool, last, *recent, most)))
        if recent:
            query = 'SELECT start FROM tick WHERE tool = ? AND "end" >= ? ORDER BY "end" LIMIT 1'
            (start,) = run(query, (tool, before)).fetchone() or (before,)
            query = (
                f"SELECT domain, id, value FROM name WHERE tick > ? AND tick <= ? AND tool = ? AND domain IN {among} "
                "ORDER BY tick DESC LIMIT ?"
            )
            first = self._last_before(whole(start) - TOLD_NS)
            rows = run(query, (first, last, tool, *recent, most * len(recent))).fetchall()
            known = {**known, **_names(reversed(rows))}
        return known

    def _last_before(self, time: int) -> int:
        query = 'SELECT id FROM tick WHERE "end" < ? ORDER BY "end" DESC LIMIT 1'
        found = self._database.execute(query, (time,)).fetchone()
        return whole(found[0]) if found else 0

    @_told
    def latest(self, kind: str, time: int, subject: str = "") -> Message | None:
        """The last message of a kind ("Vitals", "ProcessDetails" of a pid) up to that time."""
        query = "SELECT body FROM message WHERE kind = ? AND subject = ? AND time <= ? ORDER BY time DESC LIMIT 1"
        found = self._database.execute(query, (kind, subject, time)).fetchone()
        return self._message(kind, found[0]) if found else None

    @_told
    def first(self, kind: str) -> Message | None:
        """The first message of a kind."""
        query = "SELECT body FROM message WHERE kind = ? ORDER BY time LIMIT 1"
        found = self._database.execute(query, (kind,)).fetchone()
        return self._message(kind, found[0]) if found else None

    @_told
    def messages(self, start: int, end: int) -> list[tuple[int, Message]]:
        """What else was said from `start` to `end` (both included), with its time."""
        kinds = ", ".join(f"'{kind}'" for kind in _MESSAGES)
        query = f"SELECT time, kind, body FROM message WHERE kind IN ({kinds}) AND time BETWEEN ? AND ? ORDER BY id"
        rows = self._database.execute(query, (start, end)).fetchall()
        return [(whole(time), self._message(kind, body)) for time, kind, body in rows]

    @_told
    def tick(self, number: int) -> Tick | None:
        """One tick; None when it has been removed since."""
        self._database.execute("BEGIN")  # what is removed meanwhile is removed whole
        try:
            query = 'SELECT size, tool, start, "end", run_ns, run_count FROM tick WHERE id = ?'
            row = self._database.execute(query, (number,)).fetchone()
            found = self._tick(number, *row[1:]) if row else None
            if found is not None and found.nbytes > whole(row[0]) + _SLACK:
                raise RecordingError("a tick holds more than it says")
            return found
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("COMMIT")

    def _tick(self, number: int, tool: Any, start: Any, end: Any, run_ns: Any, run_count: Any) -> Tick:
        run = self._database.execute
        name = string(tool)
        rows = self._of(name, "rows", number)
        lost = run("SELECT reason, count FROM lost WHERE tick = ?", (number,))
        gauges = run("SELECT name, value FROM gauge WHERE tick = ?", (number,))
        names = run("SELECT domain, id, value FROM name WHERE tick = ? AND tool = ?", (number, name))
        return Tick(
            tool=name, start=whole(start), end=whole(end), events=self._of(name, "events", number),
            rows=rows[0] if rows else None, histograms=self._histograms(number), stacks=self._stacks(number),
            names=_names(names), gauges={string(key): _real(value) for key, value in gauges},
            lost={string(reason): whole(count) for reason, count in lost}, cost=Cost(whole(run_ns), whole(run_count)),
        )  # fmt: skip

    def _of(self, tool: str, role: str, tick: int) -> tuple[Batch, ...]:
        table = batch_table(tool, role)
        if table not in self._tables and tick > self._checked:  # a recording that goes on may have it by now
            self._check_tables()
        if table not in self._tables:
            return ()
        if table not in self._batches:
            self._batches[table] = Table(self._database, table, self._texts)
        return self._batches[table].batches(tick)

    def _histograms(self, tick: int) -> tuple[Histogram, ...]:
        query = 'SELECT "group", key, label, buckets, counts FROM histogram WHERE tick = ? ORDER BY number'
        rows = self._database.execute(query, (tick,)).fetchall()
        labels = self._texts.values(whole(label) for _g, _k, label, *_rest in rows)
        return tuple(
            Histogram(string(group), whole(key) % (1 << 64), string(labels[label]), _counts(whole(buckets), counts))
            for group, key, label, buckets, counts in rows
        )

    def _stacks(self, tick: int) -> tuple[Stack, ...]:
        query = "SELECT frames, count, pid, tid, comm FROM stack WHERE tick = ? ORDER BY number"
        rows = self._database.execute(query, (tick,)).fetchall()
        texts = self._texts.values(whole(text) for frames, _c, _p, _t, comm in rows for text in (frames, comm))
        known = {frames: _frames(string(texts[frames])) for frames, *_rest in rows}
        return tuple(
            Stack(known[frames], whole(count), whole(pid), whole(tid), string(texts[comm]))
            for frames, count, pid, tid, comm in rows
        )

    def _check_tables(self) -> None:
        (newest,) = self._database.execute("SELECT max(id) FROM tick").fetchone()
        self._tables, self._checked = check_tables(self._database), whole(newest or 0)

    def _meta(self) -> Meta:
        meta = dict(self._database.execute("SELECT key, value FROM meta").fetchall())
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        (end,) = self._database.execute('SELECT max("end") FROM tick').fetchone()
        first = self._database.execute('SELECT start FROM tick ORDER BY "end" LIMIT 1').fetchone()
        try:
            start = whole(first[0] if first else meta["start"])
            return Meta(
                version, string(meta["ebtop"]), string(meta["host"]), string(meta["kernel"]), string(meta["focus"]),
                start, whole(end) if end is not None else start, meta["closed"] == 1,
            )  # fmt: skip
        except KeyError as error:
            raise RecordingError(f"it does not say {error}") from None

    @staticmethod
    def _message(kind: str, body: Any) -> Any:
        return decoder(_MESSAGES[kind])(load(_bytes(body)))


def _bytes(body: Any) -> bytes:
    return string(body).encode("utf-8", "surrogateescape")


def _names(rows: Iterable[tuple[Any, Any, Any]]) -> Names:
    found: dict[str, dict[int, str | int]] = {}
    for domain, key, value in rows:
        found.setdefault(string(domain), {})[whole(key) % (1 << 64)] = value if type(value) is int else string(value)
    return found


def _real(value: Any) -> float:
    if type(value) not in {int, float}:
        raise RecordingError("a figure is no number")
    return value  # type: ignore[no-any-return]


def _counts(buckets: int, text: Any) -> np.ndarray[Any, np.dtype[np.uint64]]:
    if not 0 <= buckets <= _MOST_BUCKETS:
        raise RecordingError("a histogram has too many buckets")
    counts = np.zeros(buckets, np.uint64)
    try:
        for bucket, count in json.loads(string(text)):
            if type(bucket) is not int or not 0 <= bucket < buckets:
                raise RecordingError("a histogram has no such bucket")
            counts[bucket] = count
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise RecordingError("a histogram's counts are malformed") from error
    return counts


_decode_frames = decoder(tuple[Frame, ...])


def _frames(text: str) -> tuple[Frame, ...]:
    found: tuple[Frame, ...] = _decode_frames(load(text.encode("utf-8", "surrogateescape")))
    return found
