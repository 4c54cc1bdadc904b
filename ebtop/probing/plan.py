"""A request for attach points, as the user wrote it, and the plan that capture makes of it.

The plan is all that a tool is made from, on both sides of the protocol and again from a recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ebtop.attachpoint import PointKind

MOST_POINTS = 128
"""At once: each is a program of its own to the kernel."""

RESULT = "retval"
"""What a function gives back, as an argument."""


class Mode(StrEnum):
    """What is made of the hits."""

    TRACE = "trace"
    COUNT = "count"
    LATENCY = "latency"
    DIST = "dist"
    STACK = "stack"


@dataclass(frozen=True, slots=True)
class Probing:
    """What the user asks for. `value` is the argument of a distribution; with `slower_than_ns` calls that take longer
    become events; `strings` are arguments that are addresses of strings though nothing says so; `hot` attaches however
    often the points are hit."""

    points: tuple[str, ...]
    mode: Mode = Mode.TRACE
    filter: str = ""
    value: str = ""
    slower_than_ns: int = 0
    strings: tuple[str, ...] = ()
    hot: bool = False


class Form(StrEnum):
    """What an argument's bits mean."""

    NUMBER = "number"
    POINTER = "pointer"
    TEXT = "text"  # the address of a string
    CHARS = "chars"  # a string in place
    LOCATED = "located"  # where the record has a string: its offset and length


class Place(StrEnum):
    """Where an argument is when a program runs."""

    RECORD = "record"  # at an offset of a tracepoint's record
    WORD = "word"  # of the program's context: raw tracepoints, fentry
    ARGUMENT = "argument"  # the register of the n-th by the calling convention
    RESULT = "result"  # the register of what a function gives back
    REGISTER = "register"  # one by name
    MEMORY = "memory"  # of the user, at what registers say
    CONSTANT = "constant"


class Parameter(NamedTuple):
    """An argument: `key` is its column, `type` what C calls it, `size` its bytes, `at` the offset or number in its
    place. In memory it is at `register` + `indexed_by` * `scale` + `at`; either may be "". A register's name is that of
    struct pt_regs, or "x0" and so on of arm64; there `at` is the first byte of the register that counts."""

    key: str
    type: str
    size: int
    signed: bool
    form: Form
    place: Place
    at: int = 0
    register: str = ""
    indexed_by: str = ""
    scale: int = 1


class Sides(StrEnum):
    """Where programs run: as a function is entered, as it returns, or at both."""

    ENTRY = "entry"
    RETURN = "return"
    BOTH = "both"


class Site(NamedTuple):
    """A place in a program's file: the byte of the instruction, and of the counter that switches a USDT probe on (0:
    there is none). `device` and `inode` say which file the path led to."""

    path: str
    offset: int
    counter: int
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class Planned:
    """An attach point with what is read there: `name` is how it is shown, `target` what the kernel knows it by.

    `arguments` are those of the entry (of the return, where that is the only side), `result` what comes back. `sites`
    and `returns` are where in files the programs of both sides are put.
    """

    name: str
    kind: PointKind
    target: str
    sides: Sides = Sides.ENTRY
    arguments: tuple[Parameter, ...] = ()
    result: Parameter | None = None
    sites: tuple[Site, ...] = ()
    returns: tuple[Site, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a tool is made from: the points, and what is done with their hits. `filter` holds for each of them."""

    tool: str
    mode: Mode
    points: tuple[Planned, ...]
    filter: str = ""
    value: str = ""
    slower_than_ns: int = 0
