"""`--format speedscope`: the file format of speedscope (https://www.speedscope.app/file-format-schema.json), one
"sampled" chart in which each distinct stack is a sample as wide as its count, or as the time that it stands for.
"""

from __future__ import annotations

import json

from ebtop import __version__
from ebtop.export.exporter import ByteStream
from ebtop.export.stackcounts import StackCounts
from ebtop.model.stacktree import PROCESS
from ebtop.tick import Frame, Stack

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


class _Frames(dict[Frame, int]):
    """Frames by their number in the file."""

    def __missing__(self, frame: Frame) -> int:
        number = self[frame] = len(self)
        return number


def write(counts: StackCounts, stream: ByteStream) -> None:
    """One JSON object, in ASCII: hostile names come out escaped, and no byte of them is lost. OSError is let out."""
    frames = _Frames()
    samples = [[frames[frame] for frame in _path(stack)] for stack in counts.stacks]
    weights = [stack.count * (counts.period_ns or 1) for stack in counts.stacks]
    chart = {
        "type": "sampled",
        "name": f"{counts.tool}, {counts.what}",
        "unit": "nanoseconds" if counts.period_ns else "none",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }
    file = {
        "$schema": _SCHEMA,
        "exporter": f"ebtop {__version__}",
        "name": counts.tool,
        "activeProfileIndex": 0,
        "shared": {"frames": list(map(_frame, frames))},
        "profiles": [chart],
    }
    stream.write(json.dumps(file, separators=(",", ":")).encode("ascii") + b"\n")
    stream.flush()


def _path(stack: Stack) -> tuple[Frame, ...]:
    return (Frame(stack.comm, PROCESS, False), *stack.frames)


def _frame(frame: Frame) -> dict[str, str]:
    if frame.module == PROCESS:
        return {"name": frame.name}
    module = "[kernel]" if frame.kernel else frame.module
    return {"name": frame.name, "file": module} if module else {"name": frame.name}
