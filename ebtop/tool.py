"""The contract of a tool: what it traces, with which probes, and what its data mean.

A tool is `bpf/NAME.c` and `ebtop/tools/NAME.py`; the module's `TOOL` declares everything else, from the pane to the
JSON keys. Nothing here imports bcc or textual.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ebtop.probe import Attach as Attach
from ebtop.probe import Probe as Probe
from ebtop.probe import Slot as Slot
from ebtop.probe import probes_of as probes_of

if TYPE_CHECKING:
    from ebtop.probing.plan import Plan, Site

Batch = npt.NDArray[np.void]
"""A one-dimensional structured array; its fields are those of the C struct. `ts` is Unix time in ns (u8)."""

Names = Mapping[str, Mapping[int, str | int]]
"""What ids stand for, by domain: `{"cgroup": {1: "/system.slice"}, "dir": {77: "/srv/app"}}`. The values of late
columns are a domain each, under the column's key, by the event's id: `{"exit_code": {9123: 0}}`. So are stacks, by the
ids that events carry: each a list of functions as JSON, `{"stack": {77: '["main", "open"]'}}`."""

Value = int | float | str | list[str] | None
"""A cell: what JSON writes and views format."""

Derive = Callable[[Batch, Names], Sequence[Value]]
"""A pure function from a batch to one value per row."""


class Kind(StrEnum):
    """What a tool produces, and so how a view shows it."""

    EVENTS = "events"
    HISTOGRAM = "histogram"
    STACKS = "stacks"
    PROCESSES = "processes"  # Tick.rows: a row for each process, with what it did in the interval
    COUNTS = "counts"  # Tick.rows: a row for each of what is counted, with how often it was in the interval


OF_ROWS = frozenset({Kind.PROCESSES, Kind.COUNTS})
"""Those that have all of their data in Tick.rows."""


class Type(StrEnum):
    """What a column's values are; views choose format, alignment and colour by it."""

    INT = "int"  # a plain number: pid, port
    COUNT = "count"
    TIME = "time"  # Unix time in ns
    DURATION = "duration"  # ns; None when unknown
    BYTES = "bytes"
    RET = "ret"  # system call result: negative errno on failure
    TEXT = "text"  # a string that anyone may have chosen
    PATH = "path"
    FLAGS = "flags"  # a list of names
    ARGV = "argv"  # a list of strings
    STACK = "stack"  # a list of functions, root first
    USER = "user"  # a uid
    BOOL = "bool"


@dataclass(frozen=True, slots=True)
class Column:
    """One quantity. `key` is the field in C, the key in JSON and the word in filters.

    `derive` makes the values from other fields; without it they are the field of that name in the batch.
    `rank` orders columns by importance: those with the highest rank go first when the screen is narrow.
    `late` marks what is known only after the event (an exit code): it is None until a row of the tool says it.
    `shown` is `derive` for the screen, where that says more of what machine formats have no value for.
    `rate` marks what adds up over the interval: views show it a second (a duration as a share of it).
    `brief` writes a text in fewer words, for tables; details, filters and exports have it as it is.
    `only` says which rows have it: those whose field of that name is one of these numbers.
    """

    key: str
    title: str
    type: Type
    help: str
    width: int = 8
    rank: int = 5
    hidden: bool = False
    derive: Derive | None = None
    late: bool = False
    rate: bool = False
    shown: Derive | None = None
    brief: Callable[[str], str] | None = None
    only: tuple[str, frozenset[int]] | None = None


@dataclass(frozen=True, slots=True)
class Ring:
    """A stream of records of one C struct. `map` is the BPF map's name, `role` what its records are.

    role "events": rows of the tool's event stream (several rings are merged by `ts`); "rows": Tick.rows;
    "stacks": samples to be named (those with `is_new` have their process looked at soon); "event stacks": the stacks
    that events have the ids of; "execs": programs started, for naming both; "names:DOMAIN": what ids stand for;
    "threads": what threads that ended had done.
    `cleared` says that the program itself zeroes what follows a string's end; `with_stacks`, that only programs that
    walk stacks have it.
    """

    map: str
    struct: str
    size: int
    role: str = "events"
    cleared: bool = False
    with_stacks: bool = False


@dataclass(frozen=True, slots=True)
class Buckets:
    """Edges of a histogram: bucket i holds low[i] <= value < low[i + 1]."""

    unit: str
    low: npt.NDArray[np.uint64]

    @property
    def count(self) -> int:
        """How many buckets there are."""
        return len(self.low) - 1


def log_buckets(unit: str, powers: int, sub: int = 4) -> Buckets:
    """Buckets of bpf/include/histogram.h: `sub` (a power of two) equal parts per power of two, up to 2**powers."""
    bits = sub.bit_length() - 1
    low = list(range(sub))
    for power in range(bits, powers):
        low += [(sub + part) << (power - bits) for part in range(sub)]
    return Buckets(unit, np.array([*low, 1 << powers], dtype=np.uint64))


@dataclass(frozen=True, slots=True)
class Option:
    """A number that the user may set (`--frequency 99`); passed to the C program as -DNAME=value."""

    name: str
    default: int
    minimum: int
    maximum: int
    help: str


@dataclass(frozen=True, slots=True)
class Digest:
    """A text for another program, made from what an event stream had: a format that `ebtop export` and the key that
    exports offer beside the common ones.

    `write` is given how often each value of the column of that key was there, and gives whole lines. Nobody else
    makes safe what events carry: it does.
    """

    format: str
    about: str
    suffix: str
    column: str
    write: Callable[[Mapping[Value, int]], str]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tracer. `title` completes "shows ..."; `help` is the text of the pane's help; `key` is its hotkey."""

    name: str
    key: str
    kind: Kind
    title: str
    help: str
    slots: tuple[Slot, ...]
    columns: tuple[Column, ...] = ()
    rings: tuple[Ring, ...] = ()
    group: str = "system"
    group_by: str = ""  # the column that `g` groups by first
    buckets: Buckets | None = None
    histogram_map: str = ""  # a pair of maps NAME_0 and NAME_1, read and emptied in turn
    histogram_parts: tuple[str, ...] = ()  # names of `probe` in the keys of the map: histograms of each, too
    brief_part: Callable[[str], str] | None = None  # writes these names in fewer words, for tables
    stack_map: str = ""  # a pair of maps likewise, of how often each stack was seen: Tick.stacks
    count_map: str = ""  # a per-CPU array of u64 that grow: Tick.rows of what each grew by, and its number as `probe`
    options: tuple[Option, ...] = ()
    defines: Mapping[str, int] = field(default_factory=dict)
    perf_buffer_defines: Mapping[str, int] = field(default_factory=dict)  # over `defines`, where there is no ring
    headers: Mapping[str, str] = field(default_factory=dict)  # of its program, by name, that are made and no files
    sites: Mapping[str, Sequence[Site]] = field(default_factory=dict)  # where user probes are, by their function
    row_key: str = ""  # the field by which a late row finds its event: an id that both records carry
    gauge_maps: tuple[str, ...] = ()  # per-CPU arrays of one u64 that grows: Tick.gauges of their names
    digests: tuple[Digest, ...] = ()
    kernel_functions: tuple[str, ...] = ()  # whose places the program is told: KSTART_NAME, KSIZE_NAME, 0 if unknown
    life: str = (
        ""  # a column of ids (Type.FLAGS): the events of one are the life of one thing, from its first to its last
    )
    stacks: bool = False  # its events can carry the stack that led to each, where the user asks for it
    make: Callable[[Tool, Plan], Tool] | None = None  # what it is depends on what is asked for; this is what all share

    def column(self, key: str) -> Column | None:
        """The column of that key, if any."""
        return next((c for c in self.columns if c.key == key), None)


def text(raw: bytes) -> str:
    """Bytes as text that gives the same bytes back (odd ones become lone surrogates)."""
    return raw.decode("utf-8", "surrogateescape")


def named(domain: str, field_: str) -> Derive:
    """A column whose values are the names of the ids in `field_`; None for an id that is not known."""

    def derive(batch: Batch, names: Names) -> Sequence[Value]:
        known, ids = names.get(domain, {}), batch[field_]
        if len(ids) and bool((ids == ids[0]).all()):  # as in most batches
            return [known.get(int(ids[0]))] * len(ids)
        return list(map(known.get, ids.tolist()))

    return derive


def values(column: Column, batch: Batch, names: Names) -> Sequence[Value]:
    """The column's values for each row of a batch, as Python objects."""
    if column.derive is not None:
        return column.derive(batch, names)
    if batch.dtype.names is None or column.key not in batch.dtype.names:
        return [None] * len(batch)
    data: Any = batch[column.key]
    if data.dtype.kind == "S":
        return [text(raw) for raw in data.tolist()]
    result: Sequence[Value] = data.tolist()
    return result


def shown(column: Column, batch: Batch, names: Names) -> Sequence[Value]:
    """The same, as people see them."""
    return column.shown(batch, names) if column.shown else values(column, batch, names)
