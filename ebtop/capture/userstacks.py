"""The user part of a stack: unwound from a piece of it, and by frame pointers where that does not reach."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ebtop.resolve.codeplaces import CodePlaces, Places, Told
from ebtop.resolve.symbols import Symbolizer, UserFrame
from ebtop.resolve.unwind import ARM64, X86_64, Copy, End, Registers, Unwound, unwind

CUT = "[cut]"
"""Stands for the outer frames of a stack that is deeper than a record."""

_ADDRESS = 2
"""Status of a frame that is only an instruction pointer."""

_USER_FRAME = 32
"""Bytes of struct bpf_stack_build_id."""

_MOST_KNOWN = 256
"""Distinct ones remembered; each may have read hundreds of words."""

_ARCHITECTURE = ARM64 if os.uname().machine == "aarch64" else X86_64


class UserRecord(NamedTuple):
    """What a record has of it (bpf/include/user_stack_fields.h). `pointed` are the frames that frame pointers lead to,
    all of them if it is `whole`."""

    pid: int
    program: int
    registers: Registers
    code: tuple[int, int]
    stack: bytes
    pointed: bytes
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
            raw[: max(0, size)],
            size < len(raw),
        )

    @property
    def chain(self) -> list[UserFrame]:
        """Those frames, innermost first."""
        return user_frames(self.pointed)


def user_frames(raw: bytes) -> list[UserFrame]:
    """The frames of struct user_frame, innermost first."""
    frames = []
    for at in range(0, len(raw) - _USER_FRAME + 1, _USER_FRAME):
        status = int.from_bytes(raw[at : at + 4], "little", signed=True)
        if status:
            value = int.from_bytes(raw[at + _USER_FRAME - 8 : at + _USER_FRAME], "little")
            frames.append(UserFrame(status, raw[at + 4 : at + 24], value))
    return frames


class _Unwound(NamedTuple):
    """What came of a record, and the words of its piece of stack that this depended on, with their places there."""

    words: tuple[tuple[int, bytes], ...]
    frames: list[UserFrame]
    whole: bool


class UserStacks:
    """Unwinds. Nothing raises."""

    def __init__(self, symbols: Symbolizer) -> None:
        self._symbols, self._places = symbols, CodePlaces(symbols)
        self._epoch = -1
        self._known: dict[tuple[object, ...], _Unwound] = {}

    def look_at(self, pid: int) -> None:
        """Learn where a process has its files, for when it is gone."""
        self._places.look_at(pid)

    def frames(self, record: UserRecord) -> tuple[list[UserFrame], bool]:
        """The frames, innermost first, and whether there are no more.

        What a program does again and again leads to the same frames, though the rest of its stack is never the same.
        """
        if not record.stack:
            return record.chain, record.whole
        if self._epoch != self._symbols.epoch:
            self._epoch = self._symbols.epoch
            self._known.clear()
        key = record._replace(stack=b""), len(record.stack)
        known = self._known.get(key)
        if known is None or not all(record.stack.startswith(word, at) for at, word in known.words):
            self._known[key] = known = self._unwound(record)
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        return known.frames, known.whole

    def _unwound(self, record: UserRecord) -> _Unwound:
        copy, chain = Copy(record.registers.sp, record.stack), record.chain
        pointers, places = self._seen(record, copy, chain)
        unwound = unwind(_ARCHITECTURE, record.registers, copy, places.row)
        frames, whole = _together(record.whole, chain, pointers, unwound, places)
        return _Unwound(tuple((at, copy.data[at : at + 8]) for at in copy.read), frames, whole)

    def pointed(self, record: UserRecord) -> list[UserFrame]:
        """Only those that frame pointers lead to, which takes less time."""
        chain = record.chain
        return _found(self._seen(record, Copy(record.registers.sp, record.stack), chain)[1], chain)

    def _seen(self, record: UserRecord, copy: Copy, chain: list[UserFrame]) -> tuple[list[int], Places]:
        """The frame pointers in the piece of stack, and the memory that they are of."""
        pointers = list(_pointers(copy, record.registers.bp, len(chain)))
        addresses = [record.registers.ip, *(copy.word(pointer + 8) for pointer in pointers)]
        placed = [(at, frame) for at, frame in zip(addresses, chain, strict=False) if at is not None]
        return pointers, self._places.of(Told(record.pid, record.program, record.code, placed))


def _together(
    whole: bool, chain: list[UserFrame], pointers: list[int], unwound: Unwound, places: Places
) -> tuple[list[UserFrame], bool]:
    """What unwinding found, and what frame pointers lead to (all of it if `whole`) where that did not get on."""
    if len(unwound.frames) == 1 and unwound.end is not End.ROOT:
        return _found(places, chain), whole
    # A frame that is no call's is looked up where it is, not one byte before as those are.
    frames = [places.frame(at + (not called and index > 0)) for index, (at, called) in enumerate(unwound.frames)]
    if unwound.chained and unwound.chained in pointers:
        return frames + _found(places, chain[pointers.index(unwound.chained) + 1 :]), whole
    return frames, unwound.end is not End.CUT


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
