"""Where C and C++ functions find their parameters when they begin: the calling conventions of x86-64 and arm64.

System V ABI, AMD64 supplement, 3.2.3, and Procedure Call Standard for the Arm 64-bit Architecture, 6.4 to 6.8. Debug
information often says only where a parameter is later on; at the entry this always holds, but for functions that the
compiler changed for itself (clones, and static ones that it saw all callers of).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ebtop.resolve.cfi import EM_AARCH64, EM_X86_64
from ebtop.resolve.dwarflocation import PIECES, REGISTER, STACK, UNKNOWN, Location
from ebtop.resolve.dwarftypes import ARRAY, FLOAT, OTHER, STRUCT, VOID, Member, Type

SOURCE: Final = "calling convention"
_X86_INTEGERS: Final = ("di", "si", "dx", "cx", "r8", "r9")
_EIGHT = 8
_MOST_FIELDS = 64

Parts = Callable[[Type], list[Member]]
"""The members of a struct, the elements of an array."""
Classes = list[str]
_INTEGER, _VECTOR, _MEMORY, _UNCLEAR = "integer", "vector", "memory", "unclear"


class _Registers:
    """What is left of registers and how much of the stack is taken."""

    def __init__(self, machine: int) -> None:
        self.x86 = machine == EM_X86_64
        names = _X86_INTEGERS if self.x86 else tuple(f"x{n}" for n in range(8))
        self._integers, self._vectors = list(names), [f"{'xmm' if self.x86 else 'v'}{n}" for n in range(8)]
        self._stack = _EIGHT if self.x86 else 0  # the return address comes first

    def take(self, classes: Classes, width: int = _EIGHT) -> Location:
        """Registers for all parts of a value, of `width` bytes each, or place on the stack when there are too few."""
        integers, vectors = classes.count(_INTEGER), classes.count(_VECTOR)
        if integers > len(self._integers) or vectors > len(self._vectors):
            if not self.x86:  # what does not fit closes the registers of its kind
                del (self._integers if integers > len(self._integers) else self._vectors)[:]
            return self.on_stack(len(classes) * width)
        taken = [(self._integers if c == _INTEGER else self._vectors).pop(0) for c in classes]
        places = [Location(REGISTER, name, source=SOURCE) for name in taken]
        whole = Location(PIECES, pieces=tuple((place, width) for place in places), source=SOURCE)
        return places[0] if len(places) == 1 else whole

    def on_stack(self, size: int, align: int = _EIGHT) -> Location:
        """The next place on the stack."""
        base = _EIGHT if self.x86 else 0
        start = base + -(-(self._stack - base) // align) * align
        self._stack = start + -(-size // _EIGHT) * _EIGHT
        return Location(STACK, offset=start, source=SOURCE)


class Value(NamedTuple):
    """A parameter or a result. `by_reference` says of a class that the address of a copy is passed; None: not known."""

    type: Type
    by_reference: bool | None = False


def places(machine: int, result: Value, parameters: Sequence[Value], parts: Parts) -> list[Location]:
    """Where each parameter is at the first instruction, as a function that returns `result` finds them."""
    if machine not in {EM_X86_64, EM_AARCH64}:
        return [_unclear("the calling convention of this machine is not known")] * len(parameters)
    registers = _Registers(machine)
    found: list[Location] = []
    if registers.x86 and result.type.kind in {STRUCT, ARRAY}:
        returned = [_MEMORY] if result.by_reference else _classes(result.type, parts)
        if result.by_reference is None or returned == [_UNCLEAR]:
            return [_unclear(f"whether {result.type.name} is returned in registers is not known")] * len(parameters)
        if returned == [_MEMORY]:
            registers.take([_INTEGER])  # where the caller wants it
    for value in parameters:
        place = _place(registers, value, parts)
        if place is None:  # and what follows depends on it
            reason = _unclear(f"how {value.type.name} is passed is not known")
            return [*found, *[reason] * (len(parameters) - len(found))]
        found.append(place)
    return found


def _place(registers: _Registers, value: Value, parts: Parts) -> Location | None:
    of = value.type
    if value.by_reference is None:
        return None
    if value.by_reference:
        return registers.take([_INTEGER])._replace(indirect=True)
    if not registers.x86 and of.kind == STRUCT:
        return _arm_struct(registers, of, parts)
    classes = _classes(of, parts)
    if classes == [_UNCLEAR]:
        return None
    if classes != [_MEMORY]:
        return registers.take(classes)
    return registers.on_stack(of.size, 16 if of.kind == FLOAT else _EIGHT) if registers.x86 else None


def _arm_struct(registers: _Registers, of: Type, parts: Parts) -> Location | None:
    """Up to four floats of one kind go in as many vector registers, other structs in two others, or by address."""
    fields = _flat(of, 0, parts, []) if of.size <= 32 else []
    if fields is None or not of.size:
        return None
    if fields and len(fields) <= 4 and len({(f.kind, f.size) for _, f in fields}) == 1 and fields[0][1].kind == FLOAT:
        return registers.take([_VECTOR] * len(fields), fields[0][1].size)
    if of.size > 16:
        return registers.take([_INTEGER])._replace(indirect=True)
    return registers.take([_INTEGER] * -(-of.size // _EIGHT))


def _classes(of: Type, parts: Parts) -> Classes:
    """In what kinds of registers the eightbytes of a value go."""
    if of.kind in {OTHER, VOID} or not of.size:
        return [_UNCLEAR]
    if of.kind == FLOAT:
        return [_VECTOR] if of.size <= _EIGHT else [_MEMORY] if of.size == 16 else [_UNCLEAR]
    if of.kind not in {STRUCT, ARRAY}:
        return [_INTEGER] * -(-of.size // _EIGHT)
    if of.size > 16:
        return [_MEMORY]
    fields = _flat(of, 0, parts, [])
    if fields is None or not fields:
        return [_UNCLEAR]
    eightbytes = range(-(-of.size // _EIGHT))
    kinds = [[field for at, field in fields if at // _EIGHT == number] for number in eightbytes]
    return [_VECTOR if kind and all(f.kind == FLOAT for f in kind) else _INTEGER for kind in kinds]


def _flat(of: Type, at: int, parts: Parts, found: list[tuple[int, Type]]) -> list[tuple[int, Type]] | None:
    """All scalars of a struct with their offsets; None when something is in the way."""
    if len(found) > _MOST_FIELDS:
        return None
    if of.kind in {STRUCT, ARRAY}:
        for part in parts(of):
            if part.type.size and _flat(part.type, at + part.offset, parts, found) is None:
                return None
        return found
    if of.kind == OTHER or (of.kind == FLOAT and of.size > _EIGHT):
        return None
    found.append((at, of))
    return found


def _unclear(reason: str) -> Location:
    return Location(UNKNOWN, source=reason)
