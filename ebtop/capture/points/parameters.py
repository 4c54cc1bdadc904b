"""The arguments of kernel points as a program gets at them: sizes, signs and places.

What a program cannot get at with one load is left out: structs by value, arrays of numbers.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator

from ebtop.attachpoint import Point, PointKind
from ebtop.capture.points.btffunctions import Functions, Shape
from ebtop.capture.points.tracepoints import DATA_LOC, Field
from ebtop.probing import slots
from ebtop.probing.plan import RESULT, Form, Parameter, Place

REGISTERS = {"x86_64": 6, "aarch64": 6}.get(platform.machine(), 0)
"""Arguments that bpf/include/function_arguments.h knows the registers of."""

_STRING = re.compile(r"(const )?char (__user )?\*( ?const)?")
_CHARS = re.compile(r"(const )?char\[\d*\]")
_NAME = re.compile(r"[a-z]\w{0,59}", re.ASCII)
_SYSCALLS = "syscalls:"
_NUMBER = "__syscall_nr"
_NARROW = {
    "int": (4, True), "unsigned int": (4, False), "unsigned": (4, False), "umode_t": (2, False), "pid_t": (4, True),
    "uid_t": (4, False), "gid_t": (4, False), "qid_t": (4, False), "clockid_t": (4, True), "timer_t": (4, True),
    "key_t": (4, True), "mqd_t": (4, True), "key_serial_t": (4, True), "rwf_t": (4, True), "u32": (4, False),
    "__u32": (4, False), "s32": (4, True), "__s32": (4, True), "u16": (2, False), "long": (8, True),
    "off_t": (8, True), "loff_t": (8, True), "ssize_t": (8, True), "unsigned short": (2, False), "short": (2, True),
}  # fmt: skip
"""Types of system calls' arguments, all of which a record gives 8 bytes, the upper ones of which mean nothing."""


def form_of(ctype: str) -> Form:
    """What a value of that type in C means."""
    if _STRING.fullmatch(ctype):
        return Form.TEXT
    return Form.POINTER if ctype.endswith("*") or "(*" in ctype else Form.NUMBER


def keyed(parameters: Iterable[Parameter]) -> Iterator[Parameter]:
    """The same, with keys that columns can have, in small letters: what another column is called, or has no name, gets
    another."""
    seen: set[str] = set()
    for number, parameter in enumerate(parameters):
        key = parameter.key.lower().lstrip("_")
        key = key if _NAME.fullmatch(key) else f"arg{number}"
        key = f"arg_{key}" if slots.is_taken(key) or key == RESULT else key
        key = f"{key}_{number}" if key in seen else key
        seen.add(key)
        yield parameter._replace(key=key)


def of_record(target: str, fields: Iterable[Field]) -> tuple[Parameter, ...]:
    """A tracepoint's."""
    found = (_of_field(target.startswith(_SYSCALLS), field) for field in fields if field.name != _NUMBER)
    return tuple(keyed(parameter for parameter in found if parameter))


def _of_field(syscall: bool, field: Field) -> Parameter | None:
    ctype, size, signed = field.type, field.size, field.signed
    if field.located == DATA_LOC and _CHARS.fullmatch(ctype):
        return Parameter(field.name, ctype, 4, False, Form.LOCATED, Place.RECORD, field.offset)
    if _CHARS.fullmatch(ctype) and not field.located:
        return Parameter(field.name, ctype, size, False, Form.CHARS, Place.RECORD, field.offset)
    if field.located or ctype.endswith("]") or size not in {1, 2, 4, 8}:
        return None
    if syscall and size == 8:
        size, signed = _NARROW.get(ctype, (8, signed))
    return Parameter(field.name, ctype, size, signed, form_of(ctype), Place.RECORD, field.offset)


def of_function(
    functions: Functions, name: str, place: Place, first: int = 0
) -> tuple[tuple[Parameter, ...], Parameter | None]:
    """Those of a function of the kernel from the `first` on, and what it returns, as far as BTF tells."""
    arguments, shapes = functions.arguments(name), functions.shapes(name)
    if arguments is None or shapes is None:
        return (), None
    found = []
    for number, (argument, shape) in enumerate(zip(arguments[first:], shapes[first:-1], strict=True)):
        if shape.size not in {1, 2, 4, 8} or (place is Place.ARGUMENT and number >= REGISTERS):
            break  # behind a struct by value nothing is where it would be
        form = form_of(argument.type)
        found.append(Parameter(argument.name, argument.type, *shape, form, place, number))
    whole = len(found) == len(arguments) - first
    return tuple(keyed(found)), _result(functions.returns(name), shapes[-1], place, len(found) if whole else -1)


def _result(ctype: str, shape: Shape, place: Place, behind: int) -> Parameter | None:
    """fexit has it behind the arguments, kretprobe in its register."""
    if shape.size not in {1, 2, 4, 8} or (place is Place.WORD and behind < 0):
        return None
    where = (Place.RESULT, 0) if place is Place.ARGUMENT else (Place.WORD, behind)
    return Parameter(RESULT, ctype, *shape, form_of(ctype), *where)


def iter_functions(kind: PointKind, target: str) -> list[str]:
    """Functions of which BTF may tell what the programs at a point get."""
    if kind is PointKind.RAW_TRACEPOINT:
        return [f"__traceiter_{target}", f"__bpf_trace_{target}"]
    return [target]


def of_point(
    point: Point, fields: tuple[Field, ...] | None, functions: Functions | None
) -> tuple[tuple[Parameter, ...], Parameter | None]:
    """The arguments of a point of the kernel and, of a function, its result."""
    if point.kind is PointKind.TRACEPOINT:
        return of_record(point.target, fields or ()), None
    if functions is None or point.kind not in {PointKind.RAW_TRACEPOINT, PointKind.KPROBE, PointKind.FENTRY}:
        return (), None
    place = Place.ARGUMENT if point.kind is PointKind.KPROBE else Place.WORD
    first = 1 if point.kind is PointKind.RAW_TRACEPOINT else 0  # which is the tracer's own
    for name in iter_functions(point.kind, point.target):
        if name in functions:
            return of_function(functions, name, place, first)
    return (), None
