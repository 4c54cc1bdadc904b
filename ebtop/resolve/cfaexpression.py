"""The expressions of unwind tables: those for entries of the PLT, signal frames and realigned stacks.

DWARF 5, section 2.5: arithmetic on a stack, without jumps, which nothing writes there.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from ebtop.resolve.byteread import Bytes

_MASK = (1 << 64) - 1
_MOST = 64
_CONSTANTS = {0x08: "B", 0x09: "b", 0x0A: "H", 0x0B: "h", 0x0C: "I", 0x0D: "i", 0x0E: "Q", 0x0F: "q"}
_BINARY: dict[int, Callable[[int, int], int]] = {
    0x1A: operator.and_, 0x1C: operator.sub, 0x1E: operator.mul, 0x21: operator.or_, 0x22: operator.add,
    0x24: lambda a, b: a << min(b, 64), 0x25: lambda a, b: a >> min(b, 64), 0x27: operator.xor,
    0x29: operator.eq, 0x2A: lambda a, b: _signed(a) >= _signed(b), 0x2B: lambda a, b: _signed(a) > _signed(b),
    0x2C: lambda a, b: _signed(a) <= _signed(b), 0x2D: lambda a, b: _signed(a) < _signed(b), 0x2E: operator.ne,
}  # fmt: skip


class ExpressionError(Exception):
    """The expression is damaged, or does what they do not do there."""


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def evaluate(
    expression: bytes,
    registers: Callable[[int], int | None],
    word: Callable[[int], int | None],
    first: int | None = None,
) -> int | None:
    """What an expression says, with `first` on the stack; None when it takes a register or a word of memory that is
    not known. Raises ExpressionError or BytesError."""
    source, stack = Bytes(expression), [] if first is None else [first]
    while source.left:
        code = source.unsigned(1)
        if code in _BINARY:
            if len(stack) < 2:
                raise ExpressionError("an expression takes from an empty stack")
            right = stack.pop()
            value: int | None = _BINARY[code](stack.pop(), right)
        else:
            value = _one(code, source, stack, registers, word)
        if value is None:
            return None
        if len(stack) >= _MOST:
            raise ExpressionError("an expression needs too deep a stack")
        stack.append(value & _MASK)
    if not stack:
        raise ExpressionError("an expression without a value")
    return stack[-1]


def _one(
    code: int,
    source: Bytes,
    stack: list[int],
    registers: Callable[[int], int | None],
    word: Callable[[int], int | None],
) -> int | None:
    if 0x30 <= code <= 0x4F:
        return code - 0x30
    if code in _CONSTANTS:
        return source.number(_CONSTANTS[code])
    if code in {0x10, 0x11}:
        return source.uleb() if code == 0x10 else source.sleb()
    if 0x70 <= code <= 0x8F or code == 0x92:  # DW_OP_breg0 .. breg31, bregx
        value = registers(source.uleb() if code == 0x92 else code - 0x70)
        offset = source.sleb()
        return None if value is None else value + offset
    if not stack:
        raise ExpressionError("an expression takes from an empty stack")
    if code == 0x06:  # DW_OP_deref
        return word(stack.pop())
    if code == 0x12:  # DW_OP_dup
        return stack[-1]
    if code == 0x23:  # DW_OP_plus_uconst
        return stack.pop() + source.uleb()
    raise ExpressionError(f"an expression with an unknown operation {code:#x}")
