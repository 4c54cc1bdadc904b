"""probe: any attach points, as the user asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebtop.tool import Column, Kind, Tool, Type, named

if TYPE_CHECKING:
    from ebtop.probing.plan import Plan


def _declared(static: Tool, plan: Plan) -> Tool:
    from ebtop.probing.declare import declared  # takes a while, which the start of all the others need not wait for

    return declared(static, plan)


TOOL = Tool(
    name="probe",
    key="9",
    kind=Kind.EVENTS,
    group="system",
    title="hits of attach points of your choice",
    help=(
        "Attach points that you choose, of the kernel, of programs and of the CPU (ebtop probes lists them): each hit "
        "with its arguments, how often each is hit, how long calls take, how an argument is distributed, or the stacks "
        "that lead there. A filter over the arguments is part of the program in the kernel; & goes before comparisons, "
        "unlike in C: flags & 3 == 3 asks for both bits, flags & 3 for one of them. An argument whose name is "
        "that of a column (pid, comm) has arg_ before it. Strings are read up to 128 bytes; longer ones end with …. ? "
        "is one that was not in memory (a program that has not touched it yet, and the kernel does not wait there), "
        "NULL one that is nowhere; in JSON both are null, and unread names those that were not in memory."
    ),
    slots=(),
    columns=(
        Column("ts", "TIME", Type.TIME, "when", 12, rank=2),
        Column("pid", "PID", Type.INT, "process", 7, rank=1),
        Column("tid", "TID", Type.INT, "thread", 7, hidden=True),
        Column("uid", "USER", Type.USER, "user", 8, rank=10_000),
        Column("comm", "COMM", Type.TEXT, "name of the thread", 16, rank=2),
        Column("cgroup", "CGROUP", Type.TEXT, "control group", 24, hidden=True, derive=named("cgroup", "cgroup")),
    ),
    make=_declared,
)
