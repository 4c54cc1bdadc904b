"""From what a tracer read to a Tick: times become Unix times, ids get names, samples become stacks."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ebtop.capture.countedstacks import CountedStacks
from ebtop.capture.eventstacks import EventStacks
from ebtop.capture.finish import distinct
from ebtop.capture.gauges import Gauges
from ebtop.capture.processes import Processes
from ebtop.capture.stacks import StackNamer
from ebtop.capture.tracer import NO_STACK, Tracer
from ebtop.countrow import ROW
from ebtop.resolve.symbols import Symbolizer
from ebtop.tick import Histogram, Tick
from ebtop.tool import Batch, Kind, Ring, text

_REMEMBERED = 4096
MOST_LOOKING_S = 0.1
"""CPU time between two ticks for looking at processes: each takes part of a millisecond, if it is like others."""
_SMALL = 1 << 16
"""Bytes of records below which batches are put together."""


class Identities(Protocol):
    """Who an id is."""

    def cgroup(self, cgroup_id: int) -> str:
        """The path of a control group, "" when it is not known."""
        ...

    def comm(self, pid: int) -> str:
        """The name of a process, "" when it has gone."""
        ...

    def container(self, cgroup_id: int) -> str:
        """The container that a control group belongs to, "" without one."""
        ...


def terminate(batch: Batch) -> None:
    """Zero what follows the end of each string, where a ring holds what was there before: past the NUL, or past
    the length in the field NAME_len."""
    names = batch.dtype.names or ()
    for name in names:
        width = batch.dtype[name].itemsize
        if batch.dtype[name].kind != "S":
            continue
        fields = batch.dtype.fields
        offset = fields[name][1] if fields else 0
        raw = np.ndarray((len(batch), width), np.uint8, batch.data, offset, (batch.strides[0], 1))
        if f"{name}_len" in names:
            ends = batch[f"{name}_len"].astype(np.int64)
        else:
            zero = raw == 0
            ends = np.where(zero.any(axis=1), zero.argmax(axis=1), width)
        raw[np.arange(width) >= ends[:, None]] = 0


def joined(batches: Sequence[Batch]) -> Iterator[Batch]:
    """The same records in the same order, in fewer batches: whatever comes later has its price for each."""
    small: list[Batch] = []
    for batch in batches:
        small.append(batch)
        if sum(each.nbytes for each in small) >= _SMALL:
            yield np.concatenate(small) if len(small) > 1 else batch
            small = []
    if small:
        yield np.concatenate(small) if len(small) > 1 else small[0]


def counted(counts: npt.NDArray[np.uint64]) -> Batch:
    """A row for each that was counted at all."""
    numbers = np.flatnonzero(counts)
    rows = np.zeros(len(numbers), ROW)
    rows["probe"], rows["count"] = numbers, counts[numbers]
    return rows


def directory_names(batches: Iterable[Batch]) -> dict[int, str]:
    """What the records of bpf/include/dir_path.h say: id to path. A path that was cut begins with ".../"."""
    found = {}
    for batch in batches:
        rows = zip(
            batch["id"].tolist(), batch["names_len"].tolist(), batch["complete"].tolist(), batch["names"], strict=True
        )
        for key, size, complete, raw in rows:
            parts = bytes(raw)[: max(0, size - 1)].split(b"\0") if size else []
            path = "/".join(text(part) for part in reversed(parts))
            found[key] = f"/{path}" if complete else f".../{path}"
    return found


@dataclass
class _Draft:
    """A tick in the making."""

    tick: Tick
    events: list[Batch] = field(default_factory=list)
    names: dict[str, dict[int, str | int]] = field(default_factory=dict)
    threads: list[Batch] = field(default_factory=list)  # that ended
    lost: Counter[str] = field(default_factory=Counter)


class TickMaker:
    """Makes the ticks of one tool."""

    def __init__(
        self, tracer: Tracer, symbols: Symbolizer, identities: Identities, processes: Processes | None = None
    ) -> None:
        self._tracer, self._symbols, self._identities = tracer, symbols, identities
        self._namer = StackNamer(symbols)
        self._event_stacks = EventStacks(self._namer)
        self._counted_stacks = CountedStacks()
        self._told_cgroups: set[int] = set()
        self._looking_s = 0.0
        self._comms: OrderedDict[int, str] = OrderedDict()
        self._processes, self._gauges = processes, Gauges() if processes else None
        tool = tracer.tool
        others = (tool.histogram_map, tool.stack_map, tool.count_map, processes)
        self._only_events = tool.kind is Kind.EVENTS and not any(others)

    def make(self, start: int, end: int, timed_s: float = 0.0, last: bool = False) -> Tick:
        """Everything since the last call; `start` and `end` are Unix ns. What the programs cost was measured for the
        last `timed_s` seconds, if at all. The `last` one has all that was lost."""
        tool, self._looking_s = self._tracer.tool, 0.0
        seen = self._tracer.seen.take() if self._tracer.seen else None  # before the stacks: each was told before
        taken = self._tracer.take(timed_s, last)
        draft = _Draft(Tick(tool.name, start, end, cost=taken.rate.over((end - start) / 1e9)))
        if self._only_events and not taken.pending and not taken.lost:  # nearly always, with many tools
            return draft.tick
        for ring in sorted(tool.rings, key=lambda ring: ring.role != "execs"):  # samples are named by what was started
            batches = taken.pending.get(ring.map, [])
            if not ring.cleared:
                for batch in batches:
                    terminate(batch)
            if batches:
                self._add(draft, ring, batches)
        if self._processes:
            taken.cgroups.update(self._add_processes(draft, end))
        if seen is not None:
            self._count_stacks(draft, *seen)
        if tool.count_map:
            draft.tick = replace(draft.tick, rows=counted(self._tracer.counts()))
        self._name_cgroups(draft, taken.cgroups)
        histograms = self._histograms() if self._tracer.histograms else ()
        return replace(
            draft.tick,
            events=tuple(draft.events),
            names=draft.names,
            histograms=histograms,
            lost=dict(taken.lost + draft.lost),
        )

    def look_at(self, pids: Iterable[int]) -> None:
        """Learn where processes have their files, while they are there."""
        for pid in pids:
            if self._looking_s > MOST_LOOKING_S:
                return
            begun = time.thread_time()
            self._namer.unwinder.look_at(pid)
            self._looking_s += time.thread_time() - begun

    def focus_changed(self) -> None:
        """Others count now: whoever does is told of in the next tick."""
        if self._processes:
            self._processes.tell_all()

    def _add(self, draft: _Draft, ring: Ring, batches: list[Batch]) -> None:
        role, _, domain = ring.role.partition(":")
        if role == "event stacks" and self._tracer.seen:
            self._counted_stacks.learn(self._event_stacks.frames(batches))
        elif role == "names":
            draft.names.setdefault(domain, {}).update(directory_names(batches))
        elif role == "event stacks":
            self._add_stacks(draft, batches)
        elif role == "execs":
            self._learn(batches)
        elif role == "stacks":
            draft.tick = replace(draft.tick, stacks=self._namer.stacks(batches))
        elif role == "threads":
            draft.threads += batches
        elif role == "rows":
            draft.tick = replace(draft.tick, rows=np.concatenate(batches))
        else:
            draft.events += joined(batches)

    def _add_processes(self, draft: _Draft, end: int) -> set[int]:
        """What each process did: the control groups that they are in."""
        if self._processes is None or self._gauges is None:
            return set()
        rows, names, gauges = self._processes.rows(draft.threads, end)
        draft.names |= names
        draft.tick = replace(draft.tick, rows=rows, gauges=gauges | self._gauges.read() | self._tracer.gauges())
        return distinct(rows["cgroup"])

    def _count_stacks(self, draft: _Draft, keys: npt.NDArray[np.void], counts: npt.NDArray[np.uint64]) -> None:
        stacks, missing = self._counted_stacks.counted(keys, counts)
        draft.tick = replace(draft.tick, stacks=stacks)
        if missing:
            draft.lost[NO_STACK] += missing

    def _add_stacks(self, draft: _Draft, batches: list[Batch]) -> None:
        told, dropped = self._event_stacks.named(batches)
        draft.names |= told
        if dropped:
            draft.lost[NO_STACK] += dropped

    def _learn(self, batches: Iterable[Batch]) -> None:
        newest: dict[bytes, int] = {}  # a shell loop starts one file a thousand times: the last may still be there
        for batch in batches:
            newest.update(zip(batch["path"].tolist(), batch["pid"].tolist(), strict=True))
        for path, pid in newest.items():
            self._symbols.learn_exec(pid, text(path))

    def _name_cgroups(self, draft: _Draft, ids: set[int]) -> None:
        fresh = {key: name for key in ids - self._told_cgroups if (name := self._identities.cgroup(key))}
        if fresh:
            self._told_cgroups |= set(fresh)
            draft.names.setdefault("cgroup", {}).update(fresh)
            if self._processes:
                contained: dict[int, str | int] = {k: name for k in fresh if (name := self._identities.container(k))}
                draft.names |= {"container": contained} if contained else {}

    def _histograms(self) -> tuple[Histogram, ...]:
        maps, buckets = self._tracer.histograms, self._tracer.tool.buckets
        if maps is None or buckets is None:
            return ()
        keys, counts = maps.take()
        if not len(keys):
            return ()
        made = self._grouped("all", np.zeros(len(keys), np.uint64), keys["bucket"], counts, buckets.count)
        made += self._grouped("pid", keys["pid"], keys["bucket"], counts, buckets.count)
        if "probe" in (keys.dtype.names or ()):
            made += self._grouped("probe", keys["probe"], keys["bucket"], counts, buckets.count)
        return tuple(made + self._grouped("cgroup", keys["cgroup"], keys["bucket"], counts, buckets.count))

    def _grouped(
        self, group: str, ids: npt.NDArray[np.uint64], bucket: npt.NDArray[np.uint32],
        counts: npt.NDArray[np.uint64], width: int,
    ) -> list[Histogram]:  # fmt: skip
        known, place = np.unique(ids, return_inverse=True)
        table = np.zeros((len(known), width), np.uint64)
        np.add.at(table, (place, bucket), counts)
        return [
            Histogram(group, key, self._label(group, key), row) for key, row in zip(known.tolist(), table, strict=True)
        ]

    def _label(self, group: str, key: int) -> str:
        if group == "all":
            return "all"
        if group == "probe":
            return self._tracer.tool.histogram_parts[key]
        if group == "cgroup":
            return self._identities.cgroup(key) or f"cgroup {key}"
        name = self._identities.comm(key) or self._comms.get(key, "")
        if name:  # remembered for when the process has gone
            self._comms[key] = name
            self._comms.move_to_end(key)
            if len(self._comms) > _REMEMBERED:
                self._comms.popitem(last=False)
        return name or f"pid {key}"
