"""Which compilation unit has an address, and which of its entries is the function there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from elftools.dwarf.die import DIE
from elftools.dwarf.ranges import BaseAddressEntry

from ebtop.resolve.dwarfsections import DwarfError, DwarfFile, MeteredStream

_OPEN: Final = frozenset({"DW_TAG_compile_unit", "DW_TAG_partial_unit", "DW_TAG_namespace", "DW_TAG_module"})
_LOCAL_REFERENCES: Final = frozenset(f"DW_FORM_{kind}" for kind in ("ref1", "ref2", "ref4", "ref8", "ref_udata"))
_MOST_INDEX = 64 << 20


def entry_at(unit: Any, offset: int) -> Any:
    """The entry at an offset of .debug_info, in its unit; not remembered, as pyelftools would. Raises what it does."""
    unit.get_top_DIE()
    if not unit.cu_die_offset <= offset < unit.cu_offset + unit.size:
        raise DwarfError("a reference leads out of its unit")
    return DIE(unit, unit.dwarfinfo.debug_info_sec.stream, offset)


def entries_in(unit: Any, parent: Any, everything: bool = False) -> Iterator[Any]:
    """The entries below one, those in namespaces included; `everything` for those in functions and types, too."""
    position, end, depth = parent.offset + parent.size, unit.cu_offset + unit.size, 1
    if not parent.has_children:
        return
    while position < end and depth > 0:
        entry = entry_at(unit, position)
        position += entry.size
        if entry.is_null():
            depth -= 1
            continue
        yield entry
        if entry.has_children:
            beyond = None if everything or entry.tag in _OPEN else sibling_of(unit, entry)
            position, depth = (position, depth + 1) if beyond is None else (beyond, depth)


def children_of(unit: Any, parent: Any) -> Iterator[Any]:
    """The entries directly below one."""
    position, end, depth = parent.offset + parent.size, unit.cu_offset + unit.size, 1
    if not parent.has_children:
        return
    while position < end and depth > 0:
        entry = entry_at(unit, position)
        position += entry.size
        if entry.is_null():
            depth -= 1
            continue
        if depth == 1:
            yield entry
        if entry.has_children:
            beyond = sibling_of(unit, entry)
            position, depth = (position, depth + 1) if beyond is None else (beyond, depth)


def sibling_of(unit: Any, entry: Any) -> int | None:
    """Where what follows behind an entry's children begins; None when that is not said, or leads back."""
    found = entry.attributes.get("DW_AT_sibling")
    if found is None or found.form not in _LOCAL_REFERENCES:
        return None
    place = int(found.raw_value) + int(unit.cu_offset)
    return place if place > entry.offset + entry.size - 1 and place <= unit.cu_offset + unit.size else None


def low_address(entry: Any) -> int | None:
    """The address at which the code of an entry begins."""
    attribute = entry.attributes.get("DW_AT_low_pc") or entry.attributes.get("DW_AT_entry_pc")
    return int(attribute.value) if attribute is not None and isinstance(attribute.value, int) else None


class Units:
    """The units of a file, found by address and remembered."""

    def __init__(self, file: DwarfFile) -> None:
        self._file = file
        self._ranges: list[tuple[int, int, int]] = []
        self._indexed = False
        self._walked = 0

    def with_code_at(self, address: int) -> Iterator[Any]:
        """The units that have code at an address. Raises DwarfBudgetError when there are too many to look through."""
        if not self._indexed:
            self._ranges = [*_by_aranges(self._file), *_by_gdb_index(self._file)]
            self._indexed = True
        seen = set()
        for low, high, offset in self._ranges:
            if low <= address < high and offset not in seen:
                seen.add(offset)
                yield self._file.info.get_CU_at(offset)
        yield from self._walk(address, seen)

    def _walk(self, address: int, seen: set[int]) -> Iterator[Any]:
        """Look at the units that no index names, one after the other; where that stopped it goes on."""
        section = self._file.info.debug_info_sec
        while section is not None and self._walked < section.size:
            unit = self._file.info.get_CU_at(self._walked)
            ranges = self._code_of(unit)
            self._walked = unit.cu_offset + unit.size
            self._ranges += [(low, high, unit.cu_offset) for low, high in ranges]
            if unit.cu_offset not in seen and any(low <= address < high for low, high in ranges):
                yield unit

    def _code_of(self, unit: Any) -> list[tuple[int, int]]:
        top = unit.get_top_DIE()
        low, high = low_address(top), top.attributes.get("DW_AT_high_pc")
        if high is not None and low is not None:
            return [(low, int(high.value) + (0 if high.form == "DW_FORM_addr" else low))]
        return self.ranges_of(unit, top, low or 0)

    def ranges_of(self, unit: Any, entry: Any, base: int) -> list[tuple[int, int]]:
        """The ranges of an entry whose code is in several pieces."""
        ranges = entry.attributes.get("DW_AT_ranges")
        lists = self._file.info.range_lists() if ranges is not None else None
        if lists is None:
            return []
        found = []
        for item in lists.get_range_list_at_offset(ranges.value, cu=unit):
            if isinstance(item, BaseAddressEntry):
                base = int(item.base_address)
            else:
                shift = 0 if item.is_absolute else base
                found.append((int(item.begin_offset) + shift, int(item.end_offset) + shift))
        return found


def _whole(section: Any) -> bytes:
    """All bytes of a section that is an index."""
    if section.size > _MOST_INDEX:
        raise DwarfError(f"an index claims {section.size} bytes")
    stream: MeteredStream = section.stream
    stream.seek(0)
    parts = [stream.read(1 << 20) for _ in range(section.size // (1 << 20) + 1)]
    return b"".join(parts)


def _by_aranges(file: DwarfFile) -> Iterator[tuple[int, int, int]]:
    """What .debug_aranges says. Layout: DWARF 5, 6.1.2."""
    section = file.info.debug_aranges_sec
    if section is None:
        return
    data, position, order = _whole(section), 0, file.image.order
    while position + 12 <= len(data):
        length, version, unit, width, selector = struct.unpack_from(f"{order}IHIBB", data, position)
        end = position + 4 + length
        if length >= 0xFFFFFFF0 or version != 2 or width not in {4, 8} or selector or end > len(data):
            return  # of another kind: the units are walked through instead
        first = position + (12 + 2 * width - 1) // (2 * width) * 2 * width
        count = max(0, end - first) // (2 * width)
        pairs = np.frombuffer(data, f"{order}u{width}", 2 * count, first).reshape(-1, 2)
        yield from ((low, low + size, unit) for low, size in pairs.tolist() if size)
        position = end


def _by_gdb_index(file: DwarfFile) -> Iterator[tuple[int, int, int]]:
    """What .gdb_index says of addresses. Layout: GDB manual, "Index Section Format"."""
    section = file.gdb_index
    if section is None or section.size < 24:
        return
    data = file.image.read(section.offset, section.size, _MOST_INDEX)
    version, units, types, addresses, symbols = struct.unpack_from("<5I", data)
    if not 7 <= version <= 9 or not 24 <= units <= types <= addresses <= symbols <= len(data):
        return
    offsets = np.frombuffer(data, "<u8", (types - units) // 16 * 2, units)[::2]
    rows = np.frombuffer(
        data, [("low", "<u8"), ("high", "<u8"), ("unit", "<u4")], (symbols - addresses) // 20, addresses
    )
    for low, high, unit in rows.tolist():
        if unit < len(offsets):
            yield low, high, int(offsets[unit])


def function_entry(units: Units, address: int) -> tuple[Any, Any] | None:
    """The unit and the entry of the function that begins at an address; None when no unit has one."""
    for unit in units.with_code_at(address):
        if {"DW_AT_dwo_name", "DW_AT_GNU_dwo_name"} & set(unit.get_top_DIE().attributes):
            raise DwarfError("split debug information (-gsplit-dwarf), which is in .dwo files that are not read")
        for everything in (False, True):  # most are not inside of others: look there first
            for entry in entries_in(unit, unit.get_top_DIE(), everything):
                if entry.tag == "DW_TAG_subprogram" and _begins_at(units, unit, entry, address):
                    return unit, entry
    return None


def _begins_at(units: Units, unit: Any, entry: Any, address: int) -> bool:
    """Whether a function begins at an address; one with a cold part elsewhere begins where one of its ranges does."""
    low = low_address(entry)
    if low is not None:
        return low == address
    if "DW_AT_ranges" not in entry.attributes:
        return False
    ranges = units.ranges_of(unit, entry, low_address(unit.get_top_DIE()) or 0)
    return bool(ranges) and ranges[0][0] == address
