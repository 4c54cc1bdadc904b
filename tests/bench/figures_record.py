"""What recording opens costs, and how soon any time of a large recording is shown."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ebtop import registry
from ebtop.record.reader import Recording
from ebtop.record.writer import RecordingWriter
from ebtop.source.replay import ReplaySource
from ebtop.tick import Past, Tick
from ebtop.tool import Tool
from tests import loads
from tests.bench.figures_opens import FLAT_OUT, LOAD_S, OTHERS_S, STEADY, TOOL, rate_name, target
from tests.bench.plan import Plan
from tests.bench.report import Curve, Figure
from tests.bench.running import UnavailableError
from tests.bench.terminal import Terminal
from tests.bench.tracers import BPFTRACE, EBTOP, PERF, Tracer, attached, bpftrace, perf
from tests.ui import synthetic

RECORD, SAME = "ebtop record", "bpftrace, as many columns"
RATES = (STEADY, FLAT_OUT)
BIG = 1000 << 20
OTHERS = 1_000
"""Events a second of each tool besides, in the large recording."""
TIMES = 20
_END = "\x1b[F"

_SAME_COLUMNS = """
tracepoint:syscalls:sys_enter_openat { @at[tid] = nsecs; @path[tid] = str(args->filename); @flags[tid] = args->flags;
  @mode[tid] = args->mode; }
tracepoint:syscalls:sys_exit_openat /@at[tid]/ {
  printf("%lld %d %d %d %lld %s %d %lld %d %d %s\\n", nsecs, pid, tid, uid, cgroup, comm, args->ret, nsecs - @at[tid],
    @flags[tid], @mode[tid], @path[tid]);
  delete(@at[tid]); delete(@path[tid]); delete(@flags[tid]); delete(@mode[tid]); }
"""


def _tracers(file: Path) -> list[Tracer]:
    """Those that write to a file, each with what it can say of an open."""
    script = bpftrace(TOOL).command
    same = (script[0], "-f", "json", "-e", _SAME_COLUMNS)
    return [
        Tracer(RECORD, (str(EBTOP), "record", TOOL, "--force", "-o", str(file))),
        Tracer(BPFTRACE, (script[0], "-f", "json", *script[1:]), output=str(file)),
        Tracer(SAME, same, output=str(file)),
        perf("record", "-q", "-a", "-e", "syscalls:*open*", "-o", str(file)),
    ]


def recorded(plan: Plan) -> Iterator[Curve]:
    """`ebtop record`, `bpftrace -f json > file` and `perf record`: CPU and bytes for a million opens."""
    title = "CPU for a million recorded opens, from the load's start until all was worked off"
    used = Curve("record_cpu", title, "s", "opens a second", BPFTRACE, 3)
    title = "Of that: what the tracer uses in the same time without opens"
    idle = Curve("record_cpu_idle", title, "s for a million opens", "opens a second", digits=3)
    size = Curve("record_bytes", "Bytes on disk for each open of the load", "bytes", "opens a second", BPFTRACE, 1)
    used.goals = {(RECORD, rate_name(rate)): 0.1 for rate in RATES}
    size.goals = {(RECORD, rate_name(rate)): 1 / 3 for rate in RATES}
    used.note(f"bpftrace's own script writes five columns, {RECORD} twelve; `{SAME}` writes eleven of them")
    used.note(f"{PERF} record writes no paths, and an entry and an exit for each open")
    size.note("with the opens of everything else that ran meanwhile")
    with tempfile.TemporaryDirectory() as directory, target() as path:
        for _ in plan.rounds():
            for rate in RATES:
                for tracer in _tracers(Path(directory) / "output"):
                    try:
                        _one(plan, tracer, Path(directory) / "output", path, rate, (used, idle, size))
                    except UnavailableError as error:
                        used.missing([rate_name(rate)], tracer.name, error)
    yield from (used, idle, size)


def _one(plan: Plan, tracer: Tracer, file: Path, path: str, rate: int, curves: tuple[Curve, Curve, Curve]) -> None:
    used, idle, size = curves
    for left in file.parent.glob("output*"):
        left.unlink()
    with attached(tracer) as running:
        running.rest(plan.seconds(2))
        before = sum(part.stat().st_size for part in file.parent.glob("output*"))
        seconds = plan.lasting(LOAD_S.get(rate, OTHERS_S))
        cost = running.cost_of(lambda: loads.run("opens", path, seconds, 1, rate))
    used.add(rate_name(rate), tracer.name, cost.per(cost.cpu_s))
    idle.add(rate_name(rate), tracer.name, cost.per(cost.idle_s))
    after = sum(part.stat().st_size for part in file.parent.glob("output*"))
    size.add(rate_name(rate), tracer.name, cost.per(max(after - before, 0), 1))


def replayed(plan: Plan) -> Iterator[Figure]:
    """A large recording: until `ebtop replay` shows it, until it shows its end, and any time in it."""
    megabytes = plan.scaled(BIG) >> 20
    opened = Figure("replay_open", f"Until ebtop replay shows a recording of {megabytes} MiB", "s", digits=2)
    opened.goals = {"until the screen is drawn": 1.0}
    shown = Figure("replay_show", f"Until a time in a recording of {megabytes} MiB is shown", "s", digits=3)
    shown.goals = {"End, on the screen": 0.5, "any time, read from the file": 0.5}
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "big"
        seconds = _write(file, plan.scaled(BIG))
        opened.note(f"{seconds} s at 50,000 opens a second, and {OTHERS} of each other event")
        for _ in plan.rounds():
            _on_the_screen(file, seconds, opened, shown)
            start = time.monotonic()
            recording = Recording(file)
            opened.add("the file alone", time.monotonic() - start)
            for taken in _at_any_time(recording, registry.tools()):
                shown.add("any time, read from the file", taken)
    yield from (opened, shown)


def _write(file: Path, size: int) -> int:
    """A recording of that size, the same second again and again: how many seconds."""
    tools = registry.tools()
    first = [synthetic.tick(tool, 0, STEADY if tool.name == TOOL else OTHERS) for tool in tools]
    number = 0
    with RecordingWriter(file, tools=tools) as writer:
        for tool in tools:
            writer.add(synthetic.running(tool))
        while writer.nbytes < size:
            for tick in first:
                writer.add(_later(tick, number))
            writer.add(synthetic.vitals())
            writer.commit()
            number += 1
    return number


def _later(tick: Tick, seconds: int) -> Tick:
    shift = seconds * synthetic.SECOND
    events = tuple(batch.copy() for batch in tick.events)
    for batch in events:
        batch["ts"] += np.uint64(shift)
    return replace(tick, start=tick.start + shift, end=tick.end + shift, events=events)


def _on_the_screen(file: Path, seconds: int, opened: Figure, shown: Figure) -> None:
    last = time.strftime("%H:%M:%S.", time.localtime(synthetic.START // synthetic.SECOND + seconds - 1))
    terminal = Terminal([str(EBTOP), "replay", str(file)], 120, 36)
    try:
        opened.add("until the screen is drawn", terminal.wait_for("REPLAY", 30))
        terminal.type(registry.find(TOOL).key)
        terminal.wait_for(" events", 30)
        shown.add("End, on the screen", terminal.answer_s(_END, last))
    finally:
        terminal.type("q")
        terminal.process.wait(10)
        terminal.close()


def _at_any_time(recording: Recording, tools: tuple[Tool, ...]) -> Iterator[float]:
    chance, meta = random.Random(7), recording.meta
    source = ReplaySource(recording, tools, steady=lambda: 0.0)
    messages = source.messages()
    for _ in range(TIMES):
        start = time.monotonic()
        source.stand(chance.randrange(meta.start, meta.end))
        while not isinstance(next(messages), Past):
            pass
        yield time.monotonic() - start
    source.close()
