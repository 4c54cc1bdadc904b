"""Tracepoints and what their records hold, from tracefs; raw tracepoints and their arguments, from BTF.

The files: Linux Documentation/trace/events.rst.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ebtop.attachpoint import Argument, Point, PointKind
from ebtop.capture.points.btffunctions import Functions

_FIELD = re.compile(r"^\tfield:(?P<type>.+?)(?P<name>\w+)(?P<array>\[\d*\])?;\toffset:(?P<offset>\d+);"
                    r"\tsize:(?P<size>\d+);\tsigned:(?P<signed>[01]);", re.MULTILINE)  # fmt: skip
_COMMON = "common_"
DATA_LOC = "__data_loc "
_LOCATED = (DATA_LOC, "__rel_loc ")
_OURS = "ftrace"
"""A system of the function tracer's own events, which nothing else attaches to."""


def tracepoints(tracefs: Path, refusal: str) -> Iterator[Point]:
    """All, in the kernel's order; `refusal` is why perf events cannot be opened. Raises OSError."""
    for line in (tracefs / "available_events").read_text("utf-8", "surrogateescape").splitlines():
        system = line.partition(":")[0]
        if system != _OURS:
            yield Point(PointKind.TRACEPOINT, line, refusal)


class Field(NamedTuple):
    """A field of a tracepoint's record; `located` says how it tells where in the record the value is, "" for one that
    has it in itself."""

    name: str
    type: str
    offset: int
    size: int
    signed: bool
    located: str


def fields(tracefs: Path, target: str) -> tuple[Argument, ...] | None:
    """What a tracepoint's record holds besides what all have; None when its format cannot be read."""
    found = record(tracefs, target)
    return None if found is None else tuple(Argument(field.name, field.type) for field in found)


def record(tracefs: Path, target: str) -> tuple[Field, ...] | None:
    """The same, with where it is."""
    system, _, event = target.partition(":")
    try:
        text = (tracefs / "events" / system / event / "format").read_text("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return None
    return tuple(_field(match) for match in _FIELD.finditer(text) if not match["name"].startswith(_COMMON))


def _field(match: re.Match[str]) -> Field:
    ctype = match["type"].strip()
    located = next((where for where in _LOCATED if ctype.startswith(where)), "")
    size, signed = int(match["size"]), match["signed"] == "1"
    return Field(match["name"], _ctype(ctype, match["array"] or ""), int(match["offset"]), size, signed, located)


def _ctype(ctype: str, array: str) -> str:
    """`__data_loc char[]` is a string somewhere behind the fields: its type is what it is, not where."""
    for where in _LOCATED:
        if ctype.startswith(where):
            return ctype.removeprefix(where)
    return f"{ctype}{array}"


class RawTracepoints:
    """Those whose arguments BTF tells, or by the names of all tracepoints where there is no BTF."""

    def __init__(self, functions: Functions | None, tracefs: Path | None) -> None:
        self._functions, self._tracefs = functions, tracefs

    @cached_property
    def names(self) -> list[str]:
        """Sorted."""
        if self._functions is not None:
            return sorted(self._functions.tracepoints())
        lines = (self._tracefs / "available_events").read_text().splitlines() if self._tracefs else []
        return sorted({line.partition(":")[2] for line in lines})

    def arguments(self, name: str) -> tuple[Argument, ...] | None:
        """What its programs get, in their order."""
        if self._functions is None:
            return None
        for prefix in ("__traceiter_", "__bpf_trace_"):
            found = self._functions.arguments(prefix + name)
            if found is not None:
                return found[1:]  # the first is the tracer's own
        return None
