"""`--format pprof`: what `go tool pprof` reads, a gzipped message Profile of github.com/google/pprof/proto.

A sample has the labels comm and pid. The kernel is the mapping [kernel]. The message's texts are UTF-8, and pprof
prints them on a terminal: what is no such text, and control characters, are written as escapes.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from ebtop.export.escapes import UNNAMED, escaped
from ebtop.export.exporter import ByteStream
from ebtop.export.protobuf import block, number, numbers
from ebtop.export.stackcounts import StackCounts
from ebtop.tick import Frame, Stack

# Numbers of the fields of the messages.
_SAMPLE_TYPE, _SAMPLE, _MAPPING, _LOCATION, _FUNCTION, _STRING = 1, 2, 3, 4, 5, 6
_TIME_NANOS, _DURATION_NANOS, _PERIOD_TYPE, _PERIOD = 9, 10, 11, 12


class _Table(dict[str, int]):
    """Texts by number, in the order in which they were asked for."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self._first = first

    def __missing__(self, text: str) -> int:
        place = self[text] = len(self) + self._first
        return place


class _Message:
    """The parts of one Profile. Mappings, functions and locations count from 1, texts from 0, which is the empty."""

    def __init__(self, counts: StackCounts) -> None:
        self._counts = counts
        self._texts = _Table(0)
        self._texts[""] = 0
        self._mappings = _Table(1)
        self._frames: dict[Frame, int] = {}

    def content(self) -> bytes:
        """All of it."""
        counts = self._counts
        parts = [block(_SAMPLE, self._sample(stack)) for stack in counts.stacks]
        parts += self._locations()
        parts += [block(_MAPPING, self._mapping(name, place)) for name, place in self._mappings.items()]
        parts += [block(_SAMPLE_TYPE, kind) for kind in self._kinds()]
        parts += [number(_TIME_NANOS, counts.start), number(_DURATION_NANOS, max(counts.end - counts.start, 0))]
        if counts.period_ns:
            parts += [block(_PERIOD_TYPE, self._kind("cpu", "nanoseconds")), number(_PERIOD, counts.period_ns)]
        parts += [block(_STRING, text.encode("utf-8")) for text in self._texts]
        return b"".join(parts)

    def _kinds(self) -> Iterator[bytes]:
        yield self._kind(self._counts.what, "count")
        if self._counts.period_ns:
            yield self._kind("cpu", "nanoseconds")

    def _kind(self, name: str, unit: str) -> bytes:
        return number(1, self._texts[name]) + number(2, self._texts[unit])

    def _sample(self, stack: Stack) -> bytes:
        values = [stack.count, *([stack.count * self._counts.period_ns] if self._counts.period_ns else [])]
        comm = number(1, self._texts["comm"]) + number(2, self._texts[escaped(stack.comm) or UNNAMED])
        pid = number(1, self._texts["pid"]) + number(3, stack.pid)
        leaf_first = (self._location(frame) for frame in reversed(stack.frames))
        return numbers(1, leaf_first) + numbers(2, values) + block(3, comm) + block(3, pid)

    def _location(self, frame: Frame) -> int:
        return self._frames.setdefault(frame, len(self._frames) + 1)

    def _locations(self) -> Iterator[bytes]:
        """A location and a function for each frame: addresses are named already, so that nothing else is known."""
        for frame, place in self._frames.items():
            module = "[kernel]" if frame.kernel else escaped(frame.module) if frame.module else ""
            mapping = number(2, self._mappings[module]) if module else b""
            yield block(_LOCATION, number(1, place) + mapping + block(4, number(1, place)))
            name, file = self._texts[escaped(frame.name) or UNNAMED], self._texts[module]
            yield block(_FUNCTION, number(1, place) + number(2, name) + number(3, name) + number(4, file))

    def _mapping(self, name: str, place: int) -> bytes:
        has_functions = number(7, 1)  # pprof is to look for no symbols: it might find those of other files
        return number(1, place) + number(5, self._texts[name]) + has_functions


def write(counts: StackCounts, stream: ByteStream) -> None:
    """One gzipped message; the same bytes for the same stacks. OSError is let out."""
    stream.write(gzip.compress(_Message(counts).content(), mtime=0))
    stream.flush()
