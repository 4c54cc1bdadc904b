"""Who is there at the moment shown, and what each did in the last interval, from the rows of Kind.PROCESSES."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ebtop.processrow import KEYFRAME, KEYFRAME_EVERY, ROW, joined
from ebtop.tick import Tick
from ebtop.tool import Batch

Indices = npt.NDArray[np.intp]
Keys = npt.NDArray[np.uint64]

DONE = (
    "cpu_ns", "wait_ns", "io_ns", "read_bytes", "write_bytes", "voluntary", "involuntary", "execs", "forks", "opens",
    "failed_opens", "connects", "ios", "minor_faults", "major_faults", "wait", "exits", "failed_exits",
)  # fmt: skip
"""Fields that say what was done in the interval: nothing, where there is no row of it."""

SUMMED = (*DONE, "count", "rss", "threads")
"""Fields that add up over processes."""

GONE = b"X"


def _wide(name: str) -> Any:
    kind = ROW[name]
    return (np.uint64, kind.shape) if name in SUMMED else kind


WIDE = np.dtype([(name, _wide(name)) for name in ROW.names or ()])
"""ROW, with room for the sums of many rows."""


@dataclass(frozen=True, slots=True)
class Census:
    """`rows` (WIDE): who lives, by pid, then who ended in the last tick, which took `span_ns`."""

    rows: Batch
    living: int
    span_ns: int

    @property
    def seconds(self) -> float:
        """The length of the interval; never 0."""
        return self.span_ns / 1e9

    @property
    def short(self) -> npt.NDArray[np.bool_]:
        """Which rows are of processes that began and ended within the interval."""
        return short_lived(self.rows, self.span_ns)


def span_ns(tick: Tick) -> int:
    """How long a tick took; at least 1 us, whatever it says."""
    return max(tick.end - tick.start, 1_000)


def identity(tick: Tick) -> tuple[int, int, int]:
    """What tells a tick from others, for who remembers what it made of it without keeping it in memory."""
    return id(tick), tick.start, tick.end


def short_lived(rows: Batch, span: int) -> npt.NDArray[np.bool_]:
    """Which rows are of processes that ended, and lived no longer than the interval."""
    found: npt.NDArray[np.bool_] = (rows["state"] == GONE) & ((rows["age_ns"] <= span) | (rows["count"] > 1))
    return found


def busy(rows: Batch) -> npt.NDArray[np.bool_]:
    """Which rows say that something was done."""
    found = np.zeros(len(rows), np.bool_)
    for name in DONE:
        found |= rows[name] != 0 if rows[name].ndim == 1 else (rows[name] != 0).any(axis=1)
    return found


def since_keyframe(ticks: Sequence[Tick]) -> Sequence[Tick]:
    """The ticks that together name everyone who is there: from the last that names all, as far as that is known."""
    first = max(len(ticks) - KEYFRAME_EVERY, 0)
    for at in range(len(ticks) - 1, first, -1):
        if ticks[at].gauges.get(KEYFRAME):
            return ticks[at:]
    return ticks[first:]


def census(ticks: Sequence[Tick]) -> Census:
    """Who is there at the end of the last of the ticks (oldest first)."""
    if not ticks:
        return Census(np.zeros(0, WIDE), 0, 1_000)
    span = span_ns(ticks[-1])
    parts = [(tick, tick.rows) for tick in reversed(since_keyframe(ticks)) if tick.rows is not None and len(tick.rows)]
    if not parts:
        return Census(np.zeros(0, WIDE), 0, span)
    ids = np.concatenate([rows["id"] for _, rows in parts])
    _, first = np.unique(ids, return_index=True)  # of each process the newest row, as the newest tick stands first
    begins = np.cumsum([0, *(len(rows) for _, rows in parts)])
    kept, passed = [], []
    for (tick, rows), begin in zip(parts, begins.tolist(), strict=False):
        here = np.sort(first[(first >= begin) & (first < begin + len(rows))]) - begin
        if tick is not ticks[-1]:
            here = here[rows["state"][here] != GONE]
        kept.append(rows[here])
        passed.append(np.full(len(here), 0 if tick is ticks[-1] else max(ticks[-1].end - tick.end, 0), np.uint64))
    rows = _as_of(joined(kept), len(kept[0]) if parts[0][0] is ticks[-1] else 0, np.concatenate(passed))
    gone = rows["state"] == GONE
    living = np.lexsort((rows["start"], rows["pid"], gone))
    return Census(rows[living], int(np.count_nonzero(~gone)), span)


def _as_of(rows: Batch, new: int, passed_ns: npt.NDArray[np.uint64]) -> Batch:
    """Rows as they are now (WIDE): the first `new` are of now, the others of as long ago; they did nothing since."""
    found = rows.astype(WIDE)
    for name in DONE:
        found[name][new:] = 0
    found["age_ns"] += passed_ns
    return found


def summed(rows: Batch) -> Batch:
    """One row (WIDE): the sums of all, zeros elsewhere."""
    total = np.zeros(1, WIDE)
    for name in SUMMED:
        total[name] = rows[name].sum(axis=0, dtype=np.uint64)
    return total


def fold_keys(ppid: npt.NDArray[np.uint32]) -> Keys:
    """What a fold is called: its parent's pid, turned over, so that it is nobody's id."""
    return ~ppid.astype(np.uint64)


@dataclass(frozen=True, slots=True)
class Folded:
    """Rows of a census, those of short-lived processes put together below each parent.

    `keys` tell rows from others, also in other ticks: a process has its id. From `first_fold` on rows are folds, with
    the sums of their members; `members[i]` are the names in fold i, the most frequent first.
    """

    rows: Batch
    keys: Keys
    first_fold: int
    members: Sequence[Sequence[tuple[bytes, int]]]


def folded(rows: Batch, short: npt.NDArray[np.bool_]) -> Folded:
    """Put the short-lived rows together; a fold takes who it was from the row with most processes."""
    others, rest = rows[~short], rows[short]
    order = np.lexsort((rest["count"], rest["ppid"]))[::-1]
    rest = rest[order]
    if not len(rest):
        return Folded(others, others["id"].astype(np.uint64), len(others), ())
    starts = np.flatnonzero(np.concatenate([[True], rest["ppid"][1:] != rest["ppid"][:-1]]))
    folds = rest[starts]
    count = np.maximum(rest["count"], 1)
    lived = np.add.reduceat(rest["age_ns"].astype(np.float64) * count, starts) / np.add.reduceat(count, starts)
    for name in SUMMED:
        folds[name] = np.add.reduceat(rest[name], starts, axis=0)
    folds["age_ns"] = np.minimum(lived, 1 << 62).astype(np.uint64)
    keys = np.concatenate([others["id"].astype(np.uint64), fold_keys(folds["ppid"])])
    ends = [*starts[1:].tolist(), len(rest)]
    members = [_named(rest[a:b]) for a, b in zip(starts.tolist(), ends, strict=True)]
    return Folded(joined([others, folds]), keys, len(others), members)


def _named(rows: Batch) -> Sequence[tuple[bytes, int]]:
    found: Counter[bytes] = Counter()
    for comm, count in zip(rows["comm"].tolist(), rows["count"].tolist(), strict=True):
        found[comm] += max(count, 1)
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))
