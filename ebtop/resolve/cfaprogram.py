"""The program of an FDE, run up to an address: where the caller's registers are while that instruction runs.

DWARF 5, section 6.4.2 and 7.24, the instructions DW_CFA_*; numbers of registers: the System V ABIs of x86-64 and arm64.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ebtop.resolve.byteread import Bytes

_MOST_INSTRUCTIONS = 20_000  # GCC's own largest function has about half as many
_MOST_EXPRESSION = 128  # bytes; they have a dozen
_MOST_REMEMBERED = 64
_MOST_REGISTERS = 128


class CfaProgramError(Exception):
    """The program is damaged, or has instructions that no compiler writes there."""


class Kind(Enum):
    """How a register's value, or the CFA, is found; `value` of Rule is meant so."""

    UNDEFINED = "it is lost"
    SAME = "unchanged"
    OFFSET = "in memory, so many bytes from the CFA"
    VALUE_OFFSET = "so many bytes from the CFA"
    REGISTER = "in that register"
    EXPRESSION = "in memory where the expression says"
    VALUE_EXPRESSION = "what the expression says"


class Rule(NamedTuple):
    """Where one register is."""

    kind: Kind
    value: int = 0
    expression: bytes = b""


class Row(NamedTuple):
    """Where all are. The CFA, the caller's stack pointer at the call, is `register` + `offset`, or what `expression`
    says. Registers without a rule are unchanged."""

    register: int
    offset: int
    expression: bytes
    rules: dict[int, Rule]
    return_column: int
    signal: bool  # the caller did not call: a signal came before the instruction at the address to go back to


class Coding(NamedTuple):
    """What a CIE says of the programs of its functions."""

    code_factor: int
    data_factor: int
    return_column: int
    signal: bool
    arm64: bool


class _State:
    def __init__(self) -> None:
        self.register, self.offset, self.expression = -1, 0, b""
        self.rules: dict[int, Rule] = {}

    def copy(self) -> _State:
        other = _State()
        other.register, other.offset, other.expression = self.register, self.offset, self.expression
        other.rules = dict(self.rules)
        return other


def run(coding: Coding, first: bytes, then: bytes, begin: int, address: int) -> Row:
    """Run a CIE's program and the FDE's, which begins at `begin`. Raises CfaProgramError or BytesError."""
    machine = _Machine(coding, begin, address)
    machine.run(first)
    machine.initial = dict(machine.state.rules)
    machine.run(then)
    state = machine.state
    return Row(state.register, state.offset, state.expression, state.rules, coding.return_column, coding.signal)


class _Machine:
    def __init__(self, coding: Coding, begin: int, address: int) -> None:
        self._coding, self._location, self._wanted = coding, begin, address
        self.state = _State()
        self.initial: dict[int, Rule] = {}
        self._remembered: list[_State] = []
        self._left = _MOST_INSTRUCTIONS

    def run(self, program: bytes) -> None:
        """As far as it tells of the wanted address."""
        source = Bytes(program)
        while source.left and self._location <= self._wanted:
            code = source.unsigned(1)
            before = self._location
            self._left -= 1
            if not self._left:
                raise CfaProgramError("a program that is too long")
            self._do(code & 0xC0 or code, code & 0x3F, source)
            if self._location > self._wanted:
                return
            if self._location < before:
                raise CfaProgramError("a program that goes back")

    def _do(self, code: int, low: int, source: Bytes) -> None:
        if code == 0x40:
            self._location += low * self._coding.code_factor
        elif code == 0x80:
            self._set(low, Rule(Kind.OFFSET, source.uleb() * self._coding.data_factor))
        elif code == 0xC0:
            self._restore(low)
        elif code in _SKIPS:
            self._location += source.unsigned(_SKIPS[code]) * self._coding.code_factor
        elif code in _RULES:
            kind, factored, signed = _RULES[code]
            register = source.uleb()
            value = source.sleb() if signed else source.uleb()
            self._set(register, Rule(kind, value * (self._coding.data_factor if factored else 1)))
        elif code in _CFA:
            self._define(code, source)
        else:
            self._do_other(code, source)

    def _define(self, code: int, source: Bytes) -> None:
        state, factor = self.state, self._coding.data_factor
        if code in {0x0C, 0x12, 0x0D}:
            state.register = source.uleb()
            state.expression = b""
        if code in {0x0C, 0x0E}:
            state.offset = source.uleb()
        elif code in {0x12, 0x13}:
            state.offset = source.sleb() * factor
        elif code == 0x0F:
            state.register, state.offset, state.expression = -1, 0, _expression(source)

    def _do_other(self, code: int, source: Bytes) -> None:
        if code == 0x06:
            self._restore(source.uleb())
        elif code in {0x07, 0x08}:
            self._set(source.uleb(), Rule(Kind.UNDEFINED if code == 0x07 else Kind.SAME))
        elif code in {0x0A, 0x0B}:
            self._remember(restore=code == 0x0B)
        elif code in _EXPRESSIONS:
            self._set(source.uleb(), Rule(_EXPRESSIONS[code], 0, _expression(source)))
        elif code == 0x2E:  # DW_CFA_GNU_args_size: what was pushed for a call; the CFA counts it already
            source.uleb()
        elif code == 0x2F:  # DW_CFA_GNU_negative_offset_extended
            self._set(source.uleb(), Rule(Kind.OFFSET, -source.uleb() * self._coding.data_factor))
        elif not (code == 0x00 or (code == 0x2D and self._coding.arm64)):  # negate_ra_state: signatures are cut off
            raise CfaProgramError(f"an unknown instruction {code:#x}")

    def _remember(self, restore: bool) -> None:
        if restore and not self._remembered:
            raise CfaProgramError("a program that remembers nothing")
        if restore:
            self.state = self._remembered.pop()
            return
        if len(self._remembered) >= _MOST_REMEMBERED:
            raise CfaProgramError("a program that remembers too much")
        self._remembered.append(self.state.copy())

    def _set(self, register: int, rule: Rule) -> None:
        if not 0 <= register < _MOST_REGISTERS:
            raise CfaProgramError(f"a register {register}")
        self.state.rules[register] = rule

    def _restore(self, register: int) -> None:
        if register in self.initial:
            self.state.rules[register] = self.initial[register]
        else:
            self.state.rules.pop(register, None)


def _expression(source: Bytes) -> bytes:
    size = source.uleb()
    if size > _MOST_EXPRESSION:
        raise CfaProgramError(f"an expression of {size} bytes")
    return source.take(size)


_SKIPS = {0x02: 1, 0x03: 2, 0x04: 4}
"""DW_CFA_advance_loc1, 2, 4: bytes of the number."""

_RULES = {
    0x05: (Kind.OFFSET, True, False),
    0x11: (Kind.OFFSET, True, True),
    0x14: (Kind.VALUE_OFFSET, True, False),
    0x15: (Kind.VALUE_OFFSET, True, True),
    0x09: (Kind.REGISTER, False, False),
}
"""Instructions with a register and a number: whether that is multiplied, and has a sign."""

_EXPRESSIONS = {0x10: Kind.EXPRESSION, 0x16: Kind.VALUE_EXPRESSION}
"""DW_CFA_expression, DW_CFA_val_expression."""

_CFA = frozenset({0x0C, 0x0D, 0x0E, 0x0F, 0x12, 0x13})
"""DW_CFA_def_cfa and its kin."""
