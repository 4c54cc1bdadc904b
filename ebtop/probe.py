"""Where a tool's program is attached. Apart from the rest of the contract as the process that compiles imports it: that
starts many times, and has no use for NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Attach(StrEnum):
    """Kinds of probe."""

    TRACEPOINT = "tracepoint"
    RAW_TRACEPOINT = "raw_tracepoint"
    TP_BTF = "tp_btf"  # a raw tracepoint whose arguments the verifier knows the types of: plain loads
    ITER = "iter"  # of all there are of something, when capture asks for them
    FENTRY = "fentry"
    FEXIT = "fexit"
    KPROBE = "kprobe"
    KRETPROBE = "kretprobe"
    PERF_EVENT = "perf_event"
    UPROBE = "uprobe"
    URETPROBE = "uretprobe"
    USDT = "usdt"
    COUNTED = "counted"  # every so many of an event that the kernel or the CPU counts: "software:page-faults:100"
    TIMED = "timed"  # by the clock, on every CPU or ("interval:s:1") on one


TYPED = frozenset({Attach.TP_BTF, Attach.ITER})
"""Kinds that are loaded for a type in the BTF of the running kernel."""


@dataclass(frozen=True, slots=True)
class Probe:
    """An attach point: `kind:target`, and the function of the C program that runs there.

    `optional` probes may be missing (creat(2) does not exist on arm64) without failing their alternative; those of one
    `pair` are attached both or not at all. A function that `stands_in_for` another of its alternative does the same as
    that one, at the same place, and does it twice if need be: what one of them misses is lost only if the other misses
    it, too.
    """

    kind: Attach
    target: str
    function: str
    optional: bool = False
    stands_in_for: str = ""
    pair: str = ""

    def __str__(self) -> str:
        if self.kind in {Attach.COUNTED, Attach.TIMED}:
            return self.target
        return f"{self.kind}:{self.target}"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the kernel that a tool needs, with alternatives, best first; each is attached whole or not at all."""

    name: str
    alternatives: tuple[tuple[Probe, ...], ...]


def probes_of(slots: Sequence[Slot]) -> list[Probe]:
    """All probes of all alternatives."""
    return [probe for slot in slots for alternative in slot.alternatives for probe in alternative]
