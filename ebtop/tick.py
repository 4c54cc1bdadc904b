"""What flows through the house: Ticks and the few other messages between capture and the rest. All are immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ebtop.attachpoint import Point
from ebtop.probing.plan import Plan, Probing
from ebtop.tool import Batch, Names


class Frame(NamedTuple):
    """A stack frame. `name` is the demangled function or "[unknown]"; `module` a file name, "kernel" or ""."""

    name: str
    module: str
    kernel: bool


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack seen `count` times in the interval; frames root first."""

    frames: tuple[Frame, ...]
    count: int
    pid: int
    tid: int
    comm: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per bucket of the tool's `buckets`, for the whole system, a process or a cgroup.

    `group` is "all", "pid" or "cgroup"; `key` the pid or cgroup id; `label` its name.
    """

    group: str
    key: int
    label: str
    counts: npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a tool's programs cost in the interval, by what the kernel measured of late; 0 where it does not measure."""

    run_ns: int = 0
    run_count: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """All that one tool produced in one interval. `start` and `end` are Unix ns.

    `events` are batches ordered by `ts` each, of one record size each; `rows` complete earlier events (see
    Tool.row_key) or stand alone; `names` holds the ids learnt in this interval; `gauges` are figures of the whole
    machine as of `end`; `lost` counts by reason.
    """

    tool: str
    start: int
    end: int
    events: tuple[Batch, ...] = ()
    rows: Batch | None = None
    histograms: tuple[Histogram, ...] = ()
    stacks: tuple[Stack, ...] = ()
    names: Names = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    cost: Cost = Cost()

    @property
    def event_count(self) -> int:
        """Events in this tick."""
        return sum(len(batch) for batch in self.events)

    @property
    def lost_count(self) -> int:
        """Everything that was lost in this tick."""
        return sum(self.lost.values())

    @property
    def nbytes(self) -> int:
        """About how much memory the tick holds."""
        arrays = [*self.events, *(h.counts for h in self.histograms)]
        if self.rows is not None:
            arrays.append(self.rows)
        small = 400 * len(self.stacks) + 200 * len(self.histograms) + 100 * len(self.gauges)
        return sum(a.nbytes for a in arrays) + small + 700


class Phase(StrEnum):
    """The life of a tool."""

    IDLE = "idle"
    PLANNING = "planning"  # what was asked for is looked up
    TRYING = "trying"  # whether its points are hit too often, for a second
    LOADING = "loading"
    RUNNING = "running"
    FAILED = "failed"


class Attempt(NamedTuple):
    """An alternative that was tried and did not attach."""

    probe: str
    error: str


@dataclass(frozen=True, slots=True)
class ToolState:
    """Where a tool stands; `reason` and `remedy` are set when it failed. `stacks`: its events carry their stacks.
    `options`: the values of the tool's options that it runs with."""

    tool: str
    phase: Phase
    probes: tuple[str, ...] = ()
    tried: tuple[Attempt, ...] = ()
    reason: str = ""
    remedy: str = ""
    stacks: bool = False
    options: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vitals:
    """The machine and capture's own cost, once a tick. CPU shares are of one core (1.0 = a core)."""

    host: str
    kernel: str
    cpus: int
    uptime_s: float
    capture_cpu: float
    capture_pss: int
    focus: str = "all"
    focus_pids: int = 0
    screen_pss: int = 0


CHILDREN_TOLD = 256
"""Of more children than that the details of a process name no more."""


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A process on the way up to pid 1, or a child."""

    pid: int
    comm: str
    argv: tuple[str, ...] = ()


class Namespace(NamedTuple):
    """A namespace that a process is in: its kind, its inode's number, and whether pid 1 is in it too."""

    name: str
    inode: int
    shared: bool


@dataclass(frozen=True, slots=True)
class ProcessDetails:
    """What /proc says of a process now; `alive` is False when it has gone (the rest is then what was known).

    `user`, `uid`, `gid` and `capabilities` are the effective ones; `state` is the letter of proc_pid_stat(5);
    `children` are those that live, at most CHILDREN_TOLD; `start` is Unix time in ns, 0 when it is not known.
    """

    pid: int
    alive: bool
    comm: str = ""
    exe: str = ""
    cwd: str = ""
    user: str = ""
    cgroup: str = ""
    container: str = ""
    argv: tuple[str, ...] = ()
    ancestors: tuple[Ancestor, ...] = ()
    threads: int = 0
    rss: int = 0
    age_s: float = 0.0
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    state: str = ""
    capabilities: tuple[str, ...] = ()
    all_capabilities: bool = False
    namespaces: tuple[Namespace, ...] = ()
    children: tuple[Ancestor, ...] = ()
    start: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should read once, such as why a focus could not be set."""

    text: str
    error: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """The stream has ended; `reason` says why, "" when it was asked to."""

    reason: str


@dataclass(frozen=True, slots=True)
class Past:
    """What was so at a time (Unix ns), in place of all that was said before: a recording can go to any time.

    For each tool: `names`, what was learnt before the first of its ticks, and `totals`, the events and losses until
    then.
    """

    time: int
    ticks: tuple[Tick, ...]
    names: Mapping[str, Names] = field(default_factory=dict)
    totals: Mapping[str, tuple[int, Mapping[str, int]]] = field(default_factory=dict)
    vitals: Vitals | None = None


@dataclass(frozen=True, slots=True)
class FoundPoints:
    """The attach points that a pattern matches: the first of `total`, with their arguments. `problem` says why there
    can be none."""

    pattern: str
    total: int
    points: tuple[Point, ...] = ()
    problem: str = ""


Message = Tick | ToolState | Vitals | ProcessDetails | FoundPoints | Notice | Gone | Past | Plan


@dataclass(frozen=True, slots=True)
class Focus:
    """Which processes count. Given kinds must all hold; several pids or names are alternatives."""

    pids: tuple[int, ...] = ()
    follow: bool = False
    comms: tuple[str, ...] = ()
    uid: int | None = None
    cgroup: str = ""  # a path below the cgroup2 mount; its descendants count too

    def __str__(self) -> str:
        parts = [f"pid {pid}{'+' if self.follow else ''}" for pid in self.pids[:3]]
        if len(self.pids) > 3:
            parts.append(f"and {len(self.pids) - 3} more")
        parts += [f"comm {name}" for name in self.comms]
        parts += [f"uid {self.uid}"] if self.uid is not None else []
        parts += [f"cgroup {self.cgroup}"] if self.cgroup else []
        return ", ".join(parts) or "all"


@dataclass(frozen=True, slots=True)
class Load:
    """Start a tool with its options' values. `probing` is what is asked of one that is made by a plan."""

    tool: str
    options: Mapping[str, int] = field(default_factory=dict)
    probing: Probing | None = None


@dataclass(frozen=True, slots=True)
class Unload:
    """Stop a tool."""

    tool: str


@dataclass(frozen=True, slots=True)
class SetFocus:
    """Apply a focus to every tool, from now on."""

    focus: Focus


@dataclass(frozen=True, slots=True)
class Resolve:
    """Ask for the details of a process."""

    pid: int


@dataclass(frozen=True, slots=True)
class FindPoints:
    """Ask for the attach points that a pattern matches. Of several such questions only the last needs an answer."""

    pattern: str


@dataclass(frozen=True, slots=True)
class TakeStacks:
    """Have a tool's events carry the stacks that led to them, from now on, or no longer."""

    tool: str
    on: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """End capture after one last tick."""


Command = Load | Unload | SetFocus | Resolve | FindPoints | TakeStacks | Stop
