"""The stack that led to an event: what a tool declares whose events can carry it (Tool.stacks).

The events have the id of their stack in the field `stack_id` (bpf/include/stacks.h), Tick.names its functions as JSON:
`{"stack": {77: '["_start", "main", "open"]'}, "kstack": {77: '["do_syscall_64"]'}}`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from ebtop.tool import Attach, Batch, Column, Derive, Names, Probe, Ring, Slot, Tool, Type, Value

ID = "stack_id"
"""The field of the id; 0: no stack was taken."""


def written(frames: Sequence[str]) -> str:
    """A stack, root first, as names have it."""
    return json.dumps(frames, separators=(",", ":"))


def read(text: str | int | None) -> Value:
    """A stack as names have it as a list of functions; None when it is not known."""
    if text is None:
        return None
    try:
        frames = json.loads(str(text))
    except (ValueError, RecursionError):
        frames = None
    return [str(frame) for frame in frames] if isinstance(frames, list) else [str(text)]


def stack_of(domain: str) -> Derive:
    """A column of stacks by their ids; None where none was taken or it is not known. Rows of one stack share a list."""

    def derive(batch: Batch, names: Names) -> Sequence[Value]:
        known, ids = names.get(domain, {}), batch[ID].tolist()
        found = {key: read(known.get(key)) for key in set(ids)}
        return [found[key] for key in ids]

    return derive


COLUMNS = (
    Column("stack", "STACK", Type.STACK, "the program's functions that led to it", 40, hidden=True,
           derive=stack_of("stack")),
    Column("kstack", "KSTACK", Type.STACK, "the kernel's functions that led to it", 40, hidden=True,
           derive=stack_of("kstack")),
)  # fmt: skip
"""Each tool's last ones."""

TOLD_NS = 2_000_000_000
"""The text of a stack in use is told again each second: events have theirs from ticks that ended at most so long before
their own began."""

DOMAINS = tuple(column.key for column in COLUMNS)
"""Where Tick.names has them."""

RINGS = (
    Ring("stacks", "event_stack", 2 << 20, role="event stacks", cleared=True, with_stacks=True),
    Ring("execs", "exec_path", 1 << 18, role="execs", with_stacks=True),
)
"""Each tool's last ones: a stack is told before an event that has its id, so the event is read before it."""

SLOT = Slot("programs", ((Probe(Attach.RAW_TRACEPOINT, "sched_process_exec", "remember_exec"),),))
"""Tells what short-lived programs were, while stacks are taken."""


def without(tool: Tool) -> Tool:
    """The tool as it is while no stacks are taken: without their columns."""
    return replace(tool, columns=tuple(c for c in tool.columns if c.type is not Type.STACK))
