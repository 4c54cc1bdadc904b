"""All attach points of the machine, and those that a pattern means."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from ebtop import capability
from ebtop.attachpoint import Point, PointKind, spelt
from ebtop.capture import tracefs
from ebtop.capture.btf import BtfError
from ebtop.capture.points import events
from ebtop.capture.points.btffunctions import Functions
from ebtop.capture.points.functions import KernelFunctions
from ebtop.capture.points.tracepoints import RawTracepoints, fields, tracepoints
from ebtop.capture.points.userpoints import UserPoints

_WILD = frozenset("*?[")


class Points:
    """What this machine has. What was read is kept, as it takes a tenth of a second."""

    def __init__(self, tracefs_at: Path | None = None) -> None:
        self.tracefs = self._tracefs = tracefs_at or tracefs.found()
        try:
            self._functions: Functions | None = Functions()
        except BtfError:
            self._functions = None
        self.functions = self._functions
        self._kernel = KernelFunctions(self._functions, self._tracefs)
        self._raw = RawTracepoints(self._functions, self._tracefs)
        self._user = UserPoints()

    @cached_property
    def _listers(self) -> Mapping[PointKind, Callable[[], Iterator[Point]]]:
        perf = capability.perf_refusal(capability.paranoid())
        return {
            PointKind.TRACEPOINT: lambda: tracepoints(self._tracefs, perf) if self._tracefs else iter(()),
            PointKind.SOFTWARE: lambda: self._events(PointKind.SOFTWARE),
            PointKind.HARDWARE: lambda: self._events(PointKind.HARDWARE),
            PointKind.PROFILE: lambda: self._events(PointKind.PROFILE),
            PointKind.INTERVAL: lambda: self._events(PointKind.INTERVAL),
            PointKind.RAW_TRACEPOINT: lambda: (Point(PointKind.RAW_TRACEPOINT, name) for name in self._raw.names),
            PointKind.FENTRY: self._kernel.fentries,
            PointKind.KPROBE: self._kernel.kprobes,
        }

    def _events(self, kind: PointKind) -> Iterator[Point]:
        return (point for point in events.events() if point.kind is kind)

    def matching(self, pattern: str) -> Iterator[Point]:
        """Those whose `kind:target` a pattern matches, the most stable kinds first.

        With a wildcard (*, ?, [..]) or a colon the whole has to match; words alone have to occur, in any order. Points
        in programs are found for a pattern that begins with `uprobe:FILE:` or `usdt:FILE:`, of one file at a time:
        BinaryError is raised for a file that cannot be read.
        """
        kind, _, target = spelt(pattern).partition(":")
        if kind in {PointKind.UPROBE, PointKind.USDT}:
            yield from (self._user.functions if kind == PointKind.UPROBE else self._user.usdt)(target)
            return
        matches = matcher(pattern)
        kind = spelt(pattern).partition(":")[0] if ":" in pattern else "*"
        for known, points in self._listers.items():
            if kind == known or _WILD & set(kind):
                yield from (point for point in points() if matches(str(point)))

    def described(self, point: Point) -> Point:
        """The point with its arguments, as far as this machine tells them."""
        functions = self._functions
        if point.kind is PointKind.TRACEPOINT and self._tracefs:
            return point._replace(arguments=fields(self._tracefs, point.target))
        if point.kind is PointKind.RAW_TRACEPOINT:
            return point._replace(arguments=self._raw.arguments(point.target))
        if point.kind in {PointKind.KPROBE, PointKind.FENTRY} and functions is not None:
            return point._replace(arguments=functions.arguments(point.target), returns=functions.returns(point.target))
        return point


def matcher(pattern: str) -> Callable[[str], bool]:
    """Does a name match? Upper and lower case count in patterns with a wildcard or a colon alone."""
    if ":" in pattern or _WILD & set(pattern):
        whole = spelt(pattern) if ":" in pattern else f"*:{pattern}"
        match = re.compile(fnmatch.translate(whole)).fullmatch
        return lambda name: match(name) is not None
    words = pattern.lower().split()
    return lambda name: all(word in name.lower() for word in words)
