"""What happens to a whole machine while ebtop traces: CPUs that come and go, clocks that are set, old cgroups."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from tests import loads
from tests.kernel.ebtop import Background, Output, end_started, run, trace
from tests.vm.expectations import EXPECTED, must
from tests.vm.results import Result

_SECOND_CPU = Path("/sys/devices/system/cpu/cpu1/online")
_CGROUPS = "/sys/fs/cgroup"
_FEW, _MORE = 1009, 2003
_HOUR = 3600.0
_HALF = 342
"""Samples in three seconds at 99 Hz, and 15 % more."""


def second_cpu(online: bool) -> None:
    """Plug it in or out."""
    _SECOND_CPU.write_text(f"{online:d}")


def opened(file: Path, count: int, cpu: int) -> None:
    """Open the file so often, on that CPU."""
    subprocess.run(
        ["taskset", "-c", str(cpu), *map(str, loads.command("opens", file, count))],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


@contextmanager
def opensnoop(folder: Path) -> Iterator[Callable[[], Output]]:
    """It traces already; call what this gives for what it wrote."""
    (folder / "knock").touch()
    tracing = Background(folder / "out.json", "opensnoop", "--comm", "opens")
    try:
        tracing.wait_until_it_sees(*loads.command("opens", folder / "knock", 1))
        yield tracing.stop
    finally:
        end_started()


def exact(found: Output, **counts: int) -> None:
    """These files of the folder were opened so often, and nothing is missing."""
    seen = {name: sum(e["path"].endswith(f"/{name}") for e in found.events) for name in counts}
    must(seen == counts and found.summary["lost"] == 0, (seen, counts, found.summary))


def cpu_hot_plug(folder: Path) -> str:
    """A CPU that is there only for a while: what it does counts."""
    files = {name: folder / name for name in ("before", "there", "after")}
    for file in files.values():
        file.touch()
    with opensnoop(folder) as stop:
        opened(files["before"], _FEW, 0)
        second_cpu(online=True)
        opened(files["there"], _MORE, 1)
        second_cpu(online=False)
        opened(files["after"], _FEW, 0)
        exact(stop(), before=_FEW, there=_MORE, after=_FEW)
    return f"{_FEW} + {_MORE} + {_FEW}"


def cpu_unplugged_while_sampled(folder: Path) -> str:
    """profile samples each CPU by itself: what runs is sampled on where one goes, half-way through six seconds."""
    second_cpu(online=True)
    burn = f"(sleep 3; echo 0 >{_SECOND_CPU}) & exec {' '.join(map(str, loads.command('burn', 6)))}"
    try:
        found = trace(folder, "profile", ["sh", "-c", burn])
    finally:
        second_cpu(online=False)
    samples = sum(stack["count"] for stack in found.of("stack") if "burn_here" in stack["frames"])
    must(_HALF < samples <= 2 * _HALF, samples)
    return f"{samples} samples"


def clock_steps(folder: Path) -> str:
    """Somebody sets the clock, an hour ahead and two back: every event has the time that was shown when it happened,
    but for those of the tick in which it was set. A machine that slept looks the same: the clock is ahead of
    CLOCK_MONOTONIC by more than before. (It cannot sleep here: 9p, which carries its files, does not survive that.)"""
    files = {name: folder / name for name in ("ahead", "back")}
    real, since = time.time(), time.monotonic()
    try:
        with opensnoop(folder) as stop:
            for file, step in zip(files.values(), (_HOUR, -2 * _HOUR), strict=True):
                file.touch()
                time.clock_settime(time.CLOCK_REALTIME, time.time() + step)
                time.sleep(2.5)
                opened(file, _FEW, 0)
                time.sleep(1.5)
            found = stop()
    finally:
        time.clock_settime(time.CLOCK_REALTIME, real + time.monotonic() - since)
    exact(found, ahead=_FEW, back=_FEW)
    hours = {name: _hours(found, name, real) for name in files}
    must(hours == {"ahead": {1}, "back": {-1}}, hours)
    return f"{_FEW} + {_FEW}"


def _hours(found: Output, name: str, since: float) -> set[int]:
    """By how many hours the times of a file's events differ from `since`."""
    return {round((_unix(e["ts"]) - since) / _HOUR) for e in found.events if e["path"].endswith(f"/{name}")}


def _unix(ts: str) -> float:
    return datetime.fromisoformat(f"{ts[:26]}+00:00").timestamp()


def cgroup_v1(folder: Path) -> str:
    """Control groups of version 1 only: all is traced, and whoever wants one of these is told what is missing."""
    subprocess.run(["umount", _CGROUPS], check=True)
    try:
        subprocess.run(["mount", "-t", "cgroup", "-o", "none,name=old", "old", _CGROUPS], check=True)
        Path(_CGROUPS, "shop").mkdir()
        try:
            found = trace(folder, "opensnoop", EXPECTED["opensnoop"].command(folder))
            EXPECTED["opensnoop"].check(found, folder)
            refused = run("run", "opensnoop", "--cgroup", "/shop", "--duration", "1")
            must(refused.returncode == 2 and refused.stderr.count("\n") == 1, (refused.returncode, refused.stderr))
            must("cgroup2" in refused.stderr, refused.stderr)
        finally:
            os.rmdir(f"{_CGROUPS}/shop")
            subprocess.run(["umount", _CGROUPS], check=True)
    finally:
        subprocess.run(["mount", "-t", "cgroup2", "cgroup", _CGROUPS], check=True)
    return refused.stderr.strip()


UPSETS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "a CPU comes and goes": ("opensnoop", cpu_hot_plug),
    "a sampled CPU goes": ("profile", cpu_unplugged_while_sampled),
    "the clock is set": ("opensnoop", clock_steps),
    "cgroup version 1": ("opensnoop", cgroup_v1),
}


def upset(how: str) -> Result:
    """One of them."""
    tool, do = UPSETS[how]
    with tempfile.TemporaryDirectory(prefix="vm") as name:
        return Result(tool, how, "", 1, detail=do(Path(name)))
