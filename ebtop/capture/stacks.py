"""From sampled addresses to named stacks, each counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ebtop.resolve.symbols import Symbolizer, UserFrame
from ebtop.tick import Frame, Stack
from ebtop.tool import Batch, text

_KERNEL_FRAME, _USER_FRAME = 8, 32
"""Bytes of an address, and of struct bpf_stack_build_id."""

_Key = tuple[int, int, bytes, bytes, bytes]


def _keys(batch: Batch) -> Iterator[_Key]:
    """(pid, tid, comm, kernel addresses, user frames) of each sample, cut to what the kernel filled in."""
    for row in batch:
        kernel = row["kernel"].tobytes()[: max(0, int(row["kernel_size"]))]
        user = row["user"].tobytes()[: max(0, int(row["user_size"]))]
        yield int(row["pid"]), int(row["tid"]), bytes(row["comm"]), kernel, user


def user_frames(raw: bytes) -> list[UserFrame]:
    """The frames of struct user_frame, innermost first."""
    size = _USER_FRAME
    frames = []
    for at in range(0, len(raw) - size + 1, size):
        status = int.from_bytes(raw[at : at + 4], "little", signed=True)
        if status:
            value = int.from_bytes(raw[at + size - 8 : at + size], "little")
            frames.append(UserFrame(status, raw[at + 4 : at + 24], value))
    return frames


class StackNamer:
    """Names the samples of a tick: struct stack_sample of bpf/include or a tool's program."""

    def __init__(self, symbols: Symbolizer) -> None:
        self.symbols = symbols

    def stacks(self, batches: Iterable[Batch]) -> tuple[Stack, ...]:
        """The distinct stacks of all samples, root first, most frequent first."""
        counted: Counter[_Key] = Counter()
        for batch in batches:
            counted.update(_keys(batch))
        return tuple(self._stack(key, count) for key, count in counted.most_common())

    def _stack(self, key: _Key, count: int) -> Stack:
        pid, tid, comm, kernel, user = key
        innermost_first = self.kernel(kernel) + self.user(pid, user)
        return Stack(tuple(reversed(innermost_first)), count, pid, tid, text(comm))

    def kernel(self, raw: bytes) -> list[Frame]:
        """Frames of addresses, innermost first."""
        addresses = [int.from_bytes(raw[i : i + _KERNEL_FRAME], "little") for i in range(0, len(raw), _KERNEL_FRAME)]
        return self.symbols.kernel([address for address in addresses if address]) if addresses else []

    def user(self, pid: int, raw: bytes) -> list[Frame]:
        """Frames of struct user_frame, innermost first."""
        frames = user_frames(raw)
        return self.symbols.user(pid, frames) if frames else []
