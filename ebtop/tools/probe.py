"""probe: any attach points, as the user asks for."""

from __future__ import annotations

from ebtop.probing.columns import CGROUP, COMMON
from ebtop.probing.declare import declared
from ebtop.tool import Kind, Tool

TOOL = Tool(
    name="probe",
    key="9",
    kind=Kind.EVENTS,
    group="system",
    title="hits of attach points of your choice",
    help=(
        "Attach points that you choose, of the kernel, of programs and of the CPU (ebtop probes lists them): each hit "
        "with its arguments, how often each is hit, how long calls take, how an argument is distributed, or the stacks "
        "that lead there. A filter over the arguments is part of the program in the kernel. An argument whose name is "
        "that of a column (pid, comm) has arg_ before it. Strings are read up to 128 bytes; longer ones end with …."
    ),
    slots=(),
    columns=(*COMMON, CGROUP),
    make=declared,
)
