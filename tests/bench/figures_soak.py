"""Half an hour of opens at a steady rate: memory, and whether ticks keep their time. Only where it is asked for."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ebtop.record.reader import Recording
from tests import loads
from tests.bench import processes
from tests.bench.figures_opens import STEADY, TOOL, target
from tests.bench.plan import Plan
from tests.bench.report import Curve, Figure
from tests.bench.tracers import EBTOP, Tracer, attached, dashboard

RECORD = "ebtop record"
MINUTES = 30
SAMPLES = 60


def soak(plan: Plan) -> Iterator[Curve | Figure]:
    """The dashboard and a recorder beside it, under the same opens."""
    seconds = round(plan.seconds(60 * MINUTES))
    pss = Curve("soak_pss", f"PSS at {STEADY:,} opens a second", "MiB", "minutes", digits=1)
    own = Curve("soak_own", f"Memory of its own at {STEADY:,} opens a second", "MiB", "minutes", digits=1)
    late = Figure("soak_late", "How much later a tick of the recording ends than its number says", "ms", digits=2)
    lost = Figure("soak_lost", "Events lost in that time", "events")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, target() as path, ExitStack() as stack:
        file = Path(folder, "soak.ebtop")
        recorder = Tracer(RECORD, (str(EBTOP), "record", TOOL, "-o", str(file)))
        running = {each.name: stack.enter_context(attached(each)) for each in (dashboard(TOOL), recorder)}
        load = subprocess.Popen(loads.command("opens", path, f"{seconds}s", 1, STEADY), stdout=subprocess.DEVNULL)
        begun = time.monotonic()
        while load.poll() is None:
            time.sleep(seconds / SAMPLES)
            minutes = f"{(time.monotonic() - begun) / 60:.1f}"
            for name, one in running.items():
                pss.add(minutes, name, processes.pss_bytes(one.pid) / (1 << 20))
                own.add(minutes, name, processes.own_bytes(one.pid) / (1 << 20))
        stack.close()
        _ticks(file, late, lost)
    yield from (own, pss, late, lost)


def _ticks(file: Path, late: Figure, lost: Figure) -> None:
    """The whole ticks' ends, against a clock that starts with the first and has their median step; in tenths of the
    time, so that a drift is seen."""
    with Recording(file) as recording:
        late.note(f"{file.stat().st_size / 1e6:,.0f} MB were recorded")
        moments = [moment.end for moment in recording.moments(TOOL)][1:-1]
        lost.add(RECORD, sum(tick.lost_count for tick in recording.ticks([TOOL])))
    ends = np.array(moments, dtype=np.float64)
    step = np.round(np.median(np.diff(ends)), -7)
    off = (ends - ends[0]) - step * np.round((ends - ends[0]) / step)
    for part in np.array_split(off, 10):
        late.add(RECORD, float(np.median(part)) / 1e6)
