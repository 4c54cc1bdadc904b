"""The stacks of single events: what a program told of each, named, under the ids that the events carry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile
from typing import NamedTuple

import numpy as np

from ebtop import eventstack
from ebtop.capture.stacks import StackNamer
from ebtop.capture.userstacks import CUT, UserRecord
from ebtop.resolve.bounded import BoundedCache
from ebtop.resolve.symbols import JIT, UNKNOWN
from ebtop.tick import Frame
from ebtop.tool import Batch

LONGEST_NAME = 400
"""Characters of a function's name: those of templates may have thousands."""

MOST_AT_ONCE = 8 << 20
"""Characters of stacks that one tick may tell; a header of the protocol holds a few times that."""

_TRACING = re.compile(r"bpf_|__bpf_|__traceiter_|trace_call_bpf|perf_(trace|syscall)_")
"""Kernel functions that stand between what happened and the program that looks at it."""

_REMEMBERED, _REMEMBERED_BYTES = 16384, 8 << 20

Told = dict[str, dict[int, str | int]]


class _Record(NamedTuple):
    """struct event_stack (bpf/include/event_stack.h), cut to what the kernel filled in."""

    id: int
    pid: int
    kernel: bytes
    row: np.void


def _records(batches: Iterable[Batch]) -> Iterator[_Record]:
    for batch in batches:
        fields = (batch[name].tolist() for name in ("id", "pid", "kernel_size"))
        for key, pid, kernel, row in zip(*fields, batch, strict=True):
            yield _Record(key, pid, row["kernel"].tobytes()[: max(0, kernel)], row)


def function(frame: Frame) -> str:
    """A frame as the stack of an event has it: its name, and where that is not known the file."""
    name = f"{frame.name} {frame.module}" if frame.name == UNKNOWN and frame.module else frame.name
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


class EventStacks:
    """Names the stacks that one tool tells. Those in use are told every second, so what was named is remembered."""

    def __init__(self, namer: StackNamer) -> None:
        self._namer = namer
        self._known: BoundedCache[int, tuple[str, str]] = BoundedCache(_REMEMBERED, _REMEMBERED_BYTES)

    def named(self, batches: Iterable[Batch]) -> tuple[Told, int]:
        """The texts of what was told, by domain and id, and how many stacks were too much for one tick."""
        user: dict[int, str | int] = {}
        kernel: dict[int, str | int] = {}
        size = dropped = 0
        for record in _records(batches):
            if size > MOST_AT_ONCE:
                dropped += 1
                continue
            user[record.id], kernel[record.id] = texts = self._known.get(record.id) or self._texts(record)
            size += sum(map(len, texts))
        return dict(zip(eventstack.DOMAINS, (user, kernel), strict=True)), dropped

    def frames(self, batches: Iterable[Batch]) -> Iterator[tuple[int, tuple[Frame, ...]]]:
        """Each stack that was told: its id, and its frames, root first."""
        for record in _records(batches):
            user, kernel, whole = self._frames(record)
            outermost = [] if whole else [Frame(CUT, "", kernel=False)]
            yield record.id, tuple(reversed([*kernel, *user, *outermost]))

    def _frames(self, record: _Record) -> tuple[list[Frame], list[Frame], bool]:
        """The program's and the kernel's, innermost first, and whether the former are all."""
        told, whole = self._namer.unwinder.frames(UserRecord.of(record.row))
        user = self._namer.symbols.user(record.pid, told) if told else []
        kernel = self._namer.kernel(record.kernel)
        return user, list(dropwhile(lambda frame: _TRACING.match(frame.name), kernel)), whole

    def _texts(self, record: _Record) -> tuple[str, str]:
        frames, kernel, whole = self._frames(record)
        functions = [*map(function, frames)] + ([] if whole else [CUT])
        texts = _written(functions), _written([*map(function, kernel)])
        if all(frame.name != UNKNOWN and frame.module != JIT for frame in frames):  # else it may be known better later
            self._known.put(record.id, texts, sum(map(len, texts)) + 200)
        return texts


def _written(innermost_first: Sequence[str]) -> str:
    return eventstack.written(innermost_first[::-1])
