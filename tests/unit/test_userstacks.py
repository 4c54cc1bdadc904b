"""The user part of an event's stack: the copied piece and the frames that the kernel found, put together."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from ebtop.capture import userstacks
from ebtop.capture.userstacks import UserRecord, UserStacks
from ebtop.resolve import unwindtables
from ebtop.resolve.cfi import UnwindTable
from ebtop.resolve.codeplaces import CodePlaces, Told
from ebtop.resolve.mappings import read_mappings
from ebtop.resolve.regularfile import open_regular
from ebtop.resolve.symbols import Symbolizer, UserFrame
from ebtop.resolve.unwind import Registers, Unwound, unwind

SP = 0x7FFF00000000
GONE = 0x7FFFFFF0


def chain(*addresses: int) -> list[UserFrame]:
    return [UserFrame(2, b"", address) for address in addresses]


def record(bp: int, words: list[int], frames: list[UserFrame], whole: bool = True) -> UserRecord:
    stack = b"".join(struct.pack("<Q", word) for word in words)
    return UserRecord(GONE, 0, Registers(0x10, SP, bp), (0, 0), stack, raw(frames), whole)


def raw(frames: list[UserFrame]) -> bytes:
    """Frames as records have them."""
    return b"".join(struct.pack("<i20s", f.status, f.build_id) + struct.pack("<Q", f.value) for f in frames)


def values(frames: list[UserFrame]) -> list[int]:
    return [frame.value for frame in frames]


@pytest.mark.parametrize("whole", [True, False])
def test_the_kernels_frames_go_on_where_the_piece_ends(whole: bool):
    words = [SP + 16, 0x20, SP + 4096, 0x30]
    frames, all_of_it = UserStacks(Symbolizer()).frames(record(SP, words, chain(0x10, 0x20, 0x30, 0x40, 0x50), whole))
    assert (values(frames), all_of_it) == ([0x10, 0x20, 0x30, 0x40, 0x50], whole)


def test_without_a_piece_or_a_frame_in_it_the_kernels_frames_are_all_there_is():
    stacks = UserStacks(Symbolizer())
    for words, pointer in (([], SP), ([1, 2, 3], 7), ([1, 2, 3], SP - 64)):
        frames, all_of_it = stacks.frames(record(pointer, words, chain(0x10, 0x99)))
        assert (values(frames), all_of_it) == ([0x10, 0x99], True)


def test_frame_pointers_that_lead_in_a_circle_end():
    frames, _ = UserStacks(Symbolizer()).frames(record(SP, [SP, 0x20], chain(0x10, *[0x20] * 126)))
    assert len(frames) <= 128


def test_what_is_the_same_where_it_was_looked_at_is_unwound_once(monkeypatch: pytest.MonkeyPatch):
    unwound = list[Registers]()

    def counted(*given: Any) -> Unwound:
        unwound.append(given[1])
        return unwind(*given)

    monkeypatch.setattr(userstacks, "unwind", counted)
    symbols = Symbolizer()
    stacks = UserStacks(symbols)

    def frames(*words: int, bp: int = SP) -> list[int]:
        return values(stacks.frames(record(bp, list(words), chain(0x10, 0x20)))[0])

    assert [frames(SP + 24, 0x20, other, SP + 800, 0x30, other) for other in range(20)] == [[0x10, 0x20, 0x30]] * 20
    assert len(unwound) == 1
    assert frames(SP + 24, 0x20, 0, SP + 800, 0x31) == [0x10, 0x20, 0x31]  # a shorter piece, and another word
    assert frames(SP + 24, 0x20, 0, SP + 800, 0x32) == [0x10, 0x20, 0x32]
    assert frames(SP + 24, 0x21, 0, SP + 800, 0x32) == [0x10, 0x21, 0x32]
    assert frames(SP + 16, 0x20, SP + 800, 0x33, 0) == [0x10, 0x20, 0x33]
    assert frames(SP + 16, 0x20, SP + 800, 0x33, 0, bp=0) == [0x10]  # another register
    assert len(unwound) == 6
    symbols.tick()  # what is mapped may be something else now
    assert frames(SP + 16, 0x20, SP + 800, 0x33, 0) == [0x10, 0x20, 0x33]
    assert len(unwound) == 7


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(userstacks, "_MOST_KNOWN", 10)
    stacks = UserStacks(Symbolizer())
    for number in range(100):
        assert values(stacks.frames(record(SP, [SP + 800, number + 1], chain(0x10, number)))[0])[1:] == [number + 1]
        assert len(stacks._known) <= 10


def libc() -> tuple[int, int, str]:
    """Where this process has code of its C library, the offset of that in the file, and the file."""
    return next((m.start, m.offset, m.path) for m in read_mappings(os.getpid()) if re.search(r"/libc[.-]", m.path))


def told(pid: int, code: tuple[int, int], at: int, frame: UserFrame) -> Told:
    return Told(pid, 0, code, [(at, frame)])


def own_code() -> tuple[int, int]:
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[23]), int(fields[24])


def test_a_process_that_is_there_has_rows_and_one_that_is_another_now_has_none():
    start, offset, _ = libc()
    frame = UserFrame(1, b"x" * 20, offset + 64)
    there = CodePlaces(Symbolizer()).of(told(os.getpid(), own_code(), start + 64, frame))
    rows = [there.row(start + at) for at in range(0, 40_000, 64)]
    assert any(rows)
    assert there.row(1) is None
    assert there.frame(start) == UserFrame(2, b"", start)
    for code, at in (((1, 2), start + 64), (own_code(), start + 128)):
        other = CodePlaces(Symbolizer()).of(told(os.getpid(), code, at, frame))
        assert not any(other.row(start + at) for at in range(0, 40_000, 64))


def test_a_process_that_is_gone_has_what_the_kernel_named():
    start, first, path = libc()
    symbols = Symbolizer()
    fd = open_regular(path)
    try:
        facts = symbols.files.learn(fd, path, path)
    finally:
        os.close(fd)
    assert facts is not None
    if not facts.build_id:
        pytest.skip("this C library has no build id")
    places = CodePlaces(symbols)
    named = UserFrame(1, facts.build_id, 0x30000)
    gone = places.of(told(GONE, (5, 6), 0x7F0000000000 + 0x30000, named))
    found = [at for at in range(first, first + 0x40000, 64) if gone.row(0x7F0000000000 + at)]
    assert found
    assert gone.frame(0x7F0000000000 + found[0]) == UserFrame(1, facts.build_id, found[0])
    assert gone.frame(start) == UserFrame(2, b"", start) or start < 0x7F0000000000 + (64 << 20)
    # The kernel does not name it each time; of the same memory it was told before.
    later = places.of(told(GONE, (5, 6), 0x7F0000000000 + 0x30000, UserFrame(2, b"", 0x7F0000000000 + 0x30000)))
    assert later.row(0x7F0000000000 + found[0]) is not None
    another = places.of(told(GONE + 1, (5, 6), 1, UserFrame(2, b"", 1)))
    assert another.row(0x7F0000000000 + found[0]) is None


def test_rows_that_take_too_much_work_wait_for_the_next_interval(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unwindtables, "MOST_WORK", 1000)
    start, offset, _ = libc()
    symbols = Symbolizer()
    places = CodePlaces(symbols)
    frame = UserFrame(1, b"x" * 20, offset + 64)

    def rows() -> int:
        there = places.of(told(os.getpid(), own_code(), start + 64, frame))
        return sum(there.row(start + at) is not None for at in range(0, 40_000, 64))

    first = rows()
    assert symbols.failures["unwind tables: too much work"] > 0
    assert rows() == first
    symbols.tick()
    assert rows() > first > 0


def test_what_was_looked_at_in_time_is_known_when_it_is_gone():
    start, offset, _ = libc()
    frame = UserFrame(1, build_id(), offset + 64)
    gone = told(GONE, own_code(), start + 64, frame)
    assert not any(CodePlaces(Symbolizer()).of(gone).row(start + at) for at in range(0, 40_000, 64))
    symbols = Symbolizer()
    places = CodePlaces(symbols)
    places.look_at(os.getpid())
    places.of(gone)
    symbols.tick()
    unnamed = places.of(told(GONE, own_code(), start + 64, UserFrame(2, b"", start + 64)))
    assert unnamed.frame(own_code()[0]) == UserFrame(2, b"", own_code()[0])  # nothing shows that it is the same
    found = places.of(gone)  # told later in the same tick, with a name
    assert any(found.row(start + at) for at in range(0, 40_000, 64))
    assert found.frame(start + 64) == frame
    assert found.frame(own_code()[0]).status == 1
    places.look_at(GONE)  # nobody is there: nothing happens


def test_what_frame_pointers_lead_to_is_found_in_what_a_process_had_when_it_is_gone():
    """The kernel does not name each frame at each moment, and there is not always time to unwind."""
    start, offset, _ = libc()
    symbols = Symbolizer()
    stacks = UserStacks(symbols)
    stacks.look_at(os.getpid())
    symbols.tick()
    named, unnamed = UserFrame(1, build_id(), offset + 64), UserFrame(2, b"", start + 256)
    words = struct.pack("<4Q", SP + 16, start + 256, 0, 0)
    of = Registers(start + 64, SP, SP)
    gone = UserRecord(GONE, 0, of, own_code(), words, raw([named, unnamed]), True)
    assert stacks.pointed(gone) == [named, UserFrame(1, build_id(), offset + 256)]


def build_id() -> bytes:
    """Of the C library, as the kernel gives it."""
    fd = open_regular(libc()[2])
    try:
        return UnwindTable(fd).build_id
    finally:
        os.close(fd)
