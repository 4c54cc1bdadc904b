"""From samples to named stacks, each counted once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from ebtop.capture.userstacks import CUT, UserRecord, UserStacks
from ebtop.resolve.symbols import Symbolizer, UserFrame
from ebtop.tick import Frame, Stack
from ebtop.tool import Batch, text

_KERNEL_FRAME = 8
"""Bytes of an address."""

MOST_UNWINDING_S = 0.25
"""CPU time of one tick. A sample takes a ten thousandth of a second; one of a process that has gone five."""

_Key = tuple[int, int, bytes, bytes, tuple[UserFrame, ...], bool]
_User = tuple[int, tuple[UserFrame, ...], bool]


class StackNamer:
    """Names the samples of a tick: struct stack_sample of a tool's program."""

    def __init__(self, symbols: Symbolizer) -> None:
        self.symbols, self.unwinder = symbols, UserStacks(symbols)
        self._until = 0.0

    def stacks(self, batches: Iterable[Batch]) -> tuple[Stack, ...]:
        """The distinct stacks of all samples, root first, most frequent first."""
        self._until = time.thread_time() + MOST_UNWINDING_S
        counted: Counter[_Key] = Counter()
        named: dict[_Key, tuple[Frame, ...]] = {}
        users: dict[_User, list[Frame]] = {}
        for row in (row for batch in batches for row in batch):
            key = self._key(row)
            counted[key] += 1
            if key not in named:  # at once: until the last is unwound, its process may have gone
                begun = time.thread_time()
                named[key] = self._named(key, users)
                self._until += time.thread_time() - begun
        return tuple(Stack(named[key], count, key[0], key[1], text(key[2])) for key, count in counted.most_common())

    def _key(self, row: np.void) -> _Key:
        """(pid, tid, comm, kernel addresses, user frames, whether these are all) of a sample."""
        kernel = row["kernel"].tobytes()[: max(0, int(row["kernel_size"]))]
        frames, whole = self._user(UserRecord.of(row))
        return int(row["pid"]), int(row["tid"]), bytes(row["comm"]), kernel, tuple(frames), whole

    def _user(self, record: UserRecord) -> tuple[list[UserFrame], bool]:
        """Frames, innermost first, and whether there are no more: those that frame pointers lead to, when it is too
        much to unwind all."""
        if record.stack and time.thread_time() > self._until:
            return self.unwinder.pointed(record), False
        return self.unwinder.frames(record)

    def _named(self, key: _Key, users: dict[_User, list[Frame]]) -> tuple[Frame, ...]:
        """Root first. `users` has the parts of this tick in user space: many stacks go on from one in the kernel."""
        pid, _, _, kernel, frames, whole = key
        user = pid, frames, whole
        if user not in users:
            users[user] = self.user(pid, frames) + ([] if whole else [Frame(CUT, "", kernel=False)])
        return tuple(reversed(self.kernel(kernel) + users[user]))

    def kernel(self, raw: bytes) -> list[Frame]:
        """Frames of addresses, innermost first."""
        addresses = [int.from_bytes(raw[i : i + _KERNEL_FRAME], "little") for i in range(0, len(raw), _KERNEL_FRAME)]
        return self.symbols.kernel([address for address in addresses if address]) if addresses else []

    def user(self, pid: int, frames: Sequence[UserFrame]) -> list[Frame]:
        """Frames of a process, innermost first."""
        return self.symbols.user(pid, frames) if frames else []
