"""profile: where the CPUs spend their time, by sampling stacks."""

from __future__ import annotations

from ebtop.tool import Attach, Kind, Option, Probe, Ring, Slot, Tool

TOOL = Tool(
    name="profile",
    key="6",
    kind=Kind.STACKS,
    group="cpu",
    title="on-CPU stacks, sampled",
    help=(
        "Every CPU is asked 99 times a second what it runs, and the answers are added up. 99, not 100: so as not to "
        "beat with timers that fire 100 times a second, which would be seen always or never. Idle CPUs do not count. "
        "Stacks are followed by the unwind tables that nearly every file has, as far as 4 KiB from their top, and by "
        "frame pointers; [cut] stands for callers beyond that. Functions without a name stay as [unknown] with their "
        "file: stripped programs have no names."
    ),
    slots=(
        Slot(
            "sample",
            (
                (Probe(Attach.PERF_EVENT, "cpu-clock", "sample"),),
                (Probe(Attach.PERF_EVENT, "cpu-clock", "sample_by_pointers"),),
            ),
        ),
        Slot("exec", ((Probe(Attach.RAW_TRACEPOINT, "sched_process_exec", "remember_exec", optional=True),),)),
    ),
    rings=(
        Ring("samples", "stack_sample", 4 << 20, role="stacks"),
        Ring("execs", "exec_path", 1 << 19, role="execs"),
    ),
    options=(Option("frequency", 99, 1, 9999, "samples per second and CPU; 99, as 100 would beat with timers"),),
)
