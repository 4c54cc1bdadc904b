"""execsnoop: every execve and execveat, successful and failed, with whole arguments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ebtop import eventstack
from ebtop.tool import Attach, Batch, Column, Kind, Names, Probe, Ring, Slot, Tool, Type, Value, named, text


def split_args(raw: bytes, size: int, count: int) -> list[str]:
    """Arguments from their block of `size` bytes, NUL after each; `raw` may lack its trailing NULs."""
    parts = text(raw[:size]).split("\0")
    lacking = min(count - len(parts), size - len(raw))  # empty ones at the end
    return parts + [""] * lacking if lacking > 0 else parts[:count]


def argv(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `argv` column. The same arguments are split once: who starts many programs often starts one many times."""
    room = batch["args"].dtype.itemsize  # a length beyond it is a lie, and filling it up would take gigabytes
    sizes = np.minimum(batch["args_len"], room).tolist()
    rows = list(zip(batch["args"].tolist(), sizes, batch["argc"].tolist(), strict=True))
    known = {row: split_args(*row) for row in set(rows)}
    return list(map(known.__getitem__, rows))


def truncated(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `truncated` column."""
    result: Sequence[Value] = (batch["truncated"] != 0).tolist()
    return result


TOOL = Tool(
    name="execsnoop",
    key="2",
    kind=Kind.EVENTS,
    group="system",
    title="new programs: execve and execveat, with their arguments",
    help=(
        "Every program started on the machine, those that live for a millisecond included, and every failed attempt. "
        "ARGV is what the new program sees as its arguments (for a script: the interpreter first); the record keeps "
        "up to 256 KiB of them and says `truncated` where there was more. TOOK and EXIT fill in when the process ends."
    ),
    slots=(
        Slot("exec", ((Probe(Attach.RAW_TRACEPOINT, "sched_process_exec", "exec_done_raw"),),)),
        Slot(
            "failed",
            (
                (
                    Probe(Attach.TRACEPOINT, "syscalls:sys_exit_execve", "exec_failed_tracepoint"),
                    Probe(Attach.TRACEPOINT, "syscalls:sys_exit_execveat", "exec_failed_tracepoint"),
                ),
                (Probe(Attach.RAW_TRACEPOINT, "sys_exit", "exec_failed_raw"),),
            ),
        ),
        Slot(
            "before",
            (
                (Probe(Attach.RAW_TRACEPOINT, "sched_prepare_exec", "exec_prepare_raw"),),
                (
                    Probe(Attach.TRACEPOINT, "syscalls:sys_enter_execve", "exec_begin_tracepoint"),
                    Probe(Attach.TRACEPOINT, "syscalls:sys_enter_execveat", "exec_begin_tracepoint"),
                ),
                (Probe(Attach.RAW_TRACEPOINT, "sys_enter", "exec_begin_raw"),),
            ),
        ),
        eventstack.SLOT,
        Slot("exit", ((Probe(Attach.RAW_TRACEPOINT, "sched_process_exit", "exec_exit_raw"),),)),
    ),
    rings=(
        Ring("events", "exec_event", 2 << 20, cleared=True),
        Ring("medium_events", "exec_event_medium", 2 << 20, cleared=True),
        Ring("long_events", "exec_event_long", 2 << 20),
        Ring("huge_events", "exec_event_huge", 4 << 20),
        Ring("exits", "exec_exit", 1 << 20, role="rows", cleared=True),
        *eventstack.RINGS,
    ),
    defines={"HUGE_ARGS": 262144},
    perf_buffer_defines={"HUGE_ARGS": 16384},
    row_key="exec_id",
    group_by="comm",
    columns=(
        Column("ts", "TIME", Type.TIME, "when the call returned", 12, rank=2),
        Column("pid", "PID", Type.INT, "process", 7, rank=1),
        Column("tid", "TID", Type.INT, "thread that called", 7, hidden=True),
        Column("ppid", "PPID", Type.INT, "parent process", 7, rank=6),
        Column("uid", "USER", Type.USER, "user", 8, rank=5),
        Column("comm", "COMM", Type.TEXT, "name of the new program, as the kernel keeps it", 16, rank=3),
        Column("ret", "RET", Type.RET, "0, or why it failed", 7, rank=2),
        Column("duration_ns", "TOOK", Type.DURATION, "how long the program ran", 8, rank=4, late=True,
               derive=named("duration_ns", "exec_id")),
        Column("exit_code", "EXIT", Type.INT, "exit status; 128 + signal when killed", 4, rank=4, late=True,
               derive=named("exit_code", "exec_id")),
        Column("signal", "SIGNAL", Type.INT, "the signal that killed it, 0 if none", 6, hidden=True, late=True,
               derive=named("signal", "exec_id")),
        Column("path", "PATH", Type.PATH, "the file, as it was given", 32, hidden=True),
        Column("argv", "ARGV", Type.ARGV, "arguments", 40, rank=1, derive=argv),
        Column("truncated", "CUT", Type.BOOL, "there were more arguments than a record holds", 5, hidden=True,
               derive=truncated),
        Column("cgroup", "CGROUP", Type.TEXT, "control group", 24, hidden=True, derive=named("cgroup", "cgroup")),
        Column("exec_id", "ID", Type.INT, "what ties the end of a program to its start", 12, hidden=True),
        *eventstack.COLUMNS,
    ),
    stacks=True,
)  # fmt: skip
