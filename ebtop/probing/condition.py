"""A filter as an expression of C over 64-bit numbers and strings in buffers.

Nothing that the user wrote is in it: names become what the caller says, strings become numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ebtop.near import near
from ebtop.probing.filter import All, Any, Comparison, FilterError, Literal, Masked, Name, Not, Operand, Tree

_BIG = 1 << 63


class Variable(NamedTuple):
    """What a name is in C: an expression without side effects of type s64 or u64, or a pointer to so many bytes of
    `text` (a multiple of 8, and aligned to it), all zeros from the string's end on."""

    c: str
    signed: bool = False
    text: int = 0


def check(tree: Tree | None, known: Mapping[str, Variable]) -> None:
    """Raises FilterError for names that there are not, and for numbers and strings that are compared."""
    match tree:
        case Comparison():
            sides = [_kind(side, known) for side in (tree.left, tree.right)]
            if sides[0] != sides[1]:
                raise FilterError(_mixed(tree, sides[0]), _column(tree))
            if sides[0] and tree.op not in {"==", "!="}:
                raise FilterError(f"strings are compared with == and != only, not with {tree.op}", _column(tree))
        case Not(inner=inner):
            check(inner, known)
        case All(parts=parts) | Any(parts=parts):
            for part in parts:
                check(part, known)


def _mixed(tree: Comparison, left_is_text: bool) -> str:
    text, number = (tree.left, tree.right) if left_is_text else (tree.right, tree.left)
    return f"{_said(text)} is a string, {_said(number)} a number"


def _said(side: Operand) -> str:
    if isinstance(side, Name):
        return side.name
    if isinstance(side, Masked):
        return " & ".join(map(_said, side.parts))
    return str(side.value) if isinstance(side.value, int) else repr(side.value)[1:]


def _column(tree: Comparison) -> int:
    return tree.left.column


def _kind(side: Operand, known: Mapping[str, Variable]) -> bool:
    """Is it a string?"""
    if isinstance(side, Literal):
        return isinstance(side.value, bytes)
    if isinstance(side, Masked):
        for part in side.parts:
            if _kind(part, known):
                raise FilterError(f"& is for numbers, and {_said(part)} is a string", part.column)
        return False
    if side.name not in known:
        raise FilterError(f"no argument {side.name!r}{near(side.name, sorted(known))}", side.column)
    return known[side.name].text > 0


def condition(tree: Tree, known: Mapping[str, Variable]) -> str:
    """The expression; 1 where the filter holds, else 0. Raises FilterError as `check` does."""
    check(tree, known)
    return _condition(tree, known)


def _condition(tree: Tree, known: Mapping[str, Variable]) -> str:
    match tree:
        case Not(inner=inner):
            return f"!{_condition(inner, known)}"
        case All(parts=parts):
            return f"({' && '.join(_condition(part, known) for part in parts)})"
        case Any(parts=parts):
            return f"({' || '.join(_condition(part, known) for part in parts)})"
    left, right = (_operand(side, known) for side in (tree.left, tree.right))
    if isinstance(left, Variable) and isinstance(right, Variable) and not left.text:
        return _numbers(tree.op, left, right)
    same = _same(left, right)
    return same if tree.op == "==" else f"!{same}"


def _operand(side: Operand, known: Mapping[str, Variable]) -> Variable | bytes:
    if isinstance(side, Name):
        return known[side.name]
    if isinstance(side, Masked):
        return _bits([_operand(part, known) for part in side.parts])
    if isinstance(side.value, bytes):
        return side.value
    if side.value < 0:
        return Variable(f"(s64){side.value % (1 << 64):#x}ULL", signed=True)
    return Variable(f"{side.value}ULL" if side.value >= _BIG else f"{side.value}LL", signed=side.value < _BIG)


def _bits(parts: Sequence[Variable | bytes]) -> Variable:
    """What all have, as if numbers had as many bits as they need: below 0 only where all are."""
    numbers = [part for part in parts if isinstance(part, Variable)]
    signed = all(number.signed for number in numbers)
    c = " & ".join(f"(u64)({number.c})" for number in numbers)
    return Variable(f"(s64)({c})" if signed else f"({c})", signed)


def _numbers(op: str, left: Variable, right: Variable) -> str:
    """A comparison of numbers, whatever their signs: C would take -1 for a large one."""
    a, b = left.c, right.c
    if left.signed == right.signed:
        return f"({a} {op} {b})"
    if left.signed:
        small = "1" if op in {"<", "<=", "!="} else "0"
        return f"(({a}) < 0 ? {small} : (u64)({a}) {op} {b})"
    small = "1" if op in {">", ">=", "!="} else "0"
    return f"(({b}) < 0 ? {small} : {a} {op} (u64)({b}))"


def _same(left: Variable | bytes, right: Variable | bytes) -> str:
    if isinstance(left, bytes):
        left, right = right, left
    if isinstance(left, bytes):
        return "1" if left == right else "0"
    if isinstance(right, bytes):
        return _same_as(left, right)
    words = range(min(left.text, right.text) // 8)  # of which the last has a NUL in one of them
    return f"({' && '.join(f'{_word(left, n)} == {_word(right, n)}' for n in words)})"


def _same_as(buffer: Variable, value: bytes) -> str:
    """Word by word, up to the one with the NUL."""
    if len(value) >= buffer.text:
        return "0"
    words = [value[at : at + 8].ljust(8, b"\0") for at in range(0, len(value) + 1, 8)]
    terms = (f"{_word(buffer, n)} == {int.from_bytes(word, 'little'):#x}ULL" for n, word in enumerate(words))
    return f"({' && '.join(terms)})"


def _word(buffer: Variable, number: int) -> str:
    return f"*(u64 *)({buffer.c} + {8 * number})"
