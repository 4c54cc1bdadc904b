"""Goes through the entries of a unit without taking them apart: there are hundreds of thousands, and one is wanted.

Of each kind of entry (each abbreviation) it is found out once how long its entries are, and whether they can be
functions with code. Forms: DWARF 5, 7.5.6.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ebtop.resolve.dwarfsections import DwarfError

_WINDOW = 256 << 10
_MARGIN = 64 << 10
"""No entry that is read here is longer, but for blocks and strings, which are looked for anew."""

_FIXED: Final = {
    "data1": 1, "ref1": 1, "flag": 1, "strx1": 1, "addrx1": 1, "data2": 2, "ref2": 2, "strx2": 2, "addrx2": 2,
    "strx3": 3, "addrx3": 3, "data4": 4, "ref4": 4, "strx4": 4, "addrx4": 4, "ref_sup4": 4, "data8": 8, "ref8": 8,
    "ref_sig8": 8, "ref_sup8": 8, "data16": 16, "flag_present": 0, "implicit_const": 0,
}  # fmt: skip
_OFFSETS: Final = frozenset({"strp", "line_strp", "sec_offset", "strp_sup", "GNU_strp_alt", "GNU_ref_alt"})
_NUMBERS: Final = frozenset({"sdata", "udata", "ref_udata", "strx", "addrx", "loclistx", "rnglistx", "GNU_addr_index",
                             "GNU_str_index"})  # fmt: skip
_BLOCKS: Final = {"block1": 1, "block2": 2, "block4": 4}
_CODE: Final = frozenset({"DW_AT_low_pc", "DW_AT_ranges", "DW_AT_entry_pc"})
SCOPES: Final = frozenset(
    f"DW_TAG_{kind}" for kind in ("namespace", "module", "structure_type", "class_type", "union_type")
)
_MOST_SCOPES, _DEEPEST = 200_000, 1000
_NUMBER, _STRING, _BLOCK = -1, -2, -3


class _Shape(NamedTuple):
    """`steps` are bytes to pass over, _NUMBER, _STRING, _BLOCK, or _BLOCK - n for a block with n bytes of length."""

    function: bool
    scope: bool
    children: bool
    steps: tuple[int, ...]


def functions_in(unit: Any) -> Iterator[int]:
    """The offsets in .debug_info of the functions of a unit that have code. Raises DwarfError for unknown forms."""
    return (offset for offset, shape in _entries(unit) if shape is not None and shape.function)


class Scopes:
    """The namespaces and types of one unit, which other entries lie in."""

    def __init__(self, unit: Any) -> None:
        """Raises DwarfError for unknown forms."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._parents: list[int] = []
        open_: list[int] = []  # rows of what contains the next entry, -1 for what is no scope
        for offset, shape in _entries(unit):
            if shape is None:
                row = open_.pop() if open_ else -1
                if row >= 0:
                    self._ends[row] = offset
            elif shape.children:
                open_.append(self._add(offset, open_) if shape.scope and len(self._starts) < _MOST_SCOPES else -1)
            if len(open_) > _DEEPEST:
                raise DwarfError("debug information with too many levels")

    def _add(self, offset: int, outer: list[int]) -> int:
        self._starts.append(offset)
        self._ends.append(offset)
        self._parents.append(next((row for row in reversed(outer) if row >= 0), -1))
        return len(self._starts) - 1

    def around(self, offset: int) -> list[int]:
        """The offsets of the scopes that contain an entry, outermost first."""
        row, found = bisect_left(self._starts, offset) - 1, []
        while row >= 0:
            if self._starts[row] < offset < self._ends[row]:
                found.append(self._starts[row])
            row = self._parents[row]
        return found[::-1]


def _entries(unit: Any) -> Iterator[tuple[int, _Shape | None]]:
    """The offsets and kinds of all entries of a unit; None for the end of an entry's children."""
    stream = unit.dwarfinfo.debug_info_sec.stream
    shapes: dict[int, _Shape] = {}
    table, end = unit.get_abbrev_table(), unit.cu_offset + unit.size
    start, at = unit.cu_die_offset, 0
    data, end = _read(stream, start, end)
    while start + at < end:
        if at > len(data) - _MARGIN and start + len(data) < end:
            start, at = start + at, 0
            data, end = _read(stream, start, end)
            continue
        entry = start + at
        try:
            code, at = _number(data, at)
            if not code:
                yield entry, None
                continue
            if code not in shapes:
                shapes[code] = _shape(unit, table.get_abbrev(code))
            yield entry, shapes[code]
            at = _behind(data, at, shapes[code].steps, unit)
        except IndexError:
            raise DwarfError("a unit of the debug information is cut") from None


def _read(stream: Any, start: int, end: int) -> tuple[bytes, int]:
    """The next part of a unit, and where the unit ends: where there is no more, it ends too early."""
    stream.seek(start)
    wanted = min(_WINDOW, end - start)
    data: bytes = stream.read(wanted)
    return data, end if len(data) == wanted else start + len(data)


def _shape(unit: Any, declaration: Any) -> _Shape:
    """What entries of an abbreviation are like; bytes of fixed length in a row are one step."""
    steps: list[int] = []
    names = set()
    for name, form in declaration.iter_attr_specs():
        names.add(name)
        step = _step(unit, str(form).removeprefix("DW_FORM_"))
        if step >= 0 and steps and steps[-1] >= 0:
            steps[-1] += step
        else:
            steps.append(step)
    function = declaration["tag"] == "DW_TAG_subprogram" and not names.isdisjoint(_CODE)
    return _Shape(function, declaration["tag"] in SCOPES, declaration.has_children(), tuple(steps))


def _step(unit: Any, form: str) -> int:
    offset = unit.structs.dwarf_format // 8
    if form == "addr" or (form == "ref_addr" and unit["version"] == 2):
        return int(unit["address_size"])
    if form in _OFFSETS or form == "ref_addr":
        return int(offset)
    if form in _FIXED:
        return _FIXED[form]
    if form in _NUMBERS:
        return _NUMBER
    if form == "string":
        return _STRING
    if form in {"block", "exprloc"}:
        return _BLOCK
    if form in _BLOCKS:
        return _BLOCK - _BLOCKS[form]
    raise DwarfError(f"debug information of a form that is not read ({form[:40]})")


def _behind(data: bytes, at: int, steps: tuple[int, ...], unit: Any) -> int:
    """Where an entry ends. Raises IndexError beyond the data, but for a block or string: the next entry is."""
    for step in steps:
        if step >= 0:
            at += step
        elif step == _NUMBER:
            while data[at] & 0x80:
                at += 1
            at += 1
        elif step == _STRING:
            found = data.find(b"\0", at)
            if found < 0:
                raise IndexError
            at = found + 1
        elif step == _BLOCK:
            size, at = _number(data, at)
            at += size
        else:
            width = _BLOCK - step
            order = "little" if unit.dwarfinfo.config.little_endian else "big"
            at += width + int.from_bytes(data[at : at + width], order)  # type: ignore[arg-type]
    return at


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number in LEB128, and where it ends."""
    value, shift = 0, 0
    while shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise DwarfError("a number of too many bytes in the debug information")
