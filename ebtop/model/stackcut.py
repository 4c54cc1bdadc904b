"""The stacks that a zoomed graph shows, one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ebtop.model.stacktree import PROCESS, Path, Shape
from ebtop.tick import Frame, Stack


def cut(shape: Shape, top: Path) -> Callable[[Stack], Stack | None]:
    """A function that leaves of a stack what the shape has, whole from its root; None for one that does not lead
    through `top`."""

    def keep(stack: Stack) -> Stack | None:
        frames = tuple(frame for frame in stack.frames if (shape.kernel if frame.kernel else shape.user))
        process = Frame(stack.comm, PROCESS, False)
        path = (*frames[::-1], process) if shape.inverted else (process, *frames)
        return replace(stack, frames=frames) if path[: len(top)] == top else None

    return keep
