"""What /proc says of processes. Any of them may vanish at any step, and all that it says was chosen by someone."""

from __future__ import annotations

import os
import pwd
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from ebtop.resolve.bounded import BoundedCache
from ebtop.resolve.container import container_of
from ebtop.resolve.credentials import credentials, namespaces
from ebtop.resolve.regularfile import read_bounded
from ebtop.tick import CHILDREN_TOLD, Ancestor, ProcessDetails
from ebtop.tool import text

_MAX_ARGUMENTS = 128 << 10
_MAX_ANCESTOR_ARGUMENTS = 4096
_MAX_ANCESTORS = 64
_MAX_CHILD_ARGUMENTS = 512
_MAX_THREADS = 1024
"""A process with more threads is not asked for each one's children: looking at all processes is cheaper."""
_MAX_FILE = 64 << 10
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

_known_comms: BoundedCache[int, str] = BoundedCache(16384, 2 << 20)
_known_details: BoundedCache[int, tuple[ProcessDetails, int]] = BoundedCache(512, 8 << 20)


def details(pid: int) -> ProcessDetails:
    """What is known of a process; of one that is gone what was known when it was last asked for. Never raises."""
    known = _known_details.get(pid)
    try:
        found, start = _read_details(pid)
    except (OSError, ValueError, IndexError):
        return replace(known[0], alive=False) if known else ProcessDetails(pid, alive=False, comm=_known(pid))
    if known and known[1] == start:  # a process that is ending loses these one by one
        before = known[0]
        found = replace(
            found,
            exe=found.exe or before.exe,
            cwd=found.cwd or before.cwd,
            argv=found.argv or before.argv,
            start=before.start,  # worked out from two clocks, it would differ a little each time
        )
    _known_details.put(pid, (found, start), _weight(found))
    return found


def _weight(found: ProcessDetails) -> int:
    """About how many bytes the details take."""
    kin = (*found.ancestors, *found.children)
    words = (found.argv, *(process.argv for process in kin))
    return 2000 + 200 * len(kin) + sum(len(word) + 60 for argv in words for word in argv)


def _read_details(pid: int) -> tuple[ProcessDetails, int]:
    """The details, and when the process started, which tells it from others that had its pid."""
    name, parent, threads, start, pages = _stat(pid)
    _known_comms.put(pid, name, len(name) + 100)
    cgroup, container = _cgroup(pid)
    status = _status(pid)
    rights = credentials(status)
    age_s = max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - start / _TICKS)
    found = ProcessDetails(
        pid,
        alive=True,
        comm=name,
        exe=_link(f"/proc/{pid}/exe"),
        cwd=_link(f"/proc/{pid}/cwd"),
        user=user_name(rights.uid) if rights.uid is not None else "",
        cgroup=cgroup,
        container=container,
        argv=_argv(pid, _MAX_ARGUMENTS),
        ancestors=_ancestors(pid, parent),
        threads=threads,
        rss=pages * _PAGE,
        age_s=age_s,
        uid=rights.uid,
        gid=rights.gid,
        groups=rights.groups,
        state=_state(status),
        capabilities=rights.capabilities,
        all_capabilities=rights.all_capabilities,
        namespaces=namespaces(pid),
        children=_children(pid, threads),
        start=time.time_ns() - int(age_s * 1e9),
    )
    return found, start


def _stat(pid: int) -> tuple[str, int, int, int, int]:
    """(comm, ppid, threads, start in ticks since boot, resident pages), see proc_pid_stat(5).

    Raises OSError, ValueError, IndexError.
    """
    data = read_bounded(f"/proc/{pid}/stat", 4096)
    opened, closed = data.index(b"("), data.rindex(b")")  # the name between them may hold anything
    fields = data[closed + 2 :].split()
    return text(data[opened + 1 : closed]), int(fields[1]), int(fields[17]), int(fields[19]), int(fields[21])


def started(pid: int) -> int:
    """When a process started, in ticks since boot and at least 1; 0 when it has gone."""
    try:
        return max(1, _stat(pid)[3])
    except (OSError, ValueError, IndexError):
        return 0


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def _status(pid: int) -> bytes:
    try:
        return read_bounded(f"/proc/{pid}/status", _MAX_FILE)
    except OSError:
        return b""


def _state(status: bytes) -> str:
    """The letter that says whether it runs, sleeps or is dead already; "" where it is not told."""
    line = next((line for line in status.split(b"\n") if line.startswith(b"State:\t")), b"")
    letter = line[7:8]
    return letter.decode() if letter.isalpha() else ""


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """The name of a user; the number itself when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def _cgroup(pid: int) -> tuple[str, str]:
    """The cgroup2 path and the container; on hosts with cgroup v1 the container may be in those paths only."""
    try:
        lines = text(read_bounded(f"/proc/{pid}/cgroup", _MAX_FILE)).split("\n")  # names may hold other line ends
    except OSError:
        return "", ""
    paths = [
        (controllers, path) for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") > 1)
    ]
    unified = next((path for controllers, path in paths if not controllers), "")
    return unified, next(filter(None, map(container_of, [unified, *(path for _, path in paths)])), "")


def _argv(pid: int, limit: int) -> tuple[str, ...]:
    try:
        data = read_bounded(f"/proc/{pid}/cmdline", limit)
    except OSError:
        return ()
    return tuple(text(argument) for argument in data.removesuffix(b"\0").split(b"\0")) if data else ()


def arguments(pid: int) -> str:
    """The arguments of a process, at most 4 KiB of them, with a NUL between them; "" where there are none."""
    return "\0".join(_argv(pid, _MAX_ANCESTOR_ARGUMENTS))


def resident(pid: int) -> int:
    """Bytes of memory that are resident, 0 for a process that has gone."""
    try:
        return int(read_bounded(f"/proc/{pid}/statm", 256).split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def _ancestors(pid: int, parent: int) -> tuple[Ancestor, ...]:
    """The parent first, pid 1 (or the first process of the pid namespace) last."""
    found: list[Ancestor] = []
    seen = {pid}
    while parent > 0 and parent not in seen and len(found) < _MAX_ANCESTORS:
        seen.add(parent)
        try:
            name, above, *_ = _stat(parent)
        except (OSError, ValueError, IndexError):
            break
        found.append(Ancestor(parent, name, _argv(parent, _MAX_ANCESTOR_ARGUMENTS)))
        parent = above
    return tuple(found)


def _children(pid: int, threads: int) -> tuple[Ancestor, ...]:
    """The children that live, oldest pid first, at most so many."""
    numbers = _children_told(pid) if threads <= _MAX_THREADS else None
    if numbers is None:  # a kernel without CONFIG_PROC_CHILDREN
        numbers = [child for child, parent in _parents() if parent == pid]
    return tuple(_described(sorted(numbers)))


def _described(numbers: Iterable[int]) -> Iterator[Ancestor]:
    told = 0
    for number in numbers:
        try:
            name, *_ = _stat(number)
        except (OSError, ValueError, IndexError):
            continue
        yield Ancestor(number, name, _argv(number, _MAX_CHILD_ARGUMENTS))
        told += 1
        if told == CHILDREN_TOLD:
            return


def _children_told(pid: int) -> list[int] | None:
    """The children of each of its threads; None where the kernel does not tell."""
    found: list[int] = []
    try:
        threads = [thread.name for thread in os.scandir(f"/proc/{pid}/task")][:_MAX_THREADS]
    except OSError:
        return []
    for thread in threads:
        try:
            words = read_bounded(f"/proc/{pid}/task/{thread}/children", _MAX_FILE).split()
        except FileNotFoundError:
            if thread == str(pid):
                return None
            continue
        except OSError:
            continue
        found += [int(word) for word in words if word.isdigit() and len(word) <= 10]
    return found


def _parents() -> Iterator[tuple[int, int]]:
    """All processes with their parents, as of one pass over /proc."""
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                yield int(entry.name), _stat(int(entry.name))[1]
            except (OSError, ValueError, IndexError):
                continue


def descendants(pid: int) -> set[int]:
    """All processes below `pid`, without itself, as of one pass over /proc. Empty when there is no such process."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for child, parent in _parents():
        children[parent].append(child)
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        new = [child for child in children[waiting.pop()] if child not in found and child != pid]
        found.update(new)
        waiting.extend(new)
    return found


def comm(pid: int) -> str:
    """The name of a process, the last known one when it is gone, "" when it was never seen. Never raises."""
    try:
        name = text(read_bounded(f"/proc/{pid}/comm", 64).removesuffix(b"\n"))
    except OSError:
        return _known(pid)
    _known_comms.put(pid, name, len(name) + 100)
    return name


def _known(pid: int) -> str:
    return _known_comms.get(pid) or ""
