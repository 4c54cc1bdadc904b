"""The user part of an event's stack: unwound from a piece of it, and by frame pointers where that does not reach."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from ebtop.resolve.codeplaces import CodePlaces, Told
from ebtop.resolve.symbols import Symbolizer, UserFrame
from ebtop.resolve.unwind import ARM64, X86_64, Copy, End, Registers, unwind

_ARCHITECTURE = ARM64 if os.uname().machine == "aarch64" else X86_64


class UserRecord(NamedTuple):
    """The user part of struct event_stack (bpf/include/event_stack.h). `chain` are the frames that frame pointers lead
    to, innermost first, all of them if it is `whole`."""

    pid: int
    program: int
    registers: Registers
    code: tuple[int, int]
    stack: bytes
    chain: list[UserFrame]
    whole: bool


class UserStacks:
    """Unwinds. Nothing raises."""

    def __init__(self, symbols: Symbolizer) -> None:
        self._places = CodePlaces(symbols)

    def frames(self, record: UserRecord) -> tuple[list[UserFrame], bool]:
        """The frames, innermost first, and whether there are no more."""
        if not record.stack:
            return record.chain, record.whole
        copy = Copy(record.registers.sp, record.stack)
        pointers = list(_pointers(copy, record.registers.bp, len(record.chain)))
        addresses = [record.registers.ip, *(copy.word(pointer + 8) for pointer in pointers)]
        placed = [(at, frame) for at, frame in zip(addresses, record.chain, strict=False) if at is not None]
        told = Told(record.pid, record.program, record.code, placed)
        places = self._places.of(told)
        unwound = unwind(_ARCHITECTURE, record.registers, copy, places.row)
        if len(unwound.frames) == 1 and unwound.end is not End.ROOT:
            return record.chain, record.whole
        # A frame that is no call's is looked up where it is, not one byte before as those are.
        frames = [places.frame(at + (not called and index > 0)) for index, (at, called) in enumerate(unwound.frames)]
        if unwound.chained and unwound.chained in pointers:
            return frames + record.chain[pointers.index(unwound.chained) + 1 :], record.whole
        return frames, unwound.end is not End.CUT


def _pointers(copy: Copy, pointer: int, most: int) -> Iterator[int]:
    """The frame pointers that lead from one to the next: all that are in the copy, and the one that leads out of it."""
    for _ in range(most):
        yield pointer
        above = copy.word(pointer)
        if above is None:
            return
        pointer = above
