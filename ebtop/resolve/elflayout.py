"""The tables of an ELF file that anyone may have made: headers, segments, sections, notes, all with bounds.

Layouts: System V ABI, chapters 4 and 5, and elf(5). The tables are read with NumPy at known sizes and never followed
blindly: libraries that build an object per entry can be made to loop over counts that the file claims.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

PT_LOAD: Final = 1
PT_NOTE: Final = 4
PF_X: Final = 1
ET_EXEC: Final = 2
ET_DYN: Final = 3
EM_ARM: Final = 40
SHT_SYMTAB: Final = 2
SHT_NOTE: Final = 7
SHT_NOBITS: Final = 8
SHT_DYNSYM: Final = 11
SHF_EXECINSTR: Final = 4

_MAX_SEGMENTS = 4096
_MAX_SECTIONS = 65536
_MAX_READ = 32 << 20
_MAX_SECTION_NAMES = 1 << 20
_MAX_NOTES = 64 << 10
_NT_GNU_BUILD_ID = 3
_KERNEL_BUILD_ID = 20
_XINDEX = 0xFFFF


class ElfError(Exception):
    """The file is no ELF executable or library, is damaged, or claims absurd sizes."""


class Section(NamedTuple):
    """A section header; `end` is the virtual address behind its last byte."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    entry_size: int

    @property
    def end(self) -> int:
        """The virtual address behind the section."""
        return self.address + self.size


def kernel_build_id(build_id: bytes) -> bytes:
    """A build id as the kernel hands it to BPF: 20 bytes, zeros behind a shorter one; empty when it gives none."""
    return build_id.ljust(_KERNEL_BUILD_ID, b"\0") if 0 < len(build_id) <= _KERNEL_BUILD_ID else b""


def _program_header(order: str, wide: bool) -> np.dtype[np.void]:
    if wide:
        fields = [("type", "u4"), ("flags", "u4"), ("offset", "u8"), ("vaddr", "u8"), ("paddr", "u8"),
                  ("filesz", "u8"), ("memsz", "u8"), ("align", "u8")]  # fmt: skip
    else:
        fields = [("type", "u4"), ("offset", "u4"), ("vaddr", "u4"), ("paddr", "u4"),
                  ("filesz", "u4"), ("memsz", "u4"), ("flags", "u4"), ("align", "u4")]  # fmt: skip
    return np.dtype([(name, order + kind) for name, kind in fields])


def _section_header(order: str, wide: bool) -> np.dtype[np.void]:
    word = "u8" if wide else "u4"
    fields = [("name", "u4"), ("type", "u4"), ("flags", word), ("address", word), ("offset", word),
              ("size", word), ("link", "u4"), ("info", "u4"), ("align", word), ("entry_size", word)]  # fmt: skip
    return np.dtype([(name, order + kind) for name, kind in fields])


def _symbol(order: str, wide: bool) -> np.dtype[np.void]:
    if wide:
        fields = [("name", "u4"), ("info", "u1"), ("other", "u1"), ("section", "u2"), ("value", "u8"), ("size", "u8")]
    else:
        fields = [("name", "u4"), ("value", "u4"), ("size", "u4"), ("info", "u1"), ("other", "u1"), ("section", "u2")]
    return np.dtype([(name, order + kind) for name, kind in fields])


class ElfImage:
    """The tables of an open ELF file. The descriptor stays the caller's. Raises ElfError, nothing else."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        try:
            self.file_size = os.fstat(fd).st_size
        except OSError as error:
            raise ElfError(f"unreadable: {error.strerror}") from error
        ident = self.read(0, 16)
        if ident[:4] != b"\x7fELF" or ident[4] not in {1, 2} or ident[5] not in {1, 2}:
            raise ElfError("not an ELF file")
        self.wide, self.order = ident[4] == 2, "<" if ident[5] == 1 else ">"
        layout = f"{self.order}HHI{'QQQ' if self.wide else 'III'}IHHHHHH"
        header = struct.unpack(layout, self.read(16, struct.calcsize(layout)))
        self.type, self.machine, self.entry = header[0], header[1], header[3]
        self._segment_table = (header[4], header[8], header[9])
        self._section_table = (header[5], header[10], header[11], header[12])
        self.segments = self._read_segments()
        self._sections: list[Section] | None = None

    def read(self, offset: int, size: int, limit: int = _MAX_READ) -> bytes:
        """Exactly `size` bytes at `offset` of the file. Raises ElfError when the file does not have them."""
        if not 0 <= size <= limit:
            raise ElfError(f"a table claims {size} bytes")
        if not 0 <= offset <= self.file_size - size:
            raise ElfError("truncated")
        try:
            data = os.pread(self._fd, size, offset)
        except OSError as error:
            raise ElfError(f"unreadable: {error.strerror}") from error
        if len(data) != size:
            raise ElfError("truncated")
        return data

    def _table(self, offset: int, count: int, entry_size: int, dtype: np.dtype[np.void]) -> npt.NDArray[np.void]:
        if entry_size != dtype.itemsize:
            raise ElfError(f"a table has entries of {entry_size} bytes")
        return np.frombuffer(self.read(offset, count * entry_size), dtype=dtype)

    def _read_segments(self) -> npt.NDArray[np.void]:
        offset, entry_size, count = self._segment_table
        dtype = _program_header(self.order, self.wide)
        if not count:
            return np.empty(0, dtype)
        if count > _MAX_SEGMENTS:
            raise ElfError(f"{count} segments")
        return self._table(offset, count, entry_size, dtype)

    @property
    def fd(self) -> int:
        """The descriptor, the caller's."""
        return self._fd

    @property
    def sections(self) -> list[Section]:
        """The section headers, [] when the file was stripped of them. Raises ElfError."""
        if self._sections is None:
            self._sections = self._read_sections()
        return self._sections

    def _read_sections(self) -> list[Section]:
        offset, entry_size, count, names_index = self._section_table
        if not offset:
            return []
        dtype = _section_header(self.order, self.wide)
        first = self._table(offset, 1, entry_size, dtype)[0]
        # More than fit into 16 bits are said in the first, otherwise empty section.
        count = count or int(first["size"])
        names_index = int(first["link"]) if names_index == _XINDEX else names_index
        if count > _MAX_SECTIONS:
            raise ElfError(f"{count} sections")
        table = self._table(offset, count, entry_size, dtype)
        names = self._section_names(table, names_index)
        rows = zip(*(table[key].tolist() for key in ("name", "type", "flags", "address", "offset", "size", "link",
                                                     "entry_size")), strict=True)  # fmt: skip
        return [Section(string_at(names, row[0]).decode("latin-1"), *row[1:]) for row in rows]

    def _section_names(self, table: npt.NDArray[np.void], index: int) -> bytes:
        if not 0 < index < len(table):
            return b""
        return self.read(int(table[index]["offset"]), int(table[index]["size"]), _MAX_SECTION_NAMES)

    def section(self, name: str) -> Section | None:
        """The first section of that name that has bytes in the file."""
        return next((s for s in self.sections if s.name == name and s.type != SHT_NOBITS), None)

    def symbols(self, section: Section, chunk: int = 1 << 18) -> Iterator[npt.NDArray[np.void]]:
        """The entries of a symbol table, `chunk` at a time: fields name, info, other, section, value, size."""
        dtype = _symbol(self.order, self.wide)
        if section.entry_size != dtype.itemsize:
            raise ElfError(f"symbols of {section.entry_size} bytes")
        count = section.size // dtype.itemsize
        for start in range(0, count, chunk):
            yield self._table(section.offset + start * dtype.itemsize, min(chunk, count - start), dtype.itemsize, dtype)

    def build_id(self) -> bytes:
        """The GNU build id, b"" without one. Raises ElfError."""
        for segment in self.segments[self.segments["type"] == PT_NOTE]:
            found = self._build_id_in(int(segment["offset"]), int(segment["filesz"]), int(segment["align"]))
            if found:
                return found
        return b"" if len(self.segments) else self.section_build_id()

    def section_build_id(self) -> bytes:
        """The build id by the section headers: those of a debug file hold where its program headers lie."""
        for section in self.sections:
            if section.type == SHT_NOTE:
                found = self._build_id_in(section.offset, section.size, 4)
                if found:
                    return found
        return b""

    def _build_id_in(self, offset: int, size: int, align: int) -> bytes:
        if size > _MAX_NOTES:
            return b""
        notes, position = self.read(offset, size), 0
        pad = 8 if align == 8 else 4
        while position + 12 <= len(notes):
            name_size, value_size, kind = struct.unpack_from(f"{self.order}III", notes, position)
            value = (position + 12 + name_size + pad - 1) // pad * pad
            if kind == _NT_GNU_BUILD_ID and notes[position + 12 : position + 12 + name_size] == b"GNU\0":
                found = notes[value : value + value_size]
                return found if len(found) == value_size <= 64 else b""
            position = (value + value_size + pad - 1) // pad * pad
        return b""


def string_at(strings: bytes, offset: int, limit: int = 16384) -> bytes:
    """The NUL-terminated string at `offset` of a string table, at most `limit` bytes of it; b"" beyond the table."""
    if not 0 <= offset < len(strings):
        return b""
    end = strings.find(b"\0", offset, offset + limit)
    return strings[offset:end] if end >= 0 else strings[offset : offset + limit]
