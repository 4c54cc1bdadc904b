"""What every process did in an interval: from totals that only grow, of threads that live and of those that ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ebtop.processrow import KEYFRAME, KEYFRAME_EVERY, ROW, WAIT_BUCKETS, joined
from ebtop.tool import Batch

Table = npt.NDArray[np.int64]
Names = dict[str, dict[int, str | int]]
Gauges = dict[str, float]

_LIVES, _ENDED, _PUSHED_OUT = 0, 1, 2  # thread_totals.why
_IN_FOCUS, _KERNEL_THREAD = 1, 2  # thread_totals.flags
_KEPT = ("cpu_ns", "wait_ns", "voluntary", "involuntary", "minor_faults", "major_faults")
"""What the kernel keeps for each thread."""
_COUNTED = ("read_bytes", "write_bytes", "io_ns", "opens", "failed_opens", "execs", "forks", "connects", "ios")
"""What the program counts for each; then come the waits."""
_FIGURES = (*_KEPT, *_COUNTED)
_WIDTH = len(_FIGURES) + WAIT_BUCKETS
_WORK = np.dtype([*[(name, ROW[name]) for name in ROW.names or ()], ("focused", "u1")])
"""A row in the making."""
_CLOCK_TICK_NS = 10_000_000
_PID_BITS = 22
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
# TASK_IDLE, EXIT_ZOMBIE, EXIT_DEAD ... of include/linux/sched.h; __state and exit_state share no bits. Who is dead and
# still there has its last context switch to come.
_STATES = ((0x402, "I"), (0x20, "Z"), (0x10, "Z"), (0x1, "S"), (0x2, "D"), (0x4, "T"), (0x8, "t"))


class Facts(Protocol):
    """What is known of processes beside the kernel's sums."""

    def arguments(self, pid: int) -> str:
        """A process's arguments with a NUL between them, "" when it has none, or has gone."""
        ...

    def resident(self, pid: int) -> int:
        """Bytes of memory, 0 when it has gone."""
        ...


class _Growing:
    """Totals by key; `since` gives what they grew by."""

    def __init__(self, width: int) -> None:
        self._keys: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._totals: Table = np.zeros((0, width), np.int64)

    def since(self, keys: npt.NDArray[np.uint64], totals: Table) -> Table:
        """The growth of each since `keep`; a key that was not there began at zero."""
        if not len(self._keys):
            return totals
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = self._keys[place] == keys
        return np.maximum(totals - np.where(known[:, None], self._totals[place], 0), 0)

    def keep(self, keys: npt.NDArray[np.uint64], totals: Table) -> None:
        """These are what the next growth is counted from."""
        order = np.argsort(keys)
        self._keys, self._totals = keys[order], totals[order]


class Processes:
    """`walk` gives a record for each thread there is now (struct thread_totals of the program)."""

    def __init__(self, walk: Callable[[], Batch], facts: Facts) -> None:
        self._walk, self._facts = walk, facts
        self._kept, self._counted = _Growing(len(_KEPT)), _Growing(len(_COUNTED) + WAIT_BUCKETS)
        self._alive: Batch = np.zeros(0, _WORK)
        self._argv: dict[int, bytes] = {}
        self._until_all = 0  # ticks until one that tells of every process
        self._begin()

    def _begin(self) -> None:
        """What threads did before counts for nothing."""
        threads = self._walk()
        self._kept.keep(_key(threads, "start"), _matrix(threads, _KEPT))
        self._alive = _by_process(threads, np.zeros((len(threads), _WIDTH), np.int64))

    def tell_all(self) -> None:
        """The next tick is to tell of every process."""
        self._until_all = 0

    def rows(self, ended: Iterable[Batch], end: int) -> tuple[Batch, Names, Gauges]:
        """The rows (ROW) of the interval that ends at `end` (Unix ns), the arguments of processes that are new, and
        whether these are all there are (KEYFRAME)."""
        threads = self._walk()
        every = joined([threads, *ended])
        grown = self._growth(every, threads)
        rows = joined([_by_process(every, grown), self._reaped(every)])
        known = among(rows["id"], self._alive["id"])
        gone = rows["state"] == b"X"
        before, self._alive = self._alive["id"], rows[~gone]
        brief = gone & ~known
        rows = joined([rows[~brief], _folded(rows[brief], rows)])
        everyone = self._until_all == 0
        self._until_all = KEYFRAME_EVERY - 1 if everyone else self._until_all - 1
        rows = rows[(rows["focused"] > 0) & (everyone | _news(rows, before))]
        _set_ages(rows, end)
        fresh = self._complete(rows)
        if everyone:
            alive = set(self._alive["id"].tolist())
            self._argv = {key: name for key, name in self._argv.items() if key in alive}
        return _finished(rows), {"argv": fresh} if fresh else {}, {KEYFRAME: 1.0} if everyone else {}

    def _reaped(self, every: Batch) -> Batch:
        """Those that were there a tick ago, dead already, and have now gone without a word."""
        rows = self._alive[~among(self._alive["id"], _identity(every))]
        for name in (*_FIGURES, "wait"):
            rows[name] = 0
        rows["state"], rows["threads"], rows["exits"], rows["rss"] = b"X", 0, 1, 0
        rows["failed_exits"] = rows["exit_code"] > 0
        return rows

    def _growth(self, every: Batch, threads: Batch) -> Table:
        """What each record's thread did in the interval: _KEPT, _COUNTED and the waits."""
        kept, counted = _matrix(every, _KEPT), _matrix(every, _COUNTED, every["wait"])
        keys, claims = _key(every, "start"), _key(every, "claimed")
        lives = slice(0, len(threads))
        # A zombie is told by its last context switch, and as one that is there.
        again = among(keys, keys[lives]) & (every["why"] == _ENDED)
        nothing = again | (every["why"] == _PUSHED_OUT)
        grown = np.where(nothing[:, None], 0, self._kept.since(keys, kept))
        more = np.where((every["claimed"] > 0)[:, None], self._counted.since(claims, counted), 0)
        self._kept.keep(keys[lives], kept[lives])
        self._counted.keep(claims[lives], counted[lives])
        return np.concatenate([grown, more], axis=1)

    def _complete(self, rows: Batch) -> dict[int, str | int]:
        """Fill in who lives has in memory; the arguments of those that are new or have become another program."""
        fresh: dict[int, str | int] = {}
        lives = np.flatnonzero((rows["state"] != b"X") & (rows["kind"] == 0))
        for at in lives.tolist():
            row = rows[at]
            key, pid, name = int(row["id"]), int(row["pid"]), bytes(row["comm"])
            row["rss"] = self._facts.resident(pid)
            if self._argv.get(key) != name or row["execs"]:
                self._argv[key] = name
                if arguments := self._facts.arguments(pid):
                    fresh[key] = arguments
        return fresh


def among(values: npt.NDArray[np.uint64], known: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Which of the values are known: np.isin takes several times as long for some hundreds."""
    if not len(known):
        return np.zeros(len(values), np.bool_)
    known = np.sort(known)
    found: npt.NDArray[np.bool_] = known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
    return found


def _key(threads: Batch, what: str) -> npt.NDArray[np.uint64]:
    """What tells a thread (or what it counted) from others."""
    spread: npt.NDArray[np.uint64] = threads[what] + threads["tid"].astype(np.uint64) * _SPREAD
    return spread


def _identity(threads: Batch) -> npt.NDArray[np.uint64]:
    """The id of each record's process: when it began, in clock ticks as in /proc/PID/stat, and its pid."""
    begun = threads["start"] // np.uint64(_CLOCK_TICK_NS)
    found: npt.NDArray[np.uint64] = begun << np.uint64(_PID_BITS) | threads["pid"].astype(np.uint64)
    return found


def _matrix(threads: Batch, names: Iterable[str], waits: npt.NDArray[np.uint32] | None = None) -> Table:
    columns = [threads[name].astype(np.int64)[:, None] for name in names]
    return np.concatenate([*columns, *([] if waits is None else [waits.astype(np.int64)])], axis=1)


def _by_process(threads: Batch, grown: Table) -> Batch:
    """Threads put together; of each process the leader's record says who it is, or whichever is there."""
    ids = _identity(threads)
    lives = threads["why"] == _LIVES
    leader = threads["tid"] == threads["pid"]
    described = threads["why"] != _PUSHED_OUT
    order = np.lexsort((~leader, ~lives, ~described, ids))
    first = np.flatnonzero(np.concatenate([[True], ids[order][1:] != ids[order][:-1]]))
    sums = np.add.reduceat(grown[order], first, axis=0)
    rows: Batch = np.zeros(len(first), _WORK)
    chosen = threads[order[first]]
    for at, name in enumerate(_FIGURES):
        rows[name] = sums[:, at]
    rows["wait"] = sums[:, len(_FIGURES) :]
    rows["threads"] = np.add.reduceat(lives[order].astype(np.uint32), first)
    rows["focused"] = np.maximum.reduceat(threads["flags"][order] & _IN_FOCUS, first)
    rows["id"], rows["start"], rows["age_ns"] = ids[order[first]], chosen["start"], chosen["lived_ns"]
    for name in ("cgroup", "pid", "ppid", "uid", "comm", "exit_code"):
        rows[name] = chosen[name]
    rows["kind"] = (chosen["flags"] & _KERNEL_THREAD) > 0
    rows["state"] = _letters(chosen["state"], running=np.maximum.reduceat((threads["state"] == 0)[order], first))
    _set_ends(rows)
    return rows[np.maximum.reduceat(described[order], first)]  # of who was only pushed out, more is not known


def _letters(states: npt.NDArray[np.uint32], running: npt.NDArray[np.bool_]) -> npt.NDArray[np.bytes_]:
    """States as ps has them; who has a thread that runs, runs."""
    found = np.full(len(states), b"R", "S1")
    for bits, letter in _STATES:
        found[(states & bits == bits) & (found == b"R")] = letter.encode()
    return np.where(running & (found != b"Z") & (found != b"X"), np.bytes_(b"R"), found)


def _set_ends(rows: Batch) -> None:
    """Who has no thread left has ended; the kernel's exit codes are those of wait(2)."""
    gone = rows["threads"] == 0
    status = rows["exit_code"]
    code = np.where(status & 0x7F, 128 + (status & 0x7F), (status >> 8) & 0xFF)
    rows["state"] = np.where(gone, np.bytes_(b"X"), rows["state"])
    rows["exit_code"] = np.where(gone | (rows["state"] == b"Z"), code, -1)
    rows["count"], rows["exits"] = 1, gone
    rows["failed_exits"] = gone & (code != 0)


def _folded(born_and_gone: Batch, rows: Batch) -> Batch:
    """Those that were born and ended in the interval: one row for each name below a parent that lives."""
    if not len(born_and_gone):
        return born_and_gone
    parents = dict(zip(rows["pid"].tolist(), rows["ppid"].tolist(), strict=True))
    lives = set(rows["pid"][rows["state"] != b"X"].tolist())
    born_and_gone["ppid"] = [_nearest(pid, parents, lives) for pid in born_and_gone["ppid"].tolist()]
    order = np.argsort(born_and_gone, order=("ppid", "uid", "comm", "start"))
    sorted_ = born_and_gone[order]
    same = np.ones(len(sorted_), np.bool_)
    for name in ("ppid", "uid", "comm"):
        same[1:] &= sorted_[name][1:] == sorted_[name][:-1]
    same[0] = False
    first = np.flatnonzero(~same)
    folded: Batch = sorted_[np.append(first[1:], len(sorted_)) - 1]  # the last of each speaks for them
    for name in (*_FIGURES, "count", "exits", "failed_exits", "wait", "age_ns"):
        folded[name] = np.add.reduceat(sorted_[name], first, axis=0)
    folded["age_ns"] //= folded["count"]
    folded["focused"] = np.maximum.reduceat(sorted_["focused"], first)
    return folded


def _nearest(pid: int, parents: dict[int, int], lives: set[int]) -> int:
    """The first on the way up that lives."""
    seen = set()
    while pid not in lives and pid in parents and pid not in seen:
        seen.add(pid)
        pid = parents[pid]
    return pid


def _news(rows: Batch, before: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Whose row says anything: who did something, began or ended."""
    says: npt.NDArray[np.bool_] = (rows["state"] == b"X") | ~among(rows["id"], before)
    for name in _FIGURES:
        says |= rows[name] > 0
    return says


def _set_ages(rows: Batch, end: int) -> None:
    """`start` becomes Unix time; who has ended grows no older."""
    booted = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    rows["start"] += np.uint64(booted)
    lives = (rows["age_ns"] == 0) | (rows["state"] != b"X")
    rows["age_ns"][lives] = np.maximum(np.int64(end) - rows["start"][lives].astype(np.int64), 0)


def _finished(rows: Batch) -> Batch:
    """The rows as they are told."""
    told: Batch = np.zeros(len(rows), ROW)
    for name in ROW.names or ():
        told[name] = rows[name]
    return told
