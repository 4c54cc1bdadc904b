"""From the registers of a thread and a piece of its stack to the addresses that its functions will return to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from ebtop.resolve.byteread import BytesError
from ebtop.resolve.cfaexpression import ExpressionError, evaluate
from ebtop.resolve.cfaprogram import Kind, Row, Rule

_MASK = (1 << 64) - 1
_MOST_FRAMES = 256
_MOST_EXPRESSIONS = 128  # the frame of a signal has 17, others one or none


class Architecture(NamedTuple):
    """Numbers of registers in unwind tables, and which bits of an address are not a signature."""

    stack: int
    frame: int
    link: int
    """The register, or the column, of the address to return to."""
    code_mask: int


X86_64 = Architecture(7, 6, 16, _MASK)
ARM64 = Architecture(31, 29, 30, (1 << 48) - 1)


class Registers(NamedTuple):
    """Those that a system call was made with. `link` is arm64's."""

    ip: int
    sp: int
    bp: int
    link: int = 0


@dataclass(slots=True)
class Copy:
    """A piece of a stack, from address `start` on. `read` is where in it somebody looked."""

    start: int
    data: bytes
    read: set[int] = field(default_factory=set)

    def word(self, address: int) -> int | None:
        """The 8 bytes at an address; None when they are not in the piece."""
        at = address - self.start
        if not 0 <= at <= len(self.data) - 8:
            return None
        self.read.add(at)
        return int.from_bytes(self.data[at : at + 8], "little")


class End(Enum):
    """Why there are no more frames."""

    ROOT = auto()
    """It was the first function of its thread."""
    CUT = auto()
    """What is needed lies beyond the piece of stack."""
    LOST = auto()
    """Nothing says who called."""


class Frame(NamedTuple):
    """A function's: the address in it that runs or will be returned to. `called`: it stands behind a call, which may be
    the last instruction of its function."""

    address: int
    called: bool


class Unwound(NamedTuple):
    """Frames, innermost first. `chained` is the frame pointer that leads on from the last one, 0 where none does."""

    frames: list[Frame]
    end: End
    chained: int = 0


Rows = Callable[[int], Row | None]
"""The row of the unwind table at an address; None where there is none."""


class _StopError(Exception):
    def __init__(self, end: End, chained: int = 0) -> None:
        super().__init__(end)
        self.end, self.chained = end, chained


def unwind(arch: Architecture, registers: Registers, copy: Copy, rows: Rows) -> Unwound:
    """By the unwind tables, and by frame pointers where there is none. `rows` is asked for the address of the call."""
    walk = _Walk(arch, registers, copy)
    frames: list[Frame] = []
    called = False
    try:
        while len(frames) < _MOST_FRAMES:
            frames.append(Frame(walk.address, called))
            row = rows(walk.address - called)
            walk.leave(row, innermost=len(frames) == 1)
            called = row is None or not row.signal
    except _StopError as stopped:
        return Unwound(frames, stopped.end, stopped.chained)
    except (ExpressionError, BytesError):
        return Unwound(frames, End.LOST)
    return Unwound(frames, End.CUT)


class _Known:
    """What is known of a function's registers: values, and where on the stack others are saved. These are looked at
    when they are asked for, as most never are."""

    def __init__(self, values: dict[int, int], saved: dict[int, int], copy: Copy) -> None:
        self.values, self.saved, self._copy = values, saved, copy

    def get(self, register: int) -> int | None:
        """Its value; None when it is not known."""
        value = self.values.get(register)
        if value is None and register in self.saved:
            value = self._copy.word(self.saved[register])
        return value

    def without(self, registers: Collection[int]) -> _Known:
        """The same of all others."""
        values = {register: value for register, value in self.values.items() if register not in registers}
        return _Known(values, {r: at for r, at in self.saved.items() if r not in registers}, self._copy)


class _Walk:
    """A function on the stack: the address that it is at, and what is known of its registers."""

    def __init__(self, arch: Architecture, registers: Registers, copy: Copy) -> None:
        self._arch, self._copy = arch, copy
        self.address = registers.ip
        self._expressions = 0
        values = {arch.frame: registers.bp, arch.stack: registers.sp, arch.link: registers.link or registers.ip}
        self._known = _Known(values, {}, copy)

    def leave(self, row: Row | None, innermost: bool) -> None:
        """Go to the caller. Raises _StopError without one, ExpressionError or BytesError for a damaged table."""
        known = self._by_table(row) if row is not None else self._by_frame_pointer()
        address = (known.get(self._arch.link) or 0) & self._arch.code_mask
        before, after = self._stack_of(self._known), self._stack_of(known)
        if not address:
            raise _StopError(End.ROOT)
        if after < before or (after == before and not innermost):
            raise _StopError(End.LOST)
        self.address, self._known = address, known

    def _stack_of(self, known: _Known) -> int:
        found = known.get(self._arch.stack)
        if found is None:
            raise _StopError(End.CUT)
        return found

    def _by_frame_pointer(self) -> _Known:
        arch, pointer = self._arch, self._known.get(self._arch.frame)
        if pointer == 0:
            raise _StopError(End.ROOT)
        if pointer is None or pointer % 8 or pointer < self._stack_of(self._known):
            raise _StopError(End.LOST)
        above, address = self._copy.word(pointer), self._copy.word(pointer + 8)
        if above is None or address is None:
            raise _StopError(End.CUT, pointer)
        return _Known({arch.frame: above, arch.stack: pointer + 16, arch.link: address}, {}, self._copy)

    def _by_table(self, row: Row) -> _Known:
        arch, known = self._arch, self._known
        cfa = self._cfa(row)
        back = row.rules.get(row.return_column)
        if back is None and arch is X86_64:
            raise _StopError(End.LOST)
        if back is not None and back.kind is Kind.UNDEFINED:
            raise _StopError(End.ROOT)
        caller = known.without([register for register, rule in row.rules.items() if rule.kind is not Kind.SAME])
        for register, rule in row.rules.items():
            if rule.kind is Kind.OFFSET:
                caller.saved[register] = cfa + rule.value
            elif rule.kind is not Kind.SAME and (value := self._value(rule, cfa)) is not None:
                caller.values[register] = value & _MASK
        address = caller.get(row.return_column)
        if address is None:
            raise _StopError(End.CUT, self._chained(back, cfa))
        if arch.stack not in row.rules:
            caller.values[arch.stack] = cfa
        caller.values[arch.link] = address
        return caller

    def _chained(self, back: Rule | None, cfa: int) -> int:
        """The frame pointer, when the address to go back to lies behind what it points to."""
        pointer = self._known.get(self._arch.frame) or 0
        return pointer if back is not None and back.kind is Kind.OFFSET and cfa + back.value == pointer + 8 else 0

    def _cfa(self, row: Row) -> int:
        found = self._evaluate(row.expression) if row.expression else self._known.get(row.register)
        if found is None:
            raise _StopError(End.CUT if row.expression else End.LOST)
        return found + row.offset & _MASK

    def _value(self, rule: Rule, cfa: int) -> int | None:
        if rule.kind is Kind.VALUE_OFFSET:
            return cfa + rule.value
        if rule.kind is Kind.REGISTER:
            return self._known.get(rule.value)
        if rule.kind in {Kind.EXPRESSION, Kind.VALUE_EXPRESSION}:
            value = self._evaluate(rule.expression, cfa)
            return self._copy.word(value) if value is not None and rule.kind is Kind.EXPRESSION else value
        return None

    def _evaluate(self, expression: bytes, first: int | None = None) -> int | None:
        self._expressions += 1
        if self._expressions > _MOST_EXPRESSIONS:
            raise ExpressionError("a stack that takes too many expressions")
        return evaluate(expression, self._known.get, self._copy.word, first)
