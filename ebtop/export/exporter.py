"""What the headless outputs have in common."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ebtop.tick import Tick
from ebtop.tool import Names, Tool


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of a run. `time` is Unix ns; `exit_code` that of a command, None without one.

    `events` are those written, `lost` and `truncated` those that could not be written whole or at all.
    """

    tool: str
    time: int
    events: int
    lost: int
    duration_s: float
    probes: tuple[str, ...]
    exit_code: int | None = None
    truncated: int = 0


class ByteStream(Protocol):
    """A buffered binary stream such as sys.stdout.buffer: `write` takes everything or raises OSError."""

    def write(self, data: bytes, /) -> int:
        """Take the bytes."""
        ...

    def flush(self) -> None:
        """Hand on what was taken."""
        ...

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        ...


def encoding(stream: ByteStream) -> str:
    """UTF-8, but for a terminal what it was told to be: to one that reads Latin-1, half of a UTF-8 letter may be an
    escape (U+015B ends in the byte 9b)."""
    return sys.stdout.encoding if stream.isatty() else "utf-8"


class Exporter(Protocol):
    """Writes Ticks as they come. Each call ends with whole lines and a flush; OSError (a full disk, a reader that
    went away) is let out. HISTOGRAM and STACKS tools are handed one accumulated Tick per output interval."""

    def begin(self, tool: Tool, probes: Sequence[str]) -> None:
        """A tool has started, attached to these probes."""
        ...

    def tick(self, tool: Tool, tick: Tick, names: Names) -> None:
        """One interval; `names` are all that are known so far, not only those of the tick."""
        ...

    def end(self, summary: Summary) -> None:
        """The last call."""
        ...
