"""Filters over the arguments of attach points: `count > 0x1000 && (comm == "nginx" || !(uid == 0))`, `flags & 0x40`.

`&` binds tighter than comparisons, unlike in C: `flags & 3 == 3` asks for both bits, `flags & 3` for one of them.

A text becomes a tree; what is no filter is said with the column of the mistake. What the tree means is here too
(`holds`); ebtop/probing/condition.py makes C of it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

LONGEST, DEEPEST, MOST = 1000, 20, 32
"""Characters, nested parentheses, and comparisons and `&` of a filter: a BPF program has to hold it."""

LONGEST_TEXT = 128
"""Bytes of a string that are read of an argument."""

_LEAST, _GREATEST = -(1 << 63), (1 << 64) - 1
_ORDER: Mapping[str, Callable[[int, int], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_EQUAL = ("==", "!=")
_TOKEN = re.compile(
    r"""[ \t]*(?:(?P<number>-?(?:0[xX][0-9a-fA-F]+|[0-9]+)(?![\w.]))|(?P<name>[A-Za-z_]\w*)"""
    r"""|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign>==|!=|<=|>=|&&|\|\||[<>!()&]))""",
    re.ASCII | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}
_ALMOST = {"=": "==", "|": "||"}


class FilterError(ValueError):
    """What is wrong with a filter, in one line; `column` counts from 1, 0 where it is no single place."""

    def __init__(self, why: str, column: int = 0) -> None:
        super().__init__(f"column {column}: {why}" if column else why)
        self.column = column


@dataclass(frozen=True, slots=True)
class Name:
    """An argument, or pid, tid, uid, comm."""

    name: str
    column: int = 0


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, or bytes."""

    value: int | bytes
    column: int = 0


@dataclass(frozen=True, slots=True)
class Masked:
    """The bits that all of these numbers have."""

    parts: tuple[Name | Literal, ...]

    @property
    def column(self) -> int:
        """Where it begins."""
        return self.parts[0].column


Operand = Name | Literal | Masked


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left op right`, of two numbers or of two strings."""

    op: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    inner: Tree


@dataclass(frozen=True, slots=True)
class All:
    """Each of the parts."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """One of the parts at least."""

    parts: tuple[Tree, ...]


Tree = Comparison | Not | All | Any


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number, name, text, sign, end
    text: str
    column: int


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 0, len(text.rstrip(" \t"))
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            at += len(text[at:]) - len(text[at:].lstrip(" \t"))
            raise FilterError(_unreadable(text[at:]), at + 1)
        yield _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup) + 1)
        at = match.end()
    yield _Token("end", "", end + 1)


def _unreadable(rest: str) -> str:
    if rest[0] in "\"'":
        return f"the string that begins here has no closing {rest[0]}"
    if rest[0].isdigit() or rest[0] == "-":
        word = re.match(r"-?[\w.]*", rest)
        return f"{word[0] if word else rest[0]!r} is no whole number such as 4096, -1 or 0x1000"
    if rest[0] in _ALMOST:
        return f"{rest[0]!r} is no operator here: {_ALMOST[rest[0]]!r}?"
    return f"{rest[0]!r} has no place in a filter"


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = self._depth = self._count = 0

    def whole(self) -> Tree:
        tree = _true(self._any())
        if self._next.kind != "end":
            raise FilterError(f"&& or || was expected, not {self._next.text!r}", self._next.column)
        return tree

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _takes(self, sign: str) -> bool:
        if self._next.kind != "sign" or self._next.text != sign:
            return False
        self._at += 1
        return True

    # What is in parentheses may be compared, if it is bits: that is seen from what follows them.

    def _any(self) -> Tree | Masked:
        parts = [self._all()]
        while self._takes("||"):
            parts.append(self._all())
        return Any(tuple(map(_true, parts))) if len(parts) > 1 else parts[0]

    def _all(self) -> Tree | Masked:
        parts = [self._one()]
        while self._takes("&&"):
            parts.append(self._one())
        return All(tuple(map(_true, parts))) if len(parts) > 1 else parts[0]

    def _one(self) -> Tree | Masked:
        self._deeper()
        found: Tree | Masked
        if self._takes("!"):
            found = Not(_true(self._one()))
        elif self._takes("("):
            found = self._any()
            self._closed()
            if isinstance(found, Masked):
                found = self._comparison(found)
        else:
            found = self._comparison(self._operand())
        self._depth -= 1
        return found

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise FilterError(f"more than {DEEPEST} levels of parentheses", self._next.column)

    def _closed(self) -> None:
        if not self._takes(")"):
            raise FilterError(f"')' was expected, not {self._said()}", self._next.column)

    def _more(self, column: int) -> None:
        self._count += 1
        if self._count > MOST:
            raise FilterError(f"more than {MOST} comparisons and &", column)

    def _comparison(self, first: Operand) -> Tree | Masked:
        left, sign = self._masked(first), self._next
        self._more(left.column)
        if sign.kind != "sign" or sign.text not in _ORDER:
            if isinstance(left, Masked):
                return left
            raise FilterError(f"one of {' '.join(_ORDER)} & was expected, not {self._said()}", sign.column)
        self._at += 1
        right = self._masked(self._operand())
        if not any(_named(left, right)):
            raise FilterError("a comparison needs the name of an argument", sign.column)
        texts = any(isinstance(side, Literal) and isinstance(side.value, bytes) for side in (left, right))
        if texts and sign.text not in _EQUAL:
            raise FilterError(f"strings are compared with == and != only, not with {sign.text}", sign.column)
        return Comparison(sign.text, left, right)

    def _masked(self, first: Operand) -> Operand:
        """With what is behind it after `&`, if there is any."""
        parts = [*_parts(first)]
        while self._takes("&"):
            self._more(self._next.column)
            parts += _parts(self._operand())
        if len(parts) == 1:
            return parts[0]
        for part in parts:
            if isinstance(part, Literal) and isinstance(part.value, bytes):
                raise FilterError("& is for numbers, and this is a string", part.column)
        return Masked(tuple(parts))

    def _operand(self) -> Operand:
        token = self._next
        if self._takes("("):
            self._deeper()
            bits = self._masked(self._operand())
            if not isinstance(bits, Masked):
                raise FilterError(f"'&' was expected, not {self._said()}", self._next.column)
            self._closed()
            self._depth -= 1
            return bits
        if token.kind not in {"number", "name", "text"}:
            raise FilterError(f"a name, a number or a string was expected, not {self._said()}", token.column)
        self._at += 1
        if token.kind == "name":
            return Name(token.text, token.column)
        return Literal(_number(token) if token.kind == "number" else _string(token), token.column)

    def _said(self) -> str:
        return repr(self._next.text) if self._next.kind != "end" else "the end"


def _parts(side: Operand) -> tuple[Name | Literal, ...]:
    return side.parts if isinstance(side, Masked) else (side,)


def _named(*sides: Operand) -> Iterator[Name]:
    for side in sides:
        yield from (part for part in _parts(side) if isinstance(part, Name))


def _true(found: Tree | Masked) -> Tree:
    """Bits that are compared with nothing: one of them is set."""
    if not isinstance(found, Masked):
        return found
    if not any(_named(found)):
        raise FilterError("a comparison needs the name of an argument", found.column)
    return Comparison("!=", found, Literal(0, found.column))


def _number(token: _Token) -> int:
    digits = token.text.lower()
    if len(digits) > 24:
        raise FilterError("the number does not fit 64 bits", token.column)
    value = int(digits, 16 if "0x" in digits else 10)
    if not _LEAST <= value <= _GREATEST:
        raise FilterError("the number does not fit 64 bits", token.column)
    return value


def _string(token: _Token) -> bytes:
    def escaped(match: re.Match[str]) -> str:
        what = match[1]
        if what[0] == "x" and len(what) == 3:
            byte = int(what[1:], 16)
            return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)
        if what not in _ESCAPES:
            raise FilterError(f"\\{what} means nothing in a string; \\\\ is one backslash", token.column)
        return _ESCAPES[what]

    try:
        value = _ESCAPE.sub(escaped, token.text[1:-1]).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise FilterError("the string holds half a character", token.column) from None
    if b"\0" in value:
        raise FilterError("a string ends at its first \\x00: none can have one in it", token.column)
    if len(value) > LONGEST_TEXT:
        raise FilterError(f"the string is longer than the {LONGEST_TEXT} bytes that are read", token.column)
    return value


def parse(text: str) -> Tree | None:
    """The tree of a filter, None of an empty one. Raises FilterError."""
    if not text.strip(" \t"):
        return None
    if len(text) > LONGEST:
        raise FilterError(f"a filter may have {LONGEST} characters, this has {len(text)}")
    return _Parser(text).whole()


def names(tree: Tree | None) -> Iterator[Name]:
    """Every name in it, in its order."""
    match tree:
        case Comparison(left=left, right=right):
            yield from _named(left, right)
        case Not(inner=inner):
            yield from names(inner)
        case All(parts=parts) | Any(parts=parts):
            for part in parts:
                yield from names(part)


def holds(tree: Tree | None, values: Mapping[str, int | bytes]) -> bool:
    """Does it hold for these values? Numbers are compared as they are, whatever their sizes in C."""
    match tree:
        case None:
            return True
        case Not(inner=inner):
            return not holds(inner, values)
        case All(parts=parts):
            return all(holds(part, values) for part in parts)
        case Any(parts=parts):
            return any(holds(part, values) for part in parts)
    left, right = (_value(side, values) for side in (tree.left, tree.right))
    if isinstance(left, int) and isinstance(right, int):
        return _ORDER[tree.op](left, right)
    return (left == right) == (tree.op == "==")


def _value(side: Operand, values: Mapping[str, int | bytes]) -> int | bytes:
    if isinstance(side, Masked):
        return reduce(operator.and_, (number for part in side.parts if isinstance(number := _value(part, values), int)))
    return values[side.name] if isinstance(side, Name) else side.value
