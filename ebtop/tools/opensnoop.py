"""opensnoop: every open, creat, openat and openat2."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ebtop import eventstack
from ebtop.tool import Attach, Batch, Column, Kind, Names, Probe, Ring, Slot, Tool, Type, Value, named

UNKNOWN = (1 << 64) - 1
"""latency_ns of a call whose entry was not seen."""

_ACCESS = {0: "RDONLY", 1: "WRONLY", 2: "RDWR", 3: "NOACCESS"}
# Octal values of include/uapi/asm-generic/fcntl.h; O_SYNC and O_TMPFILE contain other flags, so they come first.
_FLAGS = (
    (0o4010000, "SYNC"), (0o20200000, "TMPFILE"), (0o100, "CREAT"), (0o200, "EXCL"), (0o400, "NOCTTY"),
    (0o1000, "TRUNC"), (0o2000, "APPEND"), (0o4000, "NONBLOCK"), (0o10000, "DSYNC"), (0o20000, "ASYNC"),
    (0o40000, "DIRECT"), (0o100000, "LARGEFILE"), (0o200000, "DIRECTORY"), (0o400000, "NOFOLLOW"),
    (0o1000000, "NOATIME"), (0o2000000, "CLOEXEC"), (0o10000000, "PATH"),
)  # fmt: skip


def flag_names(flags: int) -> list[str]:
    """Open flags by their names without O_: [RDONLY, CLOEXEC]; bits without a name in hexadecimal."""
    names = [_ACCESS[flags & 3]]
    rest = flags & ~3
    for bits, name in _FLAGS:
        if rest & bits == bits:
            names.append(name)
            rest &= ~bits
    return names + ([hex(rest)] if rest else [])


def flags(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `flags` column."""
    known: dict[int, list[str]] = {}
    return [known.get(bits) or known.setdefault(bits, flag_names(bits)) for bits in batch["flags"].tolist()]


def latency(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `latency_ns` column: None where the entry of the call was not seen."""
    return [None if ns == UNKNOWN else ns for ns in batch["latency_ns"].tolist()]


def absolute(path: str, directory: str | None) -> str | None:
    """A path as given, and the directory that it starts from (None: not known)."""
    if path.startswith("/"):
        return path
    if directory is None:
        return None
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    base = directory.rstrip("/")
    return f"{base}/{path}" if path not in {"", "."} else base or "/"


def abspath(batch: Batch, names: Names) -> Sequence[Value]:
    """The `abspath` column: `..` stays, as what it means depends on symbolic links."""
    known = names.get("dir", {})
    paths = [os.fsdecode(raw) for raw in batch["path"].tolist()]
    rows = zip(paths, batch["dir"].tolist(), strict=True)
    return [absolute(path, str(known[key]) if key in known else None) for path, key in rows]


TOOL = Tool(
    name="opensnoop",
    key="3",
    kind=Kind.EVENTS,
    group="filesystem",
    title="files opened: open, creat, openat, openat2",
    help=(
        "Every attempt to open a file, with its result and how long the call took. PATH is what the program gave; "
        "`abspath` in the details is that path seen from the directory it started from, in the process's own root. "
        "Opens that go through io_uring, and those of 32-bit programs on a 64-bit kernel, are not system calls of "
        "this kind and are not shown."
    ),
    slots=(
        Slot(
            "open",
            (
                # Raw before plain tracepoints: both are stable, and the raw pair costs the traced program a third less.
                (
                    Probe(Attach.RAW_TRACEPOINT, "sys_enter", "enter_raw"),
                    Probe(Attach.RAW_TRACEPOINT, "sys_exit", "exit_raw"),
                ),
                (
                    Probe(Attach.RAW_TRACEPOINT, "sys_enter", "enter_raw"),
                    Probe(Attach.RAW_TRACEPOINT, "sys_exit", "exit_raw_copy"),
                ),
                (
                    Probe(Attach.TRACEPOINT, "syscalls:sys_enter_openat", "enter_tracepoint"),
                    Probe(Attach.TRACEPOINT, "syscalls:sys_exit_openat", "exit_tracepoint"),
                    Probe(Attach.TRACEPOINT, "syscalls:sys_enter_openat2", "enter_tracepoint", optional=True),
                    Probe(Attach.TRACEPOINT, "syscalls:sys_exit_openat2", "exit_tracepoint", optional=True),
                    Probe(Attach.TRACEPOINT, "syscalls:sys_enter_open", "enter_tracepoint", optional=True),
                    Probe(Attach.TRACEPOINT, "syscalls:sys_exit_open", "exit_tracepoint", optional=True),
                    Probe(Attach.TRACEPOINT, "syscalls:sys_enter_creat", "enter_tracepoint", optional=True),
                    Probe(Attach.TRACEPOINT, "syscalls:sys_exit_creat", "exit_tracepoint", optional=True),
                ),
            ),
        ),
        eventstack.SLOT,
    ),
    rings=(
        Ring("events", "open_event", 32 << 20, cleared=True),
        Ring("medium_events", "open_event_medium", 16 << 20, cleared=True),
        Ring("long_events", "open_event_long", 4 << 20),
        Ring("dirs", "dir_path_short", 4 << 20, role="names:dir"),
        Ring("long_dirs", "dir_path", 1 << 20, role="names:dir"),
        *eventstack.RINGS,
    ),
    group_by="path",
    columns=(
        Column("ts", "TIME", Type.TIME, "when the call returned", 12, rank=2),
        Column("pid", "PID", Type.INT, "process", 7, rank=1),
        Column("tid", "TID", Type.INT, "thread", 7, hidden=True),
        Column("uid", "USER", Type.USER, "user", 8, rank=6),
        Column("comm", "COMM", Type.TEXT, "name of the thread", 16, rank=2),
        Column("ret", "RET", Type.RET, "file descriptor, or why it failed", 8, rank=2),
        Column("latency_ns", "LATENCY", Type.DURATION, "time inside the call", 8, rank=4, derive=latency),
        Column("flags", "FLAGS", Type.FLAGS, "how it was opened", 18, rank=5, derive=flags),
        Column("mode", "MODE", Type.INT, "permissions of a file it may create", 6, hidden=True),
        Column("path", "PATH", Type.PATH, "the file, as it was given", 40, rank=1),
        Column("abspath", "ABSPATH", Type.PATH, "the file, from the root of the process", 40, hidden=True,
               derive=abspath),
        Column("cgroup", "CGROUP", Type.TEXT, "control group", 24, hidden=True, derive=named("cgroup", "cgroup")),
        *eventstack.COLUMNS,
    ),
    stacks=True,
)  # fmt: skip
