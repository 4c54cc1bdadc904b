"""Stacks that a program counts by their ids: each is told once a second, and counted as often as it was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ebtop.resolve.bounded import BoundedCache
from ebtop.tick import Frame, Stack
from ebtop.tool import text

_REMEMBERED, _REMEMBERED_FRAMES = 16384, 1 << 20


class CountedStacks:
    """Remembers what stacks were told."""

    def __init__(self) -> None:
        self._known: BoundedCache[int, tuple[Frame, ...]] = BoundedCache(_REMEMBERED, _REMEMBERED_FRAMES)

    def learn(self, told: Iterable[tuple[int, tuple[Frame, ...]]]) -> None:
        """Take over stacks, root first, by their ids."""
        for key, frames in told:
            self._known.put(key, frames, 1 + len(frames))

    def counted(self, keys: npt.NDArray[np.void], counts: npt.NDArray[np.uint64]) -> tuple[tuple[Stack, ...], int]:
        """The stacks that were seen, most frequent first, and how many hits have a stack that nobody told."""
        seen: Counter[tuple[tuple[Frame, ...], int, int, bytes]] = Counter()
        missing = 0
        for (key, pid, tid, comm), count in zip(keys.tolist(), counts.tolist(), strict=True):
            frames = self._known.get(key)
            if frames is None:
                missing += count
            else:
                seen[frames, pid, tid, comm] += count
        stacks = (Stack(frames, n, pid, tid, text(comm)) for (frames, pid, tid, comm), n in seen.most_common())
        return tuple(stacks), missing
