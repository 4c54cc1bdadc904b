"""Attach points: places in the kernel, in programs and in the hardware that a probe can be attached to.

`kind:target`, spelt as bpftrace spells them where it has the same. Nothing here imports bcc or textual.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class PointKind(StrEnum):
    """Kinds of attach point, the most stable first: who writes down a name wants it to be there next year."""

    TRACEPOINT = "tracepoint"
    USDT = "usdt"
    SOFTWARE = "software"
    HARDWARE = "hardware"
    PROFILE = "profile"
    INTERVAL = "interval"
    RAW_TRACEPOINT = "raw_tracepoint"
    FENTRY = "fentry"
    KPROBE = "kprobe"
    UPROBE = "uprobe"


class Argument(NamedTuple):
    """What a point hands over: its name ("" when nothing names it) and its type in C."""

    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.type}{'' if self.type.endswith('*') else ' '}{self.name}".strip()


class Point(NamedTuple):
    """An attach point, of which there are a hundred thousand.

    `target` is all behind the kind: "syscalls:sys_enter_openat", "tcp_connect".
    `refusal` says why this machine cannot attach there, "" where nothing speaks against it; `returns` is the type that
    a function gives back. `arguments` is None when they are not known.
    """

    kind: PointKind
    target: str
    refusal: str = ""
    arguments: tuple[Argument, ...] | None = None
    returns: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.target}"


_KINDS = {
    "t": PointKind.TRACEPOINT, "rt": PointKind.RAW_TRACEPOINT, "rawtracepoint": PointKind.RAW_TRACEPOINT,
    "k": PointKind.KPROBE, "f": PointKind.FENTRY, "kfunc": PointKind.FENTRY, "u": PointKind.UPROBE,
    "U": PointKind.USDT, "s": PointKind.SOFTWARE, "h": PointKind.HARDWARE, "p": PointKind.PROFILE,
    "i": PointKind.INTERVAL,
}  # fmt: skip


def spelt(pattern: str) -> str:
    """A pattern with bpftrace's short and other names of kinds replaced by ours."""
    kind, colon, target = pattern.partition(":")
    return f"{_KINDS[kind]}:{target}" if colon and kind in _KINDS else pattern
