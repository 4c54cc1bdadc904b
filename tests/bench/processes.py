"""What a tree of processes uses, and whether it has attached BPF programs. Read from /proc, without its help."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

_HERTZ = os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED = 2  # linux/posix-timers.h; Python has no clock_getcpuclockid()
_PROBES = ("anon_inode:bpf_link", "anon_inode:bpf-link", "anon_inode:[perf_event]", "anon_inode:bpf-raw-tracepoint")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from `state` on; empty when the process has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _children(pid: int) -> list[int]:
    """Its living children, from what the kernel lists by thread. Raises FileNotFoundError where it does not."""
    found: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def _everyones_children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    return children


def tree(root: int) -> list[int]:
    """A process and its living descendants."""
    everyones = None if Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists() else _everyones_children()
    found = [root]
    for pid in found:
        with contextlib.suppress(OSError):
            found += everyones.get(pid, []) if everyones is not None else _children(pid)
    return found


def _clock_s(pid: int) -> float:
    """CPU seconds of one process, all threads that it ever had, to the nanosecond: its POSIX CPU clock.

    /proc/PID/stat has the same in hundredths of a second, and /proc/PID/schedstat forgets threads that have ended.
    """
    return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)


def _own_s(pid: int, fields: list[str]) -> float:
    try:
        return _clock_s(pid)
    except OSError:
        return sum(map(int, fields[11:13])) / _HERTZ


def cpu_by_process(root: int) -> dict[int, float]:
    """CPU seconds of each process of a tree so far, user and system, with those of the children it has waited for."""
    used = {}
    for pid in tree(root):
        if fields := _stat(pid):
            used[pid] = _own_s(pid, fields) + sum(map(int, fields[13:15])) / _HERTZ
    return used


def cpu_s(root: int) -> float:
    """CPU seconds of a tree so far."""
    return sum(cpu_by_process(root).values())


def pss_bytes(root: int) -> int:
    """Memory of a tree, pages that several share divided among them."""
    return _memory(root, ("Pss:",))


def own_bytes(root: int) -> int:
    """The same without pages of files, whose shares change as other processes map the same libraries."""
    return _memory(root, ("Pss_Anon:", "Pss_Shmem:"))


def _memory(root: int, kinds: tuple[str, ...]) -> int:
    total = 0
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(kinds))
    return total


def _descriptors(pids: Iterable[int]) -> Iterator[tuple[int, str, str]]:
    for pid in pids:
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for name in names:
            try:
                yield pid, name, os.readlink(f"/proc/{pid}/fd/{name}")
            except OSError:
                continue


def probes(root: int) -> frozenset[tuple[int, str, str]]:
    """The descriptors by which a tree holds its probes: links, raw tracepoints and perf events."""
    return frozenset(d for d in _descriptors(tree(root)) if d[2].startswith(_PROBES))


def tracing() -> int:
    """How many processes of this machine hold probes: others than the measured one disturb it."""
    everyone = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return len({pid for pid, _, target in _descriptors(everyone) if target.startswith(_PROBES)})


def wait_attached(root: int, timeout: float = 30, settled: float = 0.7) -> float:
    """Wait until a tree holds probes and has added none for `settled` seconds; when the last one came (monotonic).

    Raises TimeoutError when none came in time, and ProcessLookupError when the process ended instead.
    """
    deadline, last, since = time.monotonic() + timeout, frozenset[tuple[int, str, str]](), 0.0
    while (now := time.monotonic()) < deadline:
        held = probes(root)
        if held != last:
            last, since = held, now
        if held and now - since > settled:
            return since
        if not (fields := _stat(root)) or fields[0] == "Z":
            raise ProcessLookupError(f"process {root} ended before it attached anything")
        time.sleep(0.02)
    raise TimeoutError(f"nothing attached in {timeout:.0f} s")


def wait_quiet(root: int, usual: float, timeout: float = 20) -> None:
    """Wait until a tree has worked off what it was given: it uses 0.05 of a core more than `usual`, or less."""
    deadline, before = time.monotonic() + timeout, cpu_s(root)
    while time.monotonic() < deadline:
        time.sleep(0.5)
        after = cpu_s(root)
        if after - before <= 0.5 * (usual + 0.05):
            return
        before = after


def share(root: int, seconds: float = 1.0) -> float:
    """What a tree uses now, in cores, over that many seconds."""
    before, start = cpu_s(root), time.monotonic()
    time.sleep(seconds)
    return (cpu_s(root) - before) / (time.monotonic() - start)
