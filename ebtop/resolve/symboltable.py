"""Function symbols as sorted arrays: which symbol covers an address."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ebtop.resolve.elflayout import (
    EM_ARM,
    SHF_EXECINSTR,
    SHT_DYNSYM,
    SHT_NOBITS,
    SHT_SYMTAB,
    ElfError,
    ElfImage,
    Section,
    string_at,
)

_STT_NOTYPE, _STT_FUNC, _STT_GNU_IFUNC = 0, 2, 10
_SHN_LORESERVE = 0xFF00
_MAX_SYMBOLS = 2 << 20  # their table takes 61 MB, and 200 while it is made
_STRINGS_IN_MEMORY = 32 << 20
_STRINGS_ON_DISK = 4 << 30
_MAX_NAME = 16384
_PIECE = 4 << 20
_MAX_STEPS = 1000
_AT_ONCE = 1 << 16
_TOP = np.uint64((1 << 64) - 1)

U64 = npt.NDArray[np.uint64]


class Strings:
    """A string table: in memory, or, when it is large, read name by name from the file, which it then keeps open."""

    def __init__(self, image: ElfImage, fd: int, section: Section) -> None:
        self._fd = -1
        self._data = b""
        if section.size <= _STRINGS_IN_MEMORY:
            self._data = image.read(section.offset, section.size)
            self._first = np.frombuffer(self._data, dtype=np.uint8)
            return
        if section.size > _STRINGS_ON_DISK or section.offset + section.size > image.file_size:
            raise ElfError(f"a string table claims {section.size} bytes")
        self._offset, self._size = section.offset, section.size
        self._first = np.empty(0, np.uint8)
        self._fd = os.dup(fd)

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            os.close(self._fd)

    @property
    def nbytes(self) -> int:
        """Bytes held in memory."""
        return len(self._data)

    def at(self, offset: int) -> bytes:
        """The name at an offset, b"" when there is none (any more)."""
        if self._fd < 0:
            return string_at(self._data, offset, _MAX_NAME)
        if not 0 <= offset < self._size:
            return b""
        try:
            return os.pread(self._fd, min(_MAX_NAME, self._size - offset), self._offset + offset).partition(b"\0")[0]
        except OSError:
            return b""

    def in_order(self, offsets: Iterable[int]) -> Iterator[bytes]:
        """The names at ascending offsets; a table on disk is read in large pieces."""
        if self._fd < 0:
            yield from map(self.at, offsets)
            return
        start, piece = 0, b""
        for offset in offsets:
            if not start <= offset <= start + len(piece) - _MAX_NAME:
                start, piece = offset, self._piece(offset)
            yield string_at(piece, offset - start, _MAX_NAME)

    def _piece(self, offset: int) -> bytes:
        if not 0 <= offset < self._size:
            return b""
        try:
            return os.pread(self._fd, min(_PIECE, self._size - offset), self._offset + offset)
        except OSError:
            return b""

    def underscores(self, offsets: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
        """How many underscores (0 to 2) the names at `offsets` begin with; 0 for all of a table that is on disk."""
        count = np.zeros(len(offsets), np.uint8)
        inside = offsets < max(0, len(self._first) - 1)
        first = self._first[offsets[inside]] == ord("_")
        second = self._first[offsets[inside] + 1] == ord("_")
        count[inside] = first + (first & second)
        return count


@dataclass(frozen=True, slots=True)
class Symbols:
    """Symbols as parallel arrays, unordered. `limit` is the end of their section; `rank` orders aliases, best first.

    `name` is an offset into `strings[table]`; `label` marks those that the file does not call functions, `indirect`
    those that choose a function when the program starts (IFUNC).
    """

    address: U64
    size: U64
    limit: U64
    name: npt.NDArray[np.uint32]
    table: npt.NDArray[np.uint8]
    rank: npt.NDArray[np.uint8]
    label: npt.NDArray[np.bool_]
    indirect: npt.NDArray[np.bool_]


def read_symbols(image: ElfImage, fd: int, strings: list[Strings]) -> list[Symbols]:
    """The code symbols of .symtab and .dynsym; their string tables are added to `strings`. Raises ElfError."""
    parts: list[Symbols] = []
    sections = image.sections
    ends = np.array([min(s.end, int(_TOP)) for s in sections], dtype=np.uint64)
    code = np.array([bool(s.flags & SHF_EXECINSTR) for s in sections], dtype=np.bool_)
    for kind in (SHT_SYMTAB, SHT_DYNSYM):
        section = next((s for s in sections if s.type == kind), None)
        if section is None or not 0 < section.link < len(sections) or sections[section.link].type == SHT_NOBITS:
            continue
        if section.entry_size and section.size // section.entry_size > _MAX_SYMBOLS:
            raise ElfError(f"a symbol table claims {section.size} bytes")
        strings.append(Strings(image, fd, sections[section.link]))
        for chunk in image.symbols(section):
            parts.append(_code_symbols(chunk, image.machine, ends, code, strings, len(strings) - 1))
    return parts


def _code_symbols(
    chunk: npt.NDArray[np.void],
    machine: int,
    ends: U64,
    code: npt.NDArray[np.bool_],
    strings: list[Strings],
    table: int,
) -> Symbols:
    kind, section = chunk["info"] & 15, chunk["section"]
    placed = (section > 0) & (section < min(_SHN_LORESERVE, len(ends))) & (chunk["name"] > 0)
    chunk, kind, section = chunk[placed], kind[placed], section[placed]
    function = (kind == _STT_FUNC) | (kind == _STT_GNU_IFUNC)
    wanted = function | ((kind == _STT_NOTYPE) & code[section])
    chunk, section, function, kind = chunk[wanted], section[wanted], function[wanted], kind[wanted]
    address, size = chunk["value"].astype(np.uint64), chunk["size"].astype(np.uint64)
    if machine == EM_ARM:  # the lowest bit says "Thumb"
        address &= ~np.uint64(1)
    # Which of several names of one address is shown: as perf does it, sized before unsized, global before weak
    # before local, few underscores before many.
    bind = np.array([2, 0, 1], np.uint8)[np.minimum(chunk["info"] >> 4, 2)]
    name = chunk["name"].astype(np.uint32)
    rank = (size == 0) * np.uint8(16) + bind * np.uint8(4) + strings[table].underscores(name)
    return Symbols(
        address, size, ends[section], name, np.full(len(name), table, np.uint8), rank.astype(np.uint8), ~function,
        kind == _STT_GNU_IFUNC,
    )  # fmt: skip


class SymbolTable:
    """Sorted, one symbol per address. `starts` are all addresses at which anything begins, sorted."""

    def __init__(self, symbols: Sequence[Symbols], labels: bool, starts: U64, strings: list[Strings]) -> None:
        self._strings = strings
        chosen = [s.label == labels for s in symbols]
        places = np.cumsum([0, *map(np.count_nonzero, chosen)])

        def joined(key: str, dtype: npt.DTypeLike) -> Any:
            """Part by part: np.concatenate would need all that is chosen twice at once."""
            column = np.empty(places[-1], dtype)
            for part, which, start, end in zip(symbols, chosen, places, places[1:], strict=False):
                column[start:end] = getattr(part, key)[which]
            return column

        address = joined("address", np.uint64)
        order = np.lexsort((joined("rank", np.uint8), address))
        self._address = address[order]
        keep = np.ones(len(order), np.bool_)
        keep[1:] = self._address[1:] != self._address[:-1]
        order, self._address = order[keep], self._address[keep]
        self._name, self._table = joined("name", np.uint32)[order], joined("table", np.uint8)[order]
        self._end = self._ends(joined("size", np.uint64), joined("limit", np.uint64), order, starts)
        self._reach: U64 = np.maximum.accumulate(self._end) if len(self._end) else self._end

    def _ends(self, sizes: U64, limits: U64, order: npt.NDArray[np.int64], starts: U64) -> U64:
        """Piece by piece: this takes many columns, and there may be millions of symbols."""
        end, starts = np.empty(len(self._address), np.uint64), np.append(starts, _TOP)
        for first in range(0, len(end), _AT_ONCE):
            piece = slice(first, first + _AT_ONCE)
            address, size, limit = self._address[piece], sizes[order[piece]], limits[order[piece]]
            following = starts[np.searchsorted(starts[:-1], address, side="right")]
            sized = np.where(size > _TOP - address, _TOP, address + size)
            end[piece] = np.where(size > 0, sized, np.minimum(following, limit))
        return end

    def find(self, address: int) -> int:
        """The index of the symbol that covers an address, -1 without one."""
        if not 0 <= address <= int(_TOP) or not len(self._address):
            return -1
        wanted = np.uint64(address)
        index = int(np.searchsorted(self._address, wanted, side="right")) - 1
        for step in range(index, max(-1, index - _MAX_STEPS), -1):
            if self._end[step] > wanted:
                return step
            if self._reach[step] <= wanted:  # nothing before reaches that far either
                break
        return -1

    def name(self, index: int) -> bytes:
        """The name of the symbol at an index of `find`."""
        return self._strings[int(self._table[index])].at(int(self._name[index]))

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays."""
        return sum(a.nbytes for a in (self._address, self._end, self._reach, self._name, self._table))

    def __len__(self) -> int:
        return len(self._address)
