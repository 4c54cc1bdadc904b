"""The BPF ring buffer, mapped into memory and decoded a batch at a time.

Layout: kernel/bpf/ringbuf.c. One page with the consumer's position, one with the producer's, then the data area twice
in a row, so that a record is never cut. A record is u32 length (bit 31: still being written, bit 30: discarded), u32
page offset, and the payload padded to 8 bytes.
"""

from __future__ import annotations

import mmap
import select
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ebtop.capture.streams import HEADER, PAGE, stride
from ebtop.capture.unixtime import Finish
from ebtop.tool import Batch

BUSY, DISCARD = 1 << 31, 1 << 30

BLOCK = 1 << 18
"""Bytes of a ring that are worked on at once: what is looked at, copied and finished comes from memory only once."""


class Reader(Protocol):
    """A stream of records of one struct, whatever carries it."""

    record: np.dtype[np.void]

    def read(self) -> Batch | None:
        """The records that are there now, copied out; None when there are none."""
        ...

    def watch(self, poll: select.epoll) -> None:
        """Have `poll` wake up when the stream fills."""
        ...

    def close(self) -> None:
        """Let go of the memory."""
        ...


def _slot(record: np.dtype[np.void]) -> np.dtype[np.void]:
    """A record with its header, as it lies in the ring."""
    return np.dtype(
        {"names": ["length", "record"], "formats": ["<u4", record], "offsets": [0, HEADER], "itemsize": stride(record)}
    )


def _finished(slots: npt.NDArray[np.void]) -> tuple[int, Batch]:
    """Up to the first that is still being written: how many slots, and their records without the discarded ones."""
    if int(slots["length"].max()) < DISCARD:
        return len(slots), slots["record"]
    lengths = slots["length"].copy()  # the kernel may change them meanwhile
    busy = np.flatnonzero(lengths & BUSY)
    passed = int(busy[0]) if len(busy) else len(slots)
    return passed, slots["record"][:passed][(lengths[:passed] & DISCARD) == 0]


class RingReader:
    """Reads the ring behind a map's descriptor. The only reader it may have.

    `fd` may be any file with the ring's layout (a memfd in tests). `finish` is called with each part of what is copied
    out. Raises OSError when it cannot be mapped.
    """

    def __init__(self, fd: int, size: int, record: np.dtype[np.void], finish: Finish) -> None:
        self.record, self._finish = record, finish
        self._fd, self._size, self._slot = fd, size, _slot(record)
        self._block = max(1, BLOCK // self._slot.itemsize)
        self._consumer_page = mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._pages = mmap.mmap(fd, PAGE + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=PAGE)
        # Positions are single aligned 8-byte words: NumPy loads and stores them whole.
        self._consumer = np.frombuffer(self._consumer_page, np.uint64, 1)
        self._producer = np.frombuffer(self._pages, np.uint64, 1)

    def read(self) -> Batch | None:
        """The finished records up to the first that is still being written."""
        start, end = int(self._consumer[0]), int(self._producer[0])
        count = (end - start) // self._slot.itemsize
        if count <= 0:
            return None
        # A ring's size need not be a multiple of the record's; the second mapping carries the one that straddles.
        slots = np.frombuffer(self._pages, self._slot, count, PAGE + start % self._size)
        batch: Batch = np.empty(count, self.record)
        taken = kept = 0
        while taken < count:
            block = slots[taken : taken + self._block]
            passed, records = _finished(block)
            part = batch[kept : kept + len(records)]
            part[:] = records
            self._finish(part)
            kept, taken = kept + len(part), taken + passed
            self._consumer[0] = start + taken * self._slot.itemsize
            if passed < len(block):
                break
        return batch[:kept] if kept else None

    def watch(self, poll: select.epoll) -> None:
        """The map's descriptor becomes readable when a program asks for a wake-up."""
        poll.register(self._fd, select.EPOLLIN | select.EPOLLET)

    def close(self) -> None:
        """Unmap; the descriptor stays with who opened it."""
        del self._consumer, self._producer
        self._consumer_page.close()
        self._pages.close()
