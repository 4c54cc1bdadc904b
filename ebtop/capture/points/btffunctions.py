"""Every function of the kernel with its parameters, from its BTF.

Read in bulk: asking libbpf for one type after the other takes a second. Layout: Linux Documentation/bpf/btf.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ebtop.attachpoint import Argument
from ebtop.capture.btf import BtfError

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF = range(1, 9)
_VOLATILE, _CONST, _RESTRICT, _FUNC, _FUNC_PROTO, _VAR, _DATASEC, _FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64 = range(9, 20)
_WORDS = {_INT: 1, _ARRAY: 3, _VAR: 1, _DECL_TAG: 1}
_WORDS_EACH = {_STRUCT: 3, _UNION: 3, _ENUM: 2, _FUNC_PROTO: 2, _DATASEC: 3, _ENUM64: 3}
_PREFIX = {_STRUCT: "struct ", _UNION: "union ", _ENUM: "enum ", _ENUM64: "enum "}
_QUALIFIER = {_VOLATILE: "volatile ", _CONST: "const "}
_MAGIC, _HEADER = 0xEB9F, 24
_DEEPEST = 20
_SIGNED = 1


class Shape(NamedTuple):
    """Bytes of a value in a register or two, 0 of what is in none, or is a struct or nothing."""

    size: int
    signed: bool = False


class Functions:
    """The functions that the BTF at `path` names. Raises BtfError when it cannot be read."""

    def __init__(self, path: Path = VMLINUX) -> None:
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise BtfError(f"this kernel has no BTF: {path}: {error.strerror}") from error
        if len(raw) < _HEADER or int.from_bytes(raw[:2], "little") != _MAGIC:
            raise BtfError(f"{path} is no BTF")
        length, types, types_size, strings, strings_size = memoryview(raw)[4:_HEADER].cast("I")
        if length + types + types_size > len(raw) or length + strings + strings_size > len(raw) or types_size % 4:
            raise BtfError(f"{path} is cut")
        self._words = memoryview(raw)[length + types : length + types + types_size].cast("I")
        self._strings = raw[length + strings : length + strings + strings_size]
        self._starts = self._index()
        self._types: dict[int, str] = {}

    def _index(self) -> list[int]:
        """Where each type begins, in words; type 0 is void."""
        words, end, at, starts = self._words, len(self._words), 0, [-1]
        try:
            while at < end:
                starts.append(at)
                info = words[at + 1]
                kind = info >> 24 & 0x1F
                at += 3 + _WORDS.get(kind, 0) + _WORDS_EACH.get(kind, 0) * (info & 0xFFFF)
        except IndexError:
            raise BtfError("BTF is cut") from None
        return starts

    def _name(self, offset: int) -> str:
        return self._strings[offset : self._strings.find(b"\0", offset)].decode("utf-8", "surrogateescape")

    @cached_property
    def _numbers(self) -> dict[str, int]:
        words = self._words
        found = (number for number, at in enumerate(self._starts) if number and words[at + 1] >> 24 & 0x1F == _FUNC)
        return {self._name(words[self._starts[number]]): number for number in found}

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def number(self, name: str) -> int:
        """A function's type id, 0 when it is not known."""
        return self._numbers.get(name, 0)

    def _prototype(self, name: str) -> int | None:
        """Where its type begins, in words."""
        number = self._numbers.get(name)
        return None if number is None else self._start(self._words[self._starts[number] + 2])

    def _start(self, number: int) -> int:
        if not 0 < number < len(self._starts):
            raise BtfError(f"BTF has no type {number}")
        return self._starts[number]

    def tracepoints(self) -> Iterator[str]:
        """Those of which the kernel's BTF has the type of a raw tracepoint's arguments."""
        words = self._words
        for at in self._starts[1:]:
            if words[at + 1] >> 24 & 0x1F == _TYPEDEF:
                name = self._name(words[at])
                if name.startswith("btf_trace_"):
                    yield name.removeprefix("btf_trace_")

    def arguments(self, name: str) -> tuple[Argument, ...] | None:
        """A function's parameters, None when it is not known."""
        at = self._prototype(name)
        if at is None:
            return None
        count = self._words[at + 1] & 0xFFFF
        pairs = (self._words[at + 3 + 2 * i : at + 5 + 2 * i] for i in range(count))
        return tuple(Argument(self._name(pair[0]), self.type(pair[1]) if pair[1] else "...") for pair in pairs)

    def shapes(self, name: str) -> tuple[Shape, ...] | None:
        """The sizes of a function's parameters and, last, of what it returns; None when it is not known."""
        at = self._prototype(name)
        if at is None:
            return None
        count = self._words[at + 1] & 0xFFFF
        return tuple(
            self._shape(number) for number in (*self._words[at + 4 : at + 3 + 2 * count : 2], self._words[at + 2])
        )

    def _shape(self, number: int) -> Shape:
        for _ in range(_DEEPEST):
            if not number:
                return Shape(0)
            at = self._start(number)
            kind, word = self._words[at + 1] >> 24 & 0x1F, self._words[at + 2]
            if kind == _PTR:
                return Shape(8)
            if kind == _INT:
                return Shape(word, signed=bool(self._words[at + 3] >> 24 & _SIGNED))
            if kind in {_ENUM, _ENUM64}:
                return Shape(word, signed=bool(self._words[at + 1] >> 31))
            if kind not in {_TYPEDEF, _TYPE_TAG, _DECL_TAG, _VOLATILE, _CONST, _RESTRICT}:
                return Shape(0)
            number = word
        raise BtfError("BTF has types that are too deep")

    def returns(self, name: str) -> str:
        """The type of what a function returns, "" when it is not known."""
        at = self._prototype(name)
        return "" if at is None else self.type(self._words[at + 2])

    def type(self, number: int) -> str:
        """A type as C spells it, short: what a pointer to a function takes is left out."""
        known = self._types.get(number)
        if known is None:
            known = self._types[number] = self._spelt(number, 0)
        return known

    def _spelt(self, number: int, depth: int) -> str:
        if not number:
            return "void"
        if depth > _DEEPEST:
            raise BtfError("BTF has types that are too deep")
        at = self._start(number)
        name, info, inner = self._words[at], self._words[at + 1], self._words[at + 2]
        kind = info >> 24 & 0x1F
        if kind == _PTR:
            pointed = self._spelt(inner, depth + 1)
            return f"{pointed}{'' if pointed.endswith('*') else ' '}*"
        if kind in {_VOLATILE, _CONST, _RESTRICT, _TYPE_TAG}:
            return _QUALIFIER.get(kind, "") + self._spelt(inner, depth + 1)
        if kind == _ARRAY:
            return f"{self._spelt(self._words[at + 3], depth + 1)}[{self._words[at + 5]}]"
        if kind == _FUNC_PROTO:
            return f"{self._spelt(inner, depth + 1)} (...)"
        prefix = "union " if kind == _FWD and info >> 31 else "struct " if kind == _FWD else _PREFIX.get(kind, "")
        return f"{prefix}{self._name(name) or '{...}'}"
