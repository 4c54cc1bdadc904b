"""capable: which capabilities the kernel asks programs for, and which of them they need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ebtop import eventstack
from ebtop.capability import EVERY
from ebtop.sanitise import sanitise
from ebtop.tool import Attach, Batch, Column, Digest, Kind, Names, Probe, Ring, Slot, Tool, Type, Value, named

NAMESPACES = ("init", "own", "other")
_AUDIT_UNKNOWN = 2
_AUDIT_NO = 0

_SILENT = (
    "security_vm_enough_memory_mm", "cap_vm_enough_memory", "ns_capable_noaudit", "has_capability_noaudit",
    "has_ns_capability_noaudit", "ptracer_capable",
)  # fmt: skip


def cap_name(number: int) -> str:
    """`CAP_CHOWN`, or `CAP_99` for one that is newer than ebtop."""
    return f"CAP_{EVERY[number] if 0 <= number < len(EVERY) else number}"


def cap(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `cap` column."""
    return [cap_name(number) for number in batch["cap"].tolist()]


def audit(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `audit` column: None where it is not known."""
    return [None if value == _AUDIT_UNKNOWN else value for value in batch["audit"].tolist()]


def namespace(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `ns` column."""
    return [NAMESPACES[value] if value < len(NAMESPACES) else str(value) for value in batch["ns"].tolist()]


def need(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `need` column: who would have failed without which capability, None where nobody would."""
    fields = (batch[key].tolist() for key in ("comm", "cap", "ret", "audit", "held", "ns"))
    return [
        f"{comm.decode('utf-8', 'surrogateescape')} {cap_name(number)}{_BELOW if ns else ''}"
        if held and not ret and audit_ != _AUDIT_NO
        else None
        for comm, number, ret, audit_, held, ns in zip(*fields, strict=True)
    ]


_BELOW = " (user namespace)"
"""Ends a need that is one in another user namespace than the first."""

_CAUTION = "# Needed while it was watched: what was not done then is not among them."


def needed(counts: Mapping[Value, int], *, below: bool = True) -> tuple[list[str], list[str]]:
    """From the counts of `need`: capabilities by name without CAP_, and lines of comment that say who needs them; those
    needed `below` the first user namespace only if so wished."""
    by_comm: dict[str, Counter[str]] = {}
    for value, count in counts.items():
        who, _, name = str(value or "").removesuffix(_BELOW).rpartition(" ")
        if value is not None and (below or not str(value).endswith(_BELOW)):
            by_comm.setdefault(who, Counter())[name.removeprefix("CAP_")] += count
    lines = [
        f"# {sanitise(who)}: {', '.join(f'{name} {count:,}' for name, count in sorted(found.items()))}"
        for who, found in sorted(by_comm.items())
    ]
    return sorted(set().union(*by_comm.values())), [*lines, _CAUTION]


def systemd(counts: Mapping[Value, int]) -> str:
    """A line for a service's unit: of the first user namespace, as whoever makes another has all there."""
    names, comments = needed(counts, below=False)
    line = f"CapabilityBoundingSet={' '.join(f'CAP_{name}' for name in names)}"
    return "\n".join(["[Service]", *comments, line, ""])


def docker(counts: Mapping[Value, int]) -> str:
    """Options of `docker run`."""
    names, comments = needed(counts)
    return "\n".join([*comments, " ".join(["--cap-drop=ALL", *(f"--cap-add={name}" for name in names)]), ""])


def kubernetes(counts: Mapping[Value, int]) -> str:
    """The part of a container's description."""
    names, comments = needed(counts)
    lists = ["securityContext:", "  capabilities:", '    drop: ["ALL"]', f"    add: [{', '.join(map(_quoted, names))}]"]
    return "\n".join([*comments, *lists, ""])


def _quoted(name: str) -> str:
    return f'"{name}"'


TOOL = Tool(
    name="capable",
    key="8",
    kind=Kind.EVENTS,
    group="security",
    title="capabilities asked for, and whether programs have them",
    help=(
        "Every time the kernel asks whether a task has a capability, with the answer: EPERM is a refusal, for which "
        "the call that led there need not fail. AUDIT says whether a refusal would be logged: without it the kernel "
        "only wants to know, as at every mmap (CAP_SYS_ADMIN, for memory that is kept in reserve), and a 0 means no "
        "need. Where it is not known (the tracepoint does not tell, and addresses of kernel functions are kept back), "
        "such questions count as needs. `need` names who would have failed: what was granted because the task itself "
        "holds the capability, and with audit. Who made a user namespace has every capability there without holding "
        "any, and an overlay file system asks with those of who mounted it: neither is a need. g counts by NEED, e "
        "exports that for systemd, Docker and Kubernetes. Other security modules may refuse what is granted here."
    ),
    slots=(
        Slot(
            "check",
            (
                (Probe(Attach.TRACEPOINT, "capability:cap_capable", "checked_tracepoint"),),  # since Linux 6.14
                (Probe(Attach.RAW_TRACEPOINT, "cap_capable", "checked_raw"),),
                (Probe(Attach.FEXIT, "cap_capable", "checked_fexit"),),
                (
                    Probe(Attach.KPROBE, "cap_capable", "asked_kprobe"),
                    Probe(Attach.KRETPROBE, "cap_capable", "checked_kretprobe"),
                ),
            ),
        ),
        eventstack.SLOT,
    ),
    rings=(Ring("events", "capability_event", 4 << 20, cleared=True), *eventstack.RINGS),
    kernel_functions=_SILENT,
    group_by="need",
    digests=(
        Digest("systemd", "what was needed, as CapabilityBoundingSet=", ".conf", "need", systemd),
        Digest("docker", "what was needed, as options of `docker run`", ".txt", "need", docker),
        Digest("kubernetes", "what was needed, as a securityContext", ".yaml", "need", kubernetes),
    ),
    columns=(
        Column("ts", "TIME", Type.TIME, "when it was asked", 12, rank=2),
        Column("pid", "PID", Type.INT, "process", 7, rank=1),
        Column("tid", "TID", Type.INT, "thread", 7, hidden=True),
        Column("uid", "USER", Type.USER, "user", 8, rank=5),
        Column("comm", "COMM", Type.TEXT, "name of the thread", 15, rank=1),
        Column("audit", "AUDIT", Type.INT, "1: a refusal would be logged; 0: it is a mere question", 5, rank=3,
               derive=audit),
        Column("ns", "NS", Type.TEXT, "in which user namespace: the first (init), its own, another", 5, rank=4,
               derive=namespace),
        Column("ret", "RET", Type.RET, "0: granted; or that it was not", 5, rank=1),
        Column("cap", "CAP", Type.TEXT, "the capability", 22, rank=1, derive=cap),
        Column("need", "NEED", Type.TEXT, "who would have failed without which capability", 36, rank=6, hidden=True,
               derive=need),
        Column("cgroup", "CGROUP", Type.TEXT, "control group", 24, hidden=True, derive=named("cgroup", "cgroup")),
        *eventstack.COLUMNS,
    ),
    stacks=True,
)  # fmt: skip
