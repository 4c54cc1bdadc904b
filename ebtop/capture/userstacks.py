"""The user part of a stack: unwound from a piece of it, and by frame pointers where that does not reach."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ebtop.resolve.codeplaces import CodePlaces, Places, Told
from ebtop.resolve.symbols import Symbolizer, UserFrame
from ebtop.resolve.unwind import ARM64, X86_64, Copy, End, Registers, unwind

CUT = "[cut]"
"""Stands for the outer frames of a stack that is deeper than a record."""

_ADDRESS = 2
"""Status of a frame that is only an instruction pointer."""

_USER_FRAME = 32
"""Bytes of struct bpf_stack_build_id."""

_ARCHITECTURE = ARM64 if os.uname().machine == "aarch64" else X86_64


class UserRecord(NamedTuple):
    """What a record has of it (bpf/include/user_stack_fields.h). `chain` are the frames that frame pointers lead to,
    innermost first, all of them if it is `whole`."""

    pid: int
    program: int
    registers: Registers
    code: tuple[int, int]
    stack: bytes
    chain: list[UserFrame]
    whole: bool

    @classmethod
    def of(cls, row: np.void) -> UserRecord:
        """That of a record, cut to what the kernel filled in."""
        ip, sp, bp, lr = (int(row[name]) for name in ("ip", "sp", "bp", "lr"))
        size, raw = int(row["user_size"]), row["user"].tobytes()
        return cls(
            int(row["pid"]),
            int(row["program"]),
            Registers(ip, sp, bp, lr),
            (int(row["code_start"]), int(row["code_end"])),
            row["stack"].tobytes()[: int(row["copied"])],
            user_frames(raw[: max(0, size)]),
            size < len(raw),
        )


def user_frames(raw: bytes) -> list[UserFrame]:
    """The frames of struct user_frame, innermost first."""
    frames = []
    for at in range(0, len(raw) - _USER_FRAME + 1, _USER_FRAME):
        status = int.from_bytes(raw[at : at + 4], "little", signed=True)
        if status:
            value = int.from_bytes(raw[at + _USER_FRAME - 8 : at + _USER_FRAME], "little")
            frames.append(UserFrame(status, raw[at + 4 : at + 24], value))
    return frames


class UserStacks:
    """Unwinds. Nothing raises."""

    def __init__(self, symbols: Symbolizer) -> None:
        self._places = CodePlaces(symbols)

    def look_at(self, pid: int) -> None:
        """Learn where a process has its files, for when it is gone."""
        self._places.look_at(pid)

    def frames(self, record: UserRecord) -> tuple[list[UserFrame], bool]:
        """The frames, innermost first, and whether there are no more."""
        if not record.stack:
            return record.chain, record.whole
        copy, pointers, places = self._seen(record)
        unwound = unwind(_ARCHITECTURE, record.registers, copy, places.row)
        if len(unwound.frames) == 1 and unwound.end is not End.ROOT:
            return _found(places, record.chain), record.whole
        # A frame that is no call's is looked up where it is, not one byte before as those are.
        frames = [places.frame(at + (not called and index > 0)) for index, (at, called) in enumerate(unwound.frames)]
        if unwound.chained and unwound.chained in pointers:
            return frames + _found(places, record.chain[pointers.index(unwound.chained) + 1 :]), record.whole
        return frames, unwound.end is not End.CUT

    def pointed(self, record: UserRecord) -> list[UserFrame]:
        """Only those that frame pointers lead to, which takes less time."""
        return _found(self._seen(record)[2], record.chain)

    def _seen(self, record: UserRecord) -> tuple[Copy, list[int], Places]:
        """The piece of stack, the frame pointers in it, and the memory that they are of."""
        copy = Copy(record.registers.sp, record.stack)
        pointers = list(_pointers(copy, record.registers.bp, len(record.chain)))
        addresses = [record.registers.ip, *(copy.word(pointer + 8) for pointer in pointers)]
        placed = [(at, frame) for at, frame in zip(addresses, record.chain, strict=False) if at is not None]
        return copy, pointers, self._places.of(Told(record.pid, record.program, record.code, placed))


def _found(places: Places, chain: list[UserFrame]) -> list[UserFrame]:
    """The same frames, those with their file for which the kernel had none at that moment."""
    return [places.frame(frame.value) if frame.status == _ADDRESS else frame for frame in chain]


def _pointers(copy: Copy, pointer: int, most: int) -> Iterator[int]:
    """The frame pointers that lead from one to the next: all that are in the copy, and the one that leads out of it."""
    for _ in range(most):
        yield pointer
        above = copy.word(pointer)
        if above is None:
            return
        pointer = above
