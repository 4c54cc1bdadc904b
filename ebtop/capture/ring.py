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

from ebtop.capture.finish import Finish
from ebtop.capture.streams import HEADER, PAGE, stride
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


def in_ring(record: np.dtype[np.void]) -> np.dtype[np.void]:
    """A record as it lies in the ring, its header being padding."""
    fields = [(name, *field[:2]) for name, field in (record.fields or {}).items()]
    names, formats, offsets = zip(*fields, strict=True)
    places = [HEADER + offset for offset in offsets]
    return np.dtype({"names": names, "formats": formats, "offsets": places, "itemsize": stride(record)})


def _finished(lengths: npt.NDArray[np.uint32]) -> tuple[int, npt.NDArray[np.bool_] | None]:
    """Of some records' headers: how many come before the first that is still being written, and which of these are
    not discarded (None: all)."""
    if int(lengths.max()) < DISCARD:
        return len(lengths), None
    seen = lengths.copy()  # the kernel may change them meanwhile
    busy = np.flatnonzero(seen & BUSY)
    passed = int(busy[0]) if len(busy) else len(seen)
    return passed, (seen[:passed] & DISCARD) == 0


class RingReader:
    """Reads the ring behind a map's descriptor. The only reader it may have. Records are copied with their headers, so
    that many are one copy.

    `fd` may be any file with the ring's layout (a memfd in tests). `finish` is called with each part of what is copied
    out. Raises OSError when it cannot be mapped.
    """

    def __init__(self, fd: int, size: int, record: np.dtype[np.void], finish: Finish) -> None:
        self.record, self._finish = in_ring(record), finish
        self._fd, self._size, self._stride = fd, size, stride(record)
        self._block = max(1, BLOCK // self._stride)
        self._consumer_page = mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._pages = mmap.mmap(fd, PAGE + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=PAGE)
        # Positions are single aligned 8-byte words: NumPy loads and stores them whole.
        self._consumer = np.frombuffer(self._consumer_page, np.uint64, 1)
        self._producer = np.frombuffer(self._pages, np.uint64, 1)

    def read(self) -> Batch | None:
        """The finished records up to the first that is still being written."""
        start, end = int(self._consumer[0]), int(self._producer[0])
        count = (end - start) // self._stride
        if count <= 0:
            return None
        # A ring's size need not be a multiple of the record's; the second mapping carries the one that straddles.
        ring = np.frombuffer(self._pages, f"V{self._stride}", count, PAGE + start % self._size)
        lengths = np.ndarray((count,), np.uint32, ring, strides=(self._stride,))
        copied = np.empty_like(ring)
        taken = kept = 0
        while taken < count:
            passed, chosen = _finished(lengths[taken : taken + self._block])
            slots = ring[taken : taken + passed] if chosen is None else ring[taken : taken + passed][chosen]
            part = copied[kept : kept + len(slots)]
            part.view(np.uint8)[:] = slots.view(np.uint8)
            self._finish(part.view(self.record))
            whole = passed == min(self._block, count - taken)
            kept, taken = kept + len(part), taken + passed
            self._consumer[0] = start + taken * self._stride
            if not whole:
                break
        return copied[:kept].view(self.record) if kept else None

    def watch(self, poll: select.epoll) -> None:
        """The map's descriptor becomes readable when a program asks for a wake-up."""
        poll.register(self._fd, select.EPOLLIN | select.EPOLLET)

    def close(self) -> None:
        """Unmap; the descriptor stays with who opened it."""
        del self._consumer, self._producer
        self._consumer_page.close()
        self._pages.close()
