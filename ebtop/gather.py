"""Many buffers by few calls to the kernel, each of which may take less than it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_MOST = 1024  # IOV_MAX


def write_all(buffers: Sequence[memoryview | bytes], write: Callable[[list[memoryview], int], int]) -> None:
    """Have all the bytes written: `write` is given some buffers and how many bytes came before, and says how many it
    took, as os.writev does."""
    left = [memoryview(buffer) for buffer in buffers]
    at = done = 0
    while at < len(left):
        written = write(left[at : at + _MOST], done)
        done += written
        while at < len(left) and written >= len(left[at]):
            written -= len(left[at])
            at += 1
        if written:
            left[at] = left[at][written:]
