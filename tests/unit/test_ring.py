"""The mapped ring buffer, on a memfd with its layout: busy and discarded records, and the edge of the ring."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

import numpy as np
import pytest

import ebtop.capture.ring as ring_module
from ebtop.capture.finish import Finish
from ebtop.capture.ring import BUSY, DISCARD, RingReader
from ebtop.capture.streams import PAGE, stride
from ebtop.tool import Batch

RECORD = np.dtype([("ts", "<u8"), ("pid", "<u4"), ("name", "S16")])  # 40 bytes a slot: one straddles the edge
SIZE = 2 * PAGE


class Ring:
    """Plays the kernel: writes records where the kernel would. The data area's second mapping is written as a copy."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * PAGE + 2 * SIZE)
        self.memory = mmap.mmap(self.fd, 2 * PAGE + 2 * SIZE)
        self.produced = 0

    def put(self, ts: int, mark: int = 0) -> int:
        at = self.produced % SIZE
        raw = struct.pack("<II", RECORD.itemsize | mark, 0) + struct.pack("<QI16s", ts, ts % 97, b"n%d" % ts)
        for offset, byte in enumerate(raw):
            for copy in ((at + offset) % SIZE, (at + offset) % SIZE + SIZE):
                self.memory[2 * PAGE + copy] = byte
        self.produced += stride(RECORD)
        self.memory[PAGE : PAGE + 8] = struct.pack("<Q", self.produced)
        return at

    def finish(self, at: int) -> None:
        for copy in (at, at + SIZE):
            self.memory[2 * PAGE + copy : 2 * PAGE + copy + 4] = struct.pack("<I", RECORD.itemsize)

    def consumed(self) -> int:
        position: int = struct.unpack_from("<Q", self.memory, 0)[0]
        return position


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = Ring()
    yield made
    made.memory.close()
    os.close(made.fd)


@pytest.fixture(params=[1, 3 * stride(RECORD), 1 << 18], autouse=True)
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing depends on how much is worked on at once."""
    monkeypatch.setattr(ring_module, "BLOCK", request.param)


def reading(ring: Ring, finish: Finish = lambda _part: None) -> RingReader:
    return RingReader(ring.fd, SIZE, RECORD, finish)


def read(reader: RingReader) -> list[int]:
    batch = reader.read()
    return [] if batch is None else batch["ts"].tolist()


def test_everything_once_in_order_round_the_ring_many_times(ring: Ring) -> None:
    reader = reading(ring)
    made, seen = 0, []
    for step in (1, 3, 7, 100, 200, 203, 2, 150) * 6:
        for _ in range(step):
            ring.put(made)
            made += 1
        seen += read(reader)
    assert seen == list(range(made))
    assert ring.consumed() == ring.produced
    assert made * stride(RECORD) > 15 * SIZE
    reader.close()


def test_a_record_that_is_being_written_stops_the_reader(ring: Ring) -> None:
    reader = reading(ring)
    ring.put(1)
    at = ring.put(2, BUSY)
    ring.put(3)
    assert read(reader) == [1]
    assert read(reader) == []
    ring.finish(at)
    assert read(reader) == [2, 3]
    reader.close()


def test_discarded_records_are_passed_over(ring: Ring) -> None:
    reader = reading(ring)
    for ts in range(10):
        ring.put(ts, DISCARD if ts % 3 == 0 else 0)
    assert read(reader) == [1, 2, 4, 5, 7, 8]
    ring.put(10, DISCARD)
    assert read(reader) == []
    assert ring.consumed() == ring.produced
    reader.close()


def test_a_batch_stays_as_it_was_when_the_ring_goes_on(ring: Ring) -> None:
    reader = reading(ring)
    ring.put(1)
    batch = reader.read()
    assert batch is not None
    for ts in range(1000):
        ring.put(ts)
        reader.read()
    assert batch["name"].tolist() == [b"n1"]
    reader.close()


def test_each_record_is_finished_once(ring: Ring) -> None:
    def finish(part: Batch) -> None:
        part["ts"] += np.uint64(1000)

    reader = reading(ring, finish)
    for ts in range(100):
        ring.put(ts, DISCARD if ts % 7 == 0 else 0)
    ring.put(100, BUSY)
    assert read(reader) == [ts + 1000 for ts in range(100) if ts % 7]
    reader.close()
