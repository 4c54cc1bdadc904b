"""Where a parameter is when its function begins, by the expressions and location lists of DWARF (DWARF 5, 2.6)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from elftools.dwarf.locationlists import BaseAddressEntry, LocationEntry

from ebtop.resolve.byteread import Bytes, BytesError
from ebtop.resolve.cfi import EM_AARCH64, EM_X86_64
from ebtop.resolve.dwarfsections import DwarfError, DwarfFile

REGISTER, STACK, PIECES, UNKNOWN = "register", "stack", "pieces", "unknown"
_X86: Final = ("ax", "dx", "cx", "bx", "si", "di", "bp", "sp", *(f"r{n}" for n in range(8, 16)), "ip",
               *(f"xmm{n}" for n in range(16)))  # fmt: skip
_ARM: Final = {**{n: f"x{n}" for n in range(31)}, 31: "sp", **{64 + n: f"v{n}" for n in range(32)}}
_EXPRESSIONS: Final = frozenset(f"DW_FORM_{kind}" for kind in ("exprloc", "block1", "block2", "block4", "block"))
_MOST_PIECES = 8
_LONGEST = 256


class Location(NamedTuple):
    """Where a value is at the first instruction of a function.

    kind      uses
    register  register: as struct pt_regs has it ("di", "x0"), or a vector register ("xmm0", "v0")
    stack     offset, in bytes from the stack pointer
    pieces    pieces: (location, size) one after the other, as of a Go string
    unknown   nothing; `source` says why
    `indirect` says that there is the address of the value. `source` says who knows.
    """

    kind: str
    register: str = ""
    offset: int = 0
    pieces: tuple[tuple[Location, int], ...] = ()
    indirect: bool = False
    source: str = "DWARF"


def register_name(machine: int, number: int) -> str:
    """The name of a DWARF register, "" for one that is not told."""
    if machine == EM_X86_64:
        return _X86[number] if 0 <= number < len(_X86) else ""
    return _ARM.get(number, "") if machine == EM_AARCH64 else ""


def by_reference(parameter: Any) -> bool | None:
    """Whether unoptimised code has kept the address of a parameter instead of the value; None when that is not seen."""
    found = parameter.attributes.get("DW_AT_location")
    if found is None or found.form not in _EXPRESSIONS:
        return None
    expression = bytes(found.value)
    return expression.endswith(b"\x06") if expression.startswith(b"\x91") else None  # DW_OP_fbreg, then DW_OP_deref


def at_entry(file: DwarfFile, unit: Any, function: Any, parameter: Any, address: int) -> Location | None:
    """Where a parameter is when its function begins, at `address`; None when DWARF says only where it is later."""
    found = parameter.attributes.get("DW_AT_location")
    if found is None:
        return None
    if found.form in _EXPRESSIONS:
        return _evaluated(file, function, bytes(found.value), False)
    lists = file.info.location_lists()
    if lists is None or not isinstance(found.value, int):
        return None
    return _listed(file, unit, function, lists.get_location_list_at_offset(found.value, parameter), address)


def _listed(file: DwarfFile, unit: Any, function: Any, entries: Any, start: int) -> Location | None:
    """What a location list has for the first instruction."""
    base = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
    shift = int(base.value) if base is not None and isinstance(base.value, int) else 0
    for item in entries:
        if isinstance(item, BaseAddressEntry):
            shift = int(item.base_address)
        if not isinstance(item, LocationEntry):
            continue
        moved = 0 if item.is_absolute else shift
        if item.begin_offset + moved <= start < item.end_offset + moved:
            return _evaluated(file, function, bytes(item.loc_expr), True)
    return None


def _evaluated(file: DwarfFile, function: Any, expression: bytes, exact: bool) -> Location | None:
    """The location that an expression stands for; `exact` says that it holds at the first instruction."""
    if len(expression) > _LONGEST:
        return None
    try:
        return _expression(file, function, Bytes(expression), exact)
    except BytesError as error:
        raise DwarfError(f"damaged location: {error}") from error


def _expression(file: DwarfFile, function: Any, code: Bytes, exact: bool) -> Location | None:
    pieces: list[tuple[Location, int]] = []
    while code.left and len(pieces) < _MOST_PIECES:
        found = _simple(file, function, code, exact)
        if found is None:
            return None
        if not code.left and not pieces:
            return found
        if not code.left or code.unsigned(1) != 0x93:  # DW_OP_piece
            return None
        pieces.append((found, code.uleb()))
    return Location(PIECES, pieces=tuple(pieces)) if pieces and not code.left else None


def _simple(file: DwarfFile, function: Any, code: Bytes, exact: bool) -> Location | None:
    """One register or place on the stack."""
    machine, operation = file.image.machine, code.unsigned(1)
    if 0x50 <= operation <= 0x6F or operation == 0x90:  # DW_OP_reg0 to reg31, regx
        name = register_name(machine, code.uleb() if operation == 0x90 else operation - 0x50)
        return Location(REGISTER, name) if name and exact else None
    if 0x70 <= operation <= 0x8F:  # DW_OP_breg0 to breg31
        name, offset = register_name(machine, operation - 0x70), code.sleb()
        return Location(REGISTER, name, indirect=True) if name and name != "sp" and exact and not offset else None
    if operation == 0x91:  # DW_OP_fbreg
        return _on_stack(machine, function, code.sleb(), code)
    if operation == 0x9C:  # DW_OP_call_frame_cfa
        return _above(machine, 0, code)
    return None


def _on_stack(machine: int, function: Any, offset: int, code: Bytes) -> Location | None:
    """A place relative to the frame base: what lies above it was put there by the caller."""
    found = function.attributes.get("DW_AT_frame_base")
    base = bytes(found.value) if found is not None and isinstance(found.value, list | bytes) else b""
    if base == b"\x9c":
        return _above(machine, offset, code)
    if base == b"\x56" and machine == EM_X86_64:  # rbp, behind the return address and the caller's rbp
        return _above(machine, offset - 16, code)
    return None


def _above(machine: int, offset: int, code: Bytes) -> Location | None:
    """A place relative to the canonical frame address, which is the stack pointer before the call."""
    if offset < 0:
        return None  # a copy that the function has not made yet
    indirect = code.left == 1 and code.unsigned(1) == 0x06  # DW_OP_deref
    return Location(STACK, offset=offset + (8 if machine == EM_X86_64 else 0), indirect=indirect)
