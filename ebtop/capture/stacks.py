"""From samples to named stacks, each counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from ebtop.capture.userstacks import CUT, UserRecord, UserStacks
from ebtop.resolve.symbols import Symbolizer, UserFrame
from ebtop.tick import Frame, Stack
from ebtop.tool import Batch, text

_KERNEL_FRAME = 8
"""Bytes of an address."""

MOST_UNWOUND = 100_000
"""Frames of one tick: about the stacks of 50 busy CPUs, or half a second of work."""

_Key = tuple[int, int, bytes, bytes, tuple[UserFrame, ...], bool]


class StackNamer:
    """Names the samples of a tick: struct stack_sample of a tool's program."""

    def __init__(self, symbols: Symbolizer) -> None:
        self.symbols, self.unwinder = symbols, UserStacks(symbols)
        self._left = MOST_UNWOUND

    def stacks(self, batches: Iterable[Batch]) -> tuple[Stack, ...]:
        """The distinct stacks of all samples, root first, most frequent first."""
        self._left = MOST_UNWOUND
        counted = Counter(self._key(row) for batch in batches for row in batch)
        return tuple(self._stack(key, count) for key, count in counted.most_common())

    def _key(self, row: np.void) -> _Key:
        """(pid, tid, comm, kernel addresses, user frames, whether these are all) of a sample."""
        kernel = row["kernel"].tobytes()[: max(0, int(row["kernel_size"]))]
        frames, whole = self._user(UserRecord.of(row))
        return int(row["pid"]), int(row["tid"]), bytes(row["comm"]), kernel, tuple(frames), whole

    def _user(self, record: UserRecord) -> tuple[list[UserFrame], bool]:
        """Frames, innermost first, and whether there are no more: those that frame pointers lead to, when it is too
        much to unwind all."""
        if self._left <= 0 and record.stack:
            return record.chain, False
        found = self.unwinder.frames(record)
        self._left -= len(found[0])
        return found

    def _stack(self, key: _Key, count: int) -> Stack:
        pid, tid, comm, kernel, user, whole = key
        innermost_first = self.kernel(kernel) + self.user(pid, user)
        if not whole:
            innermost_first.append(Frame(CUT, "", kernel=False))
        return Stack(tuple(reversed(innermost_first)), count, pid, tid, text(comm))

    def kernel(self, raw: bytes) -> list[Frame]:
        """Frames of addresses, innermost first."""
        addresses = [int.from_bytes(raw[i : i + _KERNEL_FRAME], "little") for i in range(0, len(raw), _KERNEL_FRAME)]
        return self.symbols.kernel([address for address in addresses if address]) if addresses else []

    def user(self, pid: int, frames: Sequence[UserFrame]) -> list[Frame]:
        """Frames of a process, innermost first."""
        return self.symbols.user(pid, frames) if frames else []
