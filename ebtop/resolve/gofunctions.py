"""The functions of a Go program from the table that its runtime names stack frames by, which stripping leaves in place.

Layout: Go's internal/abi and debug/gosym (pclntab.go), of Go 1.18 and later. Where that table does not say itself where
the code begins (position-independent programs, Go 1.27), nothing is read: a guess could put probes amid instructions.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ebtop.resolve.elflayout import SHF_EXECINSTR, ElfError, ElfImage, Section
from ebtop.resolve.symboltable import Strings, Symbols

_MAGICS: Final = {0xFFFFFFF0, 0xFFFFFFF1}  # 1.18, 1.20
_NAMES = (".gopclntab", ".data.rel.ro.gopclntab")
_HEADER = "<IHBBQQQQQQQQ"
_MOST_TABLE = 256 << 20
_MOST_FUNCTIONS = 1 << 20


def read_go_functions(image: ElfImage, fd: int, strings: list[Strings]) -> list[Symbols]:
    """The functions of .gopclntab, [] when it is not there or of another kind; its names are added to `strings`.

    Raises ElfError when it is damaged.
    """
    section = next((s for name in _NAMES if (s := image.section(name)) is not None), None)
    size = struct.calcsize(_HEADER)
    if section is None or section.size < size or image.order != "<" or not image.wide:
        return []
    header = struct.unpack(_HEADER, image.read(section.offset, size))
    magic, _, _, width, count, _, text, names, _, _, _, functions = header
    code = _code_at(image, text)
    if magic not in _MAGICS or width != 8 or code is None:
        return []
    if not 0 < count <= _MOST_FUNCTIONS or not names <= functions <= section.size:
        raise ElfError(f".gopclntab claims {count} functions")
    table = np.frombuffer(image.read(section.offset + functions, section.size - functions, _MOST_TABLE), np.uint8)
    starts, entries = _rows(table, count)
    found = _words(table, entries + 4).astype(np.uint32)
    strings.append(Strings(image, fd, _part(section, names, functions)))
    address = starts[:-1].astype(np.uint64) + np.uint64(text)
    kept = address < np.uint64(code.end)
    return [_symbols(address[kept], np.diff(starts)[kept].astype(np.uint64), found[kept], code.end, len(strings) - 1)]


def _code_at(image: ElfImage, address: int) -> Section | None:
    """The section with code that the functions lie in."""
    code = (s for s in image.sections if s.flags & SHF_EXECINSTR)
    return next((s for s in code if address and s.address <= address < s.end), None)


def _rows(table: npt.NDArray[np.uint8], count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where functions begin, relative to the code, with the end of the last; and where in the table more is said."""
    if 8 * count + 4 > len(table):
        raise ElfError(".gopclntab is cut")
    words = table[: 8 * count + 4].view("<u4").astype(np.int64)
    starts, entries = words[::2], words[1::2]
    if bool(np.any(np.diff(starts) < 0)) or bool(np.any(entries > len(table) - 8)):
        raise ElfError(".gopclntab is damaged")
    return starts, entries


def _words(table: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Words of four bytes at places of the table."""
    return np.ascontiguousarray(table[at[:, None] + np.arange(4)]).view("<u4")[:, 0]


def _part(section: Section, start: int, end: int) -> Section:
    return section._replace(offset=section.offset + start, size=end - start)


def _symbols(
    address: npt.NDArray[np.uint64], size: npt.NDArray[np.uint64], name: npt.NDArray[np.uint32], end: int, table: int
) -> Symbols:
    count = len(address)
    limit, no = np.full(count, end, np.uint64), np.zeros(count, np.bool_)
    return Symbols(address, size, limit, name, np.full(count, table, np.uint8), np.zeros(count, np.uint8), no, no)
