"""Which compilation unit has an address, and which of its entries is the function there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from elftools.dwarf.die import DIE
from elftools.dwarf.ranges import BaseAddressEntry

from ebtop.resolve.dwarfscan import functions_in
from ebtop.resolve.dwarfsections import DwarfError, DwarfFile, MeteredStream

_OPEN: Final = frozenset({"DW_TAG_compile_unit", "DW_TAG_partial_unit", "DW_TAG_namespace", "DW_TAG_module"})
_LOCAL_REFERENCES: Final = frozenset(f"DW_FORM_{kind}" for kind in ("ref1", "ref2", "ref4", "ref8", "ref_udata"))
_MOST_INDEX = 64 << 20
_MOST_RANGES = 1 << 20
_MOST_OF_ONE = 20_000

Ranges = npt.NDArray[np.uint64]
"""Rows of: where code begins, where it ends, the offset of its unit."""


def entry_at(unit: Any, offset: int) -> Any:
    """The entry at an offset of .debug_info, in its unit; not remembered, as pyelftools would. Raises what it does."""
    unit.get_top_DIE()
    if not unit.cu_die_offset <= offset < unit.cu_offset + unit.size:
        raise DwarfError("a reference leads out of its unit")
    return DIE(unit, unit.dwarfinfo.debug_info_sec.stream, offset)


def entries_in(unit: Any, parent: Any) -> Iterator[Any]:
    """The entries below one, those in namespaces included, those in functions and types not."""
    return (entry for entry, _depth in _below(unit, parent, _OPEN))


def children_of(unit: Any, parent: Any) -> Iterator[Any]:
    """The entries directly below one."""
    return (entry for entry, depth in _below(unit, parent, frozenset()) if depth == 1)


def _below(unit: Any, parent: Any, opened: frozenset[str]) -> Iterator[tuple[Any, int]]:
    """The entries below one, and how far below. Into those with an `opened` tag it goes, over others where they say how
    long they are."""
    position, end, depth = parent.offset + parent.size, unit.cu_offset + unit.size, 1
    if not parent.has_children:
        return
    while position < end and depth > 0:
        entry = entry_at(unit, position)
        position += entry.size
        if entry.is_null():
            depth -= 1
            continue
        yield entry, depth
        if entry.has_children:
            beyond = None if entry.tag in opened else sibling_of(unit, entry)
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
        self._indexed: list[Ranges] | None = None
        self._walked, self._seen = 0, np.empty((0, 3), np.uint64)

    def with_code_at(self, address: int) -> Iterator[Any]:
        """The units that have code at an address. Raises DwarfBudgetError when there are too many to look through."""
        if not 0 <= address < 1 << 64:
            return
        if self._indexed is None:
            self._indexed = [*_by_aranges(self._file), *_by_gdb_index(self._file)]
        done: set[int] = set()
        for ranges in (*self._indexed, self._seen):
            inside = (ranges[:, 0] <= np.uint64(address)) & (np.uint64(address) < ranges[:, 1])
            for offset in ranges[inside, 2].tolist():
                if offset not in done:
                    done.add(offset)
                    yield self._file.info.unit_at(offset)
        yield from self._walk(address, done)

    def _walk(self, address: int, done: set[int]) -> Iterator[Any]:
        """Look at the units that no index names, one after the other; where that stopped it goes on."""
        section = self._file.info.debug_info_sec
        found: list[tuple[int, int, int]] = []
        try:
            while section is not None and self._walked < section.size:
                unit = self._file.info.unit_at(self._walked)
                ranges = self._code_of(unit)
                self._walked = unit.cu_offset + unit.size
                found += [(low, high, unit.cu_offset) for low, high in ranges if 0 <= low < high < 1 << 64]
                if unit.cu_offset not in done and any(low <= address < high for low, high in ranges):
                    yield unit
        finally:
            if len(self._seen) < _MOST_RANGES:
                self._seen = np.concatenate([self._seen, np.array(found, np.uint64).reshape(-1, 3)])

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
        found: list[tuple[int, int]] = []
        for item in lists.get_range_list_at_offset(ranges.value, cu=unit):
            if isinstance(item, BaseAddressEntry):
                base = int(item.base_address)
            else:
                shift = 0 if item.is_absolute else base
                if len(found) >= _MOST_OF_ONE:
                    break
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


def _by_aranges(file: DwarfFile) -> Iterator[Ranges]:
    """What .debug_aranges says. Layout: DWARF 5, 6.1.2."""
    section = file.info.debug_aranges_sec
    if section is None:
        return
    data, position, order = _whole(section), 0, file.image.order
    parts: list[Ranges] = []
    while position + 12 <= len(data) and len(parts) < _MOST_RANGES:
        length, version, unit, width, selector = struct.unpack_from(f"{order}IHIBB", data, position)
        end = position + 4 + length
        if length >= 0xFFFFFFF0 or version != 2 or width not in {4, 8} or selector or end > len(data):
            break  # of another kind: the units are walked through instead
        first = position + (12 + 2 * width - 1) // (2 * width) * 2 * width
        count = max(0, end - first) // (2 * width)
        pairs = np.frombuffer(data, f"{order}u{width}", 2 * count, first).reshape(-1, 2).astype(np.uint64)
        parts.append(np.column_stack([pairs[:, 0], pairs[:, 0] + pairs[:, 1], np.full(count, unit, np.uint64)]))
        position = end
    if parts:
        yield np.concatenate(parts)


def _by_gdb_index(file: DwarfFile) -> Iterator[Ranges]:
    """What .gdb_index says of addresses. Layout: GDB manual, "Index Section Format"."""
    section = file.gdb_index
    if section is None or section.size < 24:
        return
    data = file.image.read(section.offset, section.size, _MOST_INDEX)
    version, units, types, addresses, symbols = struct.unpack_from("<5I", data)
    if not 7 <= version <= 9 or not 24 <= units <= types <= addresses <= symbols <= len(data):
        return
    offsets = np.frombuffer(data, "<u8", (types - units) // 16 * 2, units)[::2].astype(np.uint64)
    dtype = np.dtype([("low", "<u8"), ("high", "<u8"), ("unit", "<u4")])
    rows = np.frombuffer(data, dtype, (symbols - addresses) // dtype.itemsize, addresses)
    rows = rows[rows["unit"] < len(offsets)]
    yield np.column_stack([rows["low"].astype(np.uint64), rows["high"].astype(np.uint64), offsets[rows["unit"]]])


def function_entry(units: Units, address: int) -> tuple[Any, Any] | None:
    """The unit and the entry of the function that begins at an address; None when no unit has one."""
    for unit in units.with_code_at(address):
        if {"DW_AT_dwo_name", "DW_AT_GNU_dwo_name"} & set(unit.get_top_DIE().attributes):
            raise DwarfError("split debug information (-gsplit-dwarf), which is in .dwo files that are not read")
        for offset in functions_in(unit):
            entry = entry_at(unit, offset)
            if _begins_at(units, unit, entry, address):
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
