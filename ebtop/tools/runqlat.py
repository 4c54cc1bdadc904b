"""runqlat: how long threads that could run waited for a CPU."""

from __future__ import annotations

from ebtop.tool import Attach, Kind, Probe, Slot, Tool, log_buckets

TOOL = Tool(
    name="runqlat",
    key="5",
    kind=Kind.HISTOGRAM,
    group="cpu",
    title="waiting for a CPU, from wake-up to running",
    help=(
        "The time between a thread becoming runnable (woken, new, or pushed off its CPU) and its next run, as a "
        "histogram with four bars per power of two. High values mean too few CPUs, CPU limits, or neighbours that "
        "do not yield. By process or control group, the time counts for the one that waited."
    ),
    slots=(
        Slot(
            "switches",
            (
                (
                    Probe(Attach.TP_BTF, "sched_wakeup", "wakeup_btf"),
                    Probe(Attach.TP_BTF, "sched_wakeup_new", "wakeup_new_btf"),
                    Probe(Attach.TP_BTF, "sched_switch", "switch_btf"),
                ),
                (
                    Probe(Attach.RAW_TRACEPOINT, "sched_wakeup", "wakeup_raw"),
                    Probe(Attach.RAW_TRACEPOINT, "sched_wakeup_new", "wakeup_new_raw"),
                    Probe(Attach.RAW_TRACEPOINT, "sched_switch", "switch_raw"),
                ),
            ),
        ),
    ),
    buckets=log_buckets("ns", powers=36),
    histogram_map="latency",
    defines={"BUCKETS": 140},
)
