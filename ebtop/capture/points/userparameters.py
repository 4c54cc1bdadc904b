"""The arguments of user functions and USDT probes as a program gets at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ebtop.capture.points.parameters import REGISTERS, keyed
from ebtop.probing.plan import RESULT, Form, Parameter, Place
from ebtop.resolve import dwarftypes, usdtargument
from ebtop.resolve.cfi import EM_AARCH64
from ebtop.resolve.dwarf import Description
from ebtop.resolve.dwarf import Parameter as Described
from ebtop.resolve.dwarflocation import REGISTER, STACK
from ebtop.resolve.dwarftypes import Type
from ebtop.resolve.entrypoint import EM_X86_64
from ebtop.resolve.usdt import UsdtProbe
from ebtop.resolve.usdtargument import Operand

_SIGNED = frozenset({dwarftypes.INTEGER, dwarftypes.CHARACTER, dwarftypes.ENUM})
_READ = _SIGNED | {dwarftypes.UNSIGNED, dwarftypes.BOOLEAN, dwarftypes.POINTER}
_VECTORS = ("xmm", "v")
_SIZES = frozenset({1, 2, 4, 8})
_OF_GO = {EM_X86_64: ("ax", "bx", "cx", "di", "si", "r8"), EM_AARCH64: ("x0", "x1", "x2", "x3", "x4", "x5")}
"""Registers of the first arguments since Go 1.17 (1.18 on arm64): abi-internal.md of Go's sources."""
_UNKNOWN = "unknown"
_STACK_POINTER = "sp"


def of_description(described: Description) -> tuple[tuple[Parameter, ...], Parameter | None]:
    """What debug information tells of a function: its parameters, but for floats and structs, and its result."""
    found = (_parameter(parameter) for parameter in described.parameters)
    result = described.result
    returned = _of_type(RESULT, result, Place.RESULT) if result.kind in _READ and result.size in _SIZES else None
    return tuple(keyed(parameter for parameter in found if parameter)), returned


def _parameter(described: Described) -> Parameter | None:
    of, where = described.type, described.location
    if of.kind not in _READ or of.size not in _SIZES or where.indirect:
        return None
    if where.kind == REGISTER and not where.register.startswith(_VECTORS):
        return _of_type(described.name, of, Place.REGISTER)._replace(register=where.register)
    if where.kind == STACK:
        return _of_type(described.name, of, Place.MEMORY)._replace(register=_STACK_POINTER, at=where.offset)
    return None


def _of_type(name: str, of: Type, place: Place) -> Parameter:
    form = Form.TEXT if of.is_string else Form.POINTER if of.kind == dwarftypes.POINTER else Form.NUMBER
    return Parameter(name, of.name, of.size, of.kind in _SIGNED, form, place)


def by_convention() -> tuple[tuple[Parameter, ...], Parameter]:
    """What the registers hold in which arguments are passed, where nobody knows which there are."""
    arguments = (Parameter(f"arg{n}", _UNKNOWN, 8, True, Form.NUMBER, Place.ARGUMENT, n) for n in range(REGISTERS))
    return tuple(arguments), Parameter(RESULT, _UNKNOWN, 8, True, Form.NUMBER, Place.RESULT)


def by_convention_of_go(machine: int) -> tuple[tuple[Parameter, ...], None]:
    """The same of Go's functions, which have registers of their own for it; a string or slice takes several."""
    named = enumerate(_OF_GO.get(machine, ()))
    arguments = (Parameter(f"arg{n}", _UNKNOWN, 8, True, Form.NUMBER, Place.REGISTER, register=r) for n, r in named)
    return tuple(arguments), None


def of_usdt(probe: UsdtProbe) -> Iterator[tuple[tuple[Parameter, ...], list[tuple[int, int]]]]:
    """The arguments of a probe, and the places (file offset, that of the counter) that have them there. What is not
    understood in one of the places is left out in all."""
    clear = [number for number in range(_least(probe)) if all(_operand(p.arguments[number]) for p in probe.places)]
    together: dict[tuple[Parameter, ...], list[tuple[int, int]]] = {}
    for place in probe.places:
        found = [_operand(place.arguments[number]) for number in clear]
        arguments = tuple(p._replace(key=f"arg{n}") for n, p in zip(clear, found, strict=True) if p)
        together.setdefault(arguments, []).append((place.offset, place.semaphore_offset))
    yield from together.items()


def _least(probe: UsdtProbe) -> int:
    return min((len(place.arguments) for place in probe.places), default=0)


def _operand(operand: Operand) -> Parameter | None:
    if operand.floating or operand.size not in _SIZES:
        return None
    whole = Parameter("", f"{'s' if operand.signed else 'u'}{8 * operand.size}", operand.size, operand.signed,
                      Form.NUMBER, Place.CONSTANT)  # fmt: skip
    if operand.kind == usdtargument.CONSTANT:
        return whole._replace(at=operand.value)
    if operand.kind == usdtargument.REGISTER:
        return whole._replace(place=Place.REGISTER, register=operand.register, at=operand.byte)
    if operand.kind == usdtargument.MEMORY:
        return whole._replace(place=Place.MEMORY, register=operand.register, indexed_by=operand.index_register,
                              scale=operand.scale, at=operand.value)  # fmt: skip
    return None


def as_strings(parameters: Sequence[Parameter], names: Sequence[str]) -> tuple[Parameter, ...]:
    """The same, those of these names being addresses of strings."""
    return tuple(
        p._replace(form=Form.TEXT, signed=False) if p.key in names and p.size == 8 and p.form is not Form.CHARS else p
        for p in parameters
    )
