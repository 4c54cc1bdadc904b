"""The perf buffer behind the same interface, for kernels without the ring buffer (before 5.8).

Layout: include/uapi/linux/perf_event.h, struct perf_event_mmap_page; one ring a CPU, whose records are a header
(u32 type, u16 misc, u16 size) and, for samples, u32 size and the payload.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
from collections.abc import Iterator

import numpy as np

from ebtop.capture import bpfcall
from ebtop.capture.finish import Finish
from ebtop.capture.streams import PAGE
from ebtop.tool import Batch

_SAMPLE = 9
_HEAD, _TAIL = 1024, 1032  # data_head and data_tail in the first page


class _CpuBuffer:
    def __init__(self, fd: int, size: int) -> None:
        self.fd, self._size = fd, size
        self._pages = mmap.mmap(fd, PAGE + size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._head = np.frombuffer(self._pages, np.uint64, 1, _HEAD)
        self._tail = np.frombuffer(self._pages, np.uint64, 1, _TAIL)

    def take(self) -> bytes:
        """Everything that is there now, in one piece."""
        tail, head = int(self._tail[0]), int(self._head[0])
        start, stop = tail % self._size, head % self._size
        if head == tail:
            return b""
        whole = self._pages[PAGE + start : PAGE + stop] if start < stop else (
            self._pages[PAGE + start : PAGE + self._size] + self._pages[PAGE : PAGE + stop]
        )  # fmt: skip
        self._tail[0] = head
        return whole

    def close(self) -> None:
        del self._head, self._tail
        self._pages.close()
        os.close(self.fd)


class PerfReader:
    """Reads a perf event array: a buffer for each online CPU. Records of several CPUs are put in order by `ts`."""

    def __init__(self, map_fd: int, size: int, record: np.dtype[np.void], finish: Finish, cpus: list[int]) -> None:
        self.record, self._finish = record, finish
        # size of perf_event_header + u32 + payload, padded as the kernel does
        self._stride = (12 + record.itemsize + 7) // 8 * 8
        self._slot = np.dtype(
            {
                "names": ["type", "size", "record"],
                "formats": ["<u4", "<u2", record],
                "offsets": [0, 6, 12],
                "itemsize": self._stride,
            }
        )
        share = max(8 * PAGE, 1 << (size // len(cpus)).bit_length() - 1)
        self._buffers: list[_CpuBuffer] = []
        for cpu in cpus:
            fd = bpfcall.perf_buffer_event(cpu, share // 4)
            self._buffers.append(_CpuBuffer(fd, share))
            bpfcall.update(map_fd, struct.pack("<I", cpu), struct.pack("<I", fd))

    def read(self) -> Batch | None:
        """The records of all CPUs, in the order of their time."""
        parts = [part for buffer in self._buffers for part in self._decode(buffer.take())]
        if not parts:
            return None
        batch: Batch = np.concatenate(parts)
        self._finish(batch)
        order = batch.dtype.names is not None and "ts" in batch.dtype.names
        return batch[np.argsort(batch["ts"], kind="stable")] if order else batch

    def _decode(self, raw: bytes) -> Iterator[Batch]:
        """Runs of samples of equal size at once; notes of a loss, which the programs count too, are passed over."""
        at = 0
        while at < len(raw):
            kind, _misc, size = struct.unpack_from("<IHH", raw, at)
            if kind != _SAMPLE or size != self._stride:
                at += max(size, 8)
                continue
            slots = np.frombuffer(raw, self._slot, (len(raw) - at) // self._stride, at)
            other = np.flatnonzero((slots["type"] != _SAMPLE) | (slots["size"] != self._stride))
            count = int(other[0]) if len(other) else len(slots)
            yield slots["record"][:count].copy()
            at += count * self._stride

    def watch(self, poll: select.epoll) -> None:
        """Each CPU's event wakes at its watermark."""
        for buffer in self._buffers:
            poll.register(buffer.fd, select.EPOLLIN | select.EPOLLET)

    def close(self) -> None:
        """Unmap and close the events."""
        for buffer in self._buffers:
            buffer.close()
