"""Shared memory between capture and the screen: what goes through it, when it is free again, who may do what."""

from __future__ import annotations

import gc
import mmap
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from ebtop import arena
from ebtop.arena import SIZE, SMALLEST, UNIT, UNITS, ArenaReader, ArenaWriter
from ebtop.source.wire import Reader, WireError, Writer
from ebtop.tick import Tick
from tests.unit.test_wire import same, sent

RECORD = np.dtype([("ts", "<u8"), ("path", "S56")])


def tick(count: int, seed: int = 0) -> Tick:
    events = np.zeros(count, RECORD)
    events["ts"] = np.arange(seed, seed + count)
    events["path"] = b"/etc/passwd"
    return Tick("x", 1, 2, (events[: count // 2], events[count // 2 :]))


LARGE = 2 * UNIT // RECORD.itemsize + 1001  # three units


class Ends:
    """Both sides in one process, a file for a pipe."""

    def __init__(self) -> None:
        files = arena.make()
        self.marks = mmap.mmap(files.marks, mmap.PAGESIZE)
        self.units = os.dup(files.write)
        self.writing = ArenaWriter(files.write, os.dup(files.marks))
        self.reading = ArenaReader(files.read, files.marks)
        self.fd = os.memfd_create("stream")
        self.writer = Writer(self.fd, arena=self.writing)

    def passed(self, *ticks: Tick) -> tuple[list[Tick], int]:
        """The ticks on the other side, and how many bytes went through the pipe."""
        for one in ticks:
            self.writer.send(one)
        end = os.lseek(self.fd, 0, os.SEEK_CUR)
        os.lseek(self.fd, 0, os.SEEK_SET)
        found = list(Reader(self.fd, arena=self.reading))
        os.truncate(self.fd, len(sent()))
        os.lseek(self.fd, 0, os.SEEK_END)
        return found, end  # type: ignore[return-value]

    @property
    def taken(self) -> int:
        """How many units are marked."""
        return UNITS - bytes(self.marks[:UNITS]).count(0)


@pytest.fixture
def ends() -> Iterator[Ends]:
    found = Ends()
    yield found
    os.close(found.fd)
    os.close(found.units)


def test_a_large_tick_does_not_go_through_the_pipe(ends: Ends) -> None:
    made = tick(LARGE)
    (found,), passed = ends.passed(made)
    assert same(found, made)
    assert passed < 1000
    assert ends.taken == 3
    with pytest.raises(ValueError, match="read-only"):
        found.events[0]["ts"][0] = 1
    late = found.events[1][5:7]
    del found
    gc.collect()
    assert ends.taken == 3
    assert late["ts"].tolist() == [LARGE // 2 + 5, LARGE // 2 + 6]
    del late
    assert ends.taken == 0


@pytest.mark.parametrize("count", [3, SMALLEST // RECORD.itemsize - 1, SIZE // RECORD.itemsize + 100])
def test_small_and_huge_ones_do(ends: Ends, count: int) -> None:
    made = tick(count)
    (found,), passed = ends.passed(made)
    assert same(found, made)
    assert passed > count * RECORD.itemsize
    assert ends.taken == 0


def test_when_all_units_are_taken_nothing_is_lost(ends: Ends) -> None:
    made = [tick(LARGE, n) for n in range(UNITS // 3 + 3)]
    found, passed = ends.passed(*made)
    assert all(map(same, found, made))
    assert ends.taken == UNITS // 3 * 3
    assert 6 * UNIT < passed < 7 * UNIT
    del found[4:9]
    assert ends.taken == UNITS // 3 * 3 - 15
    again, passed = ends.passed(tick(LARGE, 77))
    assert same(again[0], tick(LARGE, 77))
    assert passed < 1000
    assert all(map(same, found, [*made[:4], *made[9:]]))  # nobody wrote where others look


def test_arrays_of_many_pieces(ends: Ends) -> None:
    """More of them than one call to the kernel takes."""
    pieces = [bytes([number % 251]) * (number % 700) for number in range(3001)]
    together = b"".join(pieces)
    place = ends.writing.place(pieces, len(together))
    assert place == 0
    assert bytes(ends.reading.view(place, len(together))) == together


def test_what_may_not_be_written_is_sent(ends: Ends) -> None:
    """As under `ulimit -f`."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (UNIT // 2, limits[1]))
    try:
        assert ends.writing.place([bytes(UNIT)], UNIT) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert ends.taken == 0
    assert ends.writing.place([bytes(UNIT)], UNIT) == 0


def test_memory_in_use_is_kept_and_used_again(ends: Ends) -> None:
    """Only after they have been free for a while do units give their memory back."""
    held, _ = ends.passed(tick(LARGE))
    for unit in ends.writing._used:
        ends.writing._used[unit] -= arena.KEPT_S + 1
    ends.writing.trim()
    held.clear()
    ends.writing.trim()
    assert os.fstat(ends.units).st_blocks * 512 > 2 * UNIT


def test_memory_that_is_not_used_is_given_back(ends: Ends) -> None:
    held, _ = ends.passed(tick(LARGE), tick(LARGE))
    used = os.fstat(ends.units).st_blocks
    assert used * 512 > 4 * UNIT
    del held[0]
    for unit in ends.writing._used:
        ends.writing._used[unit] -= arena.KEPT_S + 1
    ends.writing.trim()
    assert 2 * UNIT < os.fstat(ends.units).st_blocks * 512 < 3 * UNIT
    assert same(held[0], tick(LARGE))


def test_only_capture_can_write() -> None:
    files = arena.make()
    with pytest.raises(PermissionError):
        mmap.mmap(files.read, SIZE)
    for fd in files:
        with pytest.raises(OSError, match=r"not permitted|Invalid argument"):
            os.ftruncate(fd, 0)  # who has it mapped would die of it


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give root up")
def test_who_has_given_root_up_cannot_open_it_anew() -> None:
    files = arena.make()
    code = f"import os; os.setuid(65534); os.open('/proc/self/fd/{files.read}', os.O_RDWR)"
    done = subprocess.run(
        [sys.executable, "-c", code], pass_fds=[files.read], capture_output=True, text=True, check=False
    )
    assert "PermissionError" in done.stderr


def frame(place: int, said: bytes) -> bytes:
    header = b'{"tool":"x","start":1,"end":2,"lost":{},"cost":{"run_ns":0,"run_count":0},"gauges":{},"names":{},'
    header += b'"events":[],"rows":null,"histograms":null,"stacks":null}'
    header += b" " * (-len(header) % 8)
    return struct.pack("<IBBHI", 8 + len(header) + len(said), 1, 0, place, len(header)) + header + said


@pytest.mark.parametrize(
    ("place", "said", "shared"),
    [
        (1, struct.pack("<Q", 0), False),
        (1, struct.pack("<Q", 0), True),
        (UNITS + 1, struct.pack("<Q", 8), True),
        (65535, struct.pack("<Q", 8), True),
        (UNITS, struct.pack("<Q", UNIT + 1), True),
        (1, struct.pack("<Q", SIZE + 1), True),
        (1, struct.pack("<Q", 1 << 63), True),
        (1, struct.pack("<Q", 8), True),
        (1, b"", True),
        (1, bytes(16), True),
    ],
)
def test_places_that_are_none(ends: Ends, place: int, said: bytes, shared: bool) -> None:
    os.write(ends.fd, frame(place, said))
    os.lseek(ends.fd, 0, os.SEEK_SET)
    with pytest.raises(WireError):
        list(Reader(ends.fd, arena=ends.reading if shared else None))
    assert ends.taken == 0
