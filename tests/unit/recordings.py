"""Recordings for tests: made of ticks, and compared with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ebtop import registry
from ebtop.record.reader import Recording
from ebtop.record.retention import Keep
from ebtop.record.writer import RecordingWriter
from ebtop.tick import Message, Tick
from ebtop.tool import Kind, Tool
from tests.ui import synthetic

TOOLS = registry.tools()
EXECS = next(t for t in TOOLS if t.row_key and t.kind is Kind.EVENTS)
OPENS = next(t for t in TOOLS if t.column("path") and not t.row_key)
CONNECTS = next(t for t in TOOLS if t.column("daddr"))
WAITS = next(t for t in TOOLS if t.kind is Kind.HISTOGRAM)
SAMPLES = next(t for t in TOOLS if t.kind is Kind.STACKS)


def ticks(count: int = 3, rate: int = 200, tools: Iterable[Tool] = TOOLS) -> list[Tick]:
    """Some seconds of tools."""
    return [synthetic.tick(tool, number, rate) for number in range(count) for tool in tools]


def record(path: Path, messages: Iterable[Message], tools: Iterable[Tool] = TOOLS, keep: Keep | None = None) -> Path:
    """A closed recording, with a commit after each message."""
    with RecordingWriter(path, force=True, tools=tools, keep=keep) as writer:
        for message in messages:
            writer.add(message)
            writer.commit()
    return path


def read(path: Path) -> list[Tick]:
    """All ticks of a recording."""
    with Recording(path) as recording:
        return list(recording.ticks())


def assert_same(one: Any, other: Any) -> None:
    """Equal to the last bit: arrays of the same layout whose fields hold the same."""
    if isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        for name in one.dtype.names or ():
            assert one[name].tobytes() == other[name].tobytes(), (name, one.dtype[name])
        if not one.dtype.names:
            assert one.tobytes() == other.tobytes()
    elif isinstance(one, Tick) or hasattr(one, "__dataclass_fields__"):
        assert type(one) is type(other)
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other
        assert type(one) is type(other)
