"""pyelftools' view of debug information, but for what it would remember without bounds: units and abbreviations.

A large program has tens of thousands of units, each with some hundred abbreviations, of which the search for an address
needs one. And what is remembered of a file that was made for it would take more memory than the file.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Final

from elftools.common.utils import struct_parse
from elftools.dwarf.abbrevtable import AbbrevDecl
from elftools.dwarf.compileunit import CompileUnit
from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.dwarf.structs import DWARFStructs

from ebtop.resolve.bounded import BoundedCache

_UNITS, _TABLES = 64, 16
_MOST_UNITS: Final = 1 << 20
_MOST_ABBREVIATIONS: Final = 20_000
_VERSIONS: Final = range(2, 6)


class Abbreviations:
    """A table of abbreviations, read up to the one that is asked for."""

    def __init__(self, structs: Any, stream: Any, offset: int) -> None:
        self._structs, self._stream, self._next = structs, stream, offset
        self._found: dict[int, AbbrevDecl] = {}
        self._ended = False

    def get_abbrev(self, code: int) -> AbbrevDecl:
        """The declaration of a code. Raises KeyError without one."""
        while code not in self._found and not self._ended:
            self._read()
        return self._found[code]

    def _read(self) -> None:
        place = self._stream.tell()
        try:
            code = struct_parse(self._structs.the_Dwarf_uleb128, self._stream, self._next)
            self._ended = code == 0 or len(self._found) >= _MOST_ABBREVIATIONS
            if not self._ended:
                declaration = struct_parse(self._structs.Dwarf_abbrev_declaration, self._stream)
                self._found.setdefault(code, AbbrevDecl(code, declaration))
            self._next = self._stream.tell()
        finally:
            self._stream.seek(place)


class BoundedDwarfInfo(DWARFInfo):
    """What pyelftools asks for while it reads entries, remembered within bounds. Raises what pyelftools does."""

    def __init__(self, **sections: Any) -> None:
        super().__init__(**sections)
        self._tables: BoundedCache[int, Abbreviations] = BoundedCache(_TABLES)
        self._units: BoundedCache[int, CompileUnit] = BoundedCache(_UNITS)
        self._starts = [0]

    def get_abbrev_table(self, offset: int) -> Any:
        """The table at an offset of .debug_abbrev."""
        table = self._tables.get(offset)
        if table is None:
            if self.debug_abbrev_sec is None or not 0 <= offset < self.debug_abbrev_sec.size:
                raise KeyError("abbreviations beyond .debug_abbrev")
            table = Abbreviations(self.structs, self.debug_abbrev_sec.stream, offset)
            self._tables.put(offset, table)
        return table

    def unit_at(self, offset: int) -> Any:
        """The unit whose header is at an offset of .debug_info."""
        known = self._units.get(offset)
        if known is None:
            known = self._read_unit(offset)
            self._units.put(offset, known)
        return known

    def _read_unit(self, offset: int) -> CompileUnit:
        section, little = self.debug_info_sec, self.config.little_endian
        if section is None or not 0 <= offset < section.size:
            raise KeyError("a unit beyond .debug_info")
        wide = struct_parse(self.structs.the_Dwarf_uint32, section.stream, offset) == 0xFFFFFFFF
        plain = DWARFStructs(little_endian=little, dwarf_format=64 if wide else 32, address_size=4, dwarf_version=2)
        header = struct_parse(plain.Dwarf_CU_header, section.stream, offset)
        begin = section.stream.tell()
        if header["version"] not in _VERSIONS or header["address_size"] not in {4, 8}:
            raise ValueError(f"debug information of version {header['version']}")
        structs = DWARFStructs(
            little_endian=little, dwarf_format=64 if wide else 32, address_size=header["address_size"],
            dwarf_version=header["version"],
        )  # fmt: skip
        return CompileUnit(header, self, structs, offset, begin)

    def unit_with(self, offset: int) -> Any:
        """The unit that contains an offset of .debug_info."""
        while self._starts[-1] <= offset and len(self._starts) < _MOST_UNITS:
            self._starts.append(self._after(self._starts[-1]))
        index = bisect_right(self._starts, offset) - 1
        if offset < 0 or index >= len(self._starts) - 1:
            raise KeyError("an offset beyond .debug_info")
        return self.unit_at(self._starts[index])

    def _after(self, offset: int) -> int:
        """Where the unit behind the one at an offset begins."""
        section = self.debug_info_sec
        if section is None or offset >= section.size:
            raise KeyError("an offset beyond .debug_info")
        length = struct_parse(self.structs.the_Dwarf_uint32, section.stream, offset)
        if length == 0xFFFFFFFF:
            return (
                offset + 12 + int.from_bytes(section.stream.read(8), "little" if self.config.little_endian else "big")
            )
        return offset + 4 + int(length)
