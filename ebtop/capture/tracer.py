"""One running tool: its descriptors, its readers, and what they gave since the last tick."""

from __future__ import annotations

import secrets
import select
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ebtop.capture import bpfcall
from ebtop.capture.detaching import detach
from ebtop.capture.finish import Finisher
from ebtop.capture.histograms import STACK_KEY, HistogramMaps, PairedMaps
from ebtop.capture.loader import Loaded, online_cpus
from ebtop.capture.perfbuffer import PerfReader
from ebtop.capture.program import Program, places
from ebtop.capture.ring import Reader, RingReader
from ebtop.tick import Cost
from ebtop.tool import Attach, Batch, Ring, Tool, probes_of

NO_STACK = "stack missing"
LOST = ("ring full", "map full", NO_STACK, "slot shared", "memory unreadable")
"""Names of struct counters' fields after `submitted` (bpf/include/counters.h)."""
MOST_STREAMS = 8
"""How many numbers that has."""
BACKLOG, BUSY = "backlog full", "program was running"
MOST_UNASKED_S = 10.0
"""So long after it happened, at most, is a program's being busy told."""


GO_ON_IN = {
    Attach.RAW_TRACEPOINT: "stacked_raw",
    Attach.TRACEPOINT: "stacked_tracepoint",
    Attach.KPROBE: "stacked_kprobe",
    Attach.KRETPROBE: "stacked_kprobe",
}
"""Maps of programs that others of that kind go on in (bpf/include/stacks.h); those programs have none."""


def possible_cpus() -> int:
    """How many values a per-CPU map holds for each key."""
    possible = Path("/sys/devices/system/cpu/possible").read_text().strip()
    return int(possible.split("-")[-1].split(",")[-1]) + 1


def lost_of_missed(missed: Mapping[str, int], stand_ins: Mapping[str, str]) -> int:
    """At most so many hits were lost, of how many each function missed so far. `stand_ins`: for whom they do.

    What a function and its stand-in have both missed is among what either has. The totals only grow, so the differences
    from one tick to the next add up to this; of two differences the less could be too little, as they are not read at
    the same time.
    """
    left = dict(missed)
    for function, other in stand_ins.items():
        if function in left and other in left:
            left[other] = min(left[other], left.pop(function))
    return sum(left.values())


class Rate(NamedTuple):
    """What the programs cost a second: ns that they ran, and how often."""

    run_ns: float = 0.0
    run_count: float = 0.0

    def over(self, seconds: float) -> Cost:
        """What that is in so many seconds."""
        return Cost(round(self.run_ns * seconds), round(self.run_count * seconds))


class Taken(NamedTuple):
    """What a tracer gives for a tick: records by ring, ids of the control groups in them, what was lost by reason,
    what the programs cost when they were last timed."""

    pending: dict[str, list[Batch]]
    cgroups: set[int]
    lost: Counter[str]
    rate: Rate


class Tracer:
    """`backlog` bounds the bytes that wait for a tick; what comes beyond is dropped and counted."""

    def __init__(self, tool: Tool, program: Program, loaded: Loaded, backlog: int) -> None:
        self.tool, self.loaded = tool, loaded
        self._backlog = backlog
        self._lock = threading.Lock()
        self._pending: dict[str, list[Batch]] = {}
        self.pending_bytes = 0
        self._dropped = 0
        self._counted = np.zeros(len(LOST), np.uint64)
        self._timed_from: tuple[int, int] | None = None
        self._rate = Rate()
        self._missed, self._asked = 0, 0.0
        self._gauged: dict[str, int] = {}
        self._counts: npt.NDArray[np.uint64] | None = None
        self._cpus = possible_cpus()
        self._stand_ins = {p.function: p.stands_in_for for p in probes_of(tool.slots) if p.stands_in_for}
        self._finisher = Finisher()
        self._program = program
        self._poll: select.epoll | None = None
        self._readers = self._open_readers(loaded, [r for r in tool.rings if loaded.stacks or not r.with_stacks])
        self.histograms = HistogramMaps(tool, loaded.maps) if tool.histogram_map else None
        self.seen = PairedMaps(tool.stack_map, loaded.maps, STACK_KEY) if tool.stack_map else None
        if self.seen:
            self.take_stacks(on=True)
        if program.perf_buffer:
            self._lost()  # the programs were attached before there was a buffer: only now does tracing begin

    def _open_readers(self, loaded: Loaded, rings: Iterable[Ring]) -> list[tuple[str, Reader]]:
        readers: list[tuple[str, Reader]] = []
        for ring in rings:
            fd, record = loaded.maps[ring.map], self._program.records[ring.struct]
            finish = self._finisher.of(ring, record)
            reader: Reader = (
                PerfReader(fd, ring.size, record, finish, online_cpus())
                if self._program.perf_buffer
                else RingReader(fd, ring.size, record, finish)
            )
            readers.append((ring.map, reader))
        return readers

    def watch(self, poll: select.epoll) -> None:
        """Register the streams for wake-ups."""
        self._poll = poll
        for _name, reader in self._readers:
            reader.watch(poll)

    def drain(self) -> None:
        """Move what the rings hold into the backlog. Called from two threads."""
        with self._lock:
            self._finisher.begin()
            for name, reader in self._readers:
                batch = reader.read()
                if batch is None:
                    continue
                if self.pending_bytes + batch.nbytes > self._backlog:
                    self._dropped += len(batch)
                    continue
                self.pending_bytes += batch.nbytes
                self._pending.setdefault(name, []).append(batch)

    @property
    def has_new(self) -> bool:
        """Are there processes to look at?"""
        return bool(self._finisher.new)

    def take_new(self) -> set[int]:
        """Those that came since the last call."""
        with self._lock:
            new, self._finisher.new = self._finisher.new, set()
        return new

    def go_on_in(self, others: Loaded) -> None:
        """Have the programs go on in others that walk stacks, whenever these are wanted. Raises OSError where their
        buffers cannot be mapped."""
        readers = self._open_readers(others, [ring for ring in self.tool.rings if ring.with_stacks])
        with self._lock:
            self._readers += readers
        if self._poll:
            for _name, reader in readers:
                reader.watch(self._poll)
        kinds = {probe.function: probe.kind for probe in probes_of(self.tool.slots)}
        for function, place in places(self.tool).items():
            if function in others.programs and kinds[function] in GO_ON_IN:
                array = self.loaded.maps[GO_ON_IN[kinds[function]]]
                bpfcall.update(array, struct.pack("<I", place), struct.pack("<I", others.programs[function]))

    def take_stacks(self, on: bool) -> None:
        """Switch the stacks of events on or off, for a tool that can take them, while its programs run."""
        seed = secrets.randbits(64) | 1 if on else 0
        bpfcall.update(self.loaded.maps["switches"], struct.pack("<I", 0), struct.pack("<Q", seed))

    def begin_timing(self) -> None:
        """The kernel times the programs from now on, until the next `take`."""
        self._timed_from = self._runs()[:2]

    def take(self, timed_s: float, last: bool = False) -> Taken:
        """What came since the last call. The programs were timed for the last `timed_s` seconds, if at all."""
        self.drain()
        with self._lock:
            pending, self._pending, self.pending_bytes = self._pending, {}, 0
            dropped, self._dropped = self._dropped, 0
            cgroups, self._finisher.cgroups = self._finisher.cgroups, set()
        lost = self._lost() + Counter({BACKLOG: dropped})
        # Asking each program costs as much as all the rest of a quiet tick: where they are timed, mostly only then.
        if timed_s or last or self._timed_from is None or time.monotonic() > self._asked + MOST_UNASKED_S:
            lost += self._take_runs(timed_s)
        return Taken(pending, cgroups, lost, self._rate)

    def _take_runs(self, timed_s: float) -> Counter[str]:
        """Learn what the programs cost: how often they were not run since this was asked last."""
        self._asked = time.monotonic()
        run_ns, run_count, missed = self._runs()
        if timed_s and self._timed_from is not None:
            then = self._timed_from
            self._rate = Rate((run_ns - then[0]) / timed_s, (run_count - then[1]) / timed_s)
        before, self._missed = self._missed, missed
        return Counter({BUSY: missed - before})

    def _runs(self) -> tuple[int, int, int]:
        runs = {function: bpfcall.program_runs(fd) for function, fd in self.loaded.programs.items()}
        missed = lost_of_missed({function: missed for function, (_, _, missed) in runs.items()}, self._stand_ins)
        return sum(ns for ns, _, _ in runs.values()), sum(count for _, count, _ in runs.values()), missed

    def _lost(self) -> Counter[str]:
        fd = self.loaded.maps["counters"]
        width = 8 * (MOST_STREAMS + len(LOST))
        raw = bpfcall.lookup(fd, struct.pack("<I", 0), width * self._cpus)
        now = np.frombuffer(raw, np.uint64).reshape(self._cpus, -1).sum(axis=0)[MOST_STREAMS:]
        fresh, self._counted = now - self._counted, now
        if not fresh.any():
            return Counter()
        return Counter({name: int(n) for name, n in zip(LOST, fresh.tolist(), strict=True) if n})

    def gauges(self) -> dict[str, float]:
        """What the gauge maps grew by since the last call."""
        grown = {}
        for name in self.tool.gauge_maps:
            raw = bpfcall.lookup(self.loaded.maps[name], struct.pack("<I", 0), 8 * self._cpus)
            now = int(np.frombuffer(raw, np.uint64).sum())
            grown[name], self._gauged[name] = now - self._gauged.get(name, 0), now
        return dict(grown)

    def counts(self) -> npt.NDArray[np.uint64]:
        """What each entry of the count map grew by since the last call."""
        fd = self.loaded.maps[self.tool.count_map]
        keys = range(bpfcall.map_shape(fd).entries)
        raw = b"".join(bpfcall.lookup(fd, struct.pack("<I", key), 8 * self._cpus) for key in keys)
        now: npt.NDArray[np.uint64] = np.frombuffer(raw, np.uint64).reshape(len(keys), self._cpus).sum(axis=1)
        grown: npt.NDArray[np.uint64] = now if self._counts is None else now - self._counts
        self._counts = now
        return grown

    def detach(self) -> None:
        """No new records from now on; what is in the rings can still be taken."""
        fds = list(self.loaded.attachments)
        self.loaded.attachments.clear()
        detach(fds)

    def close(self) -> None:
        """Detach and free everything."""
        self.detach()
        with self._lock:
            for _name, reader in self._readers:
                reader.close()
            self._readers.clear()
        self.loaded.close()


def tool_defines(options: Mapping[str, int]) -> dict[str, int]:
    """-D values that do not come from the streams. THREADS: slots of direct-mapped tables, one per possible thread
    up to 262,144 (8 MB), a power of two."""
    pid_max = int(Path("/proc/sys/kernel/pid_max").read_text())
    threads = min(1 << 18, 1 << (pid_max - 1).bit_length())
    return {"THREADS": threads} | {name.upper(): value for name, value in options.items()}
