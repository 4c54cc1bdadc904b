"""How to leave a function for its caller: the unwind tables of an ELF file that anyone may have made.

.eh_frame_hdr has a sorted table of functions; each leads to an FDE in .eh_frame, whose small program says for every
address where the caller's registers are. Only what is asked for is read. Layouts: DWARF 5, 6.4, and the LSB Core
specification 5.0, 10.6 (Exception Frames).
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ebtop.resolve.byteread import Bytes, BytesError
from ebtop.resolve.cfaprogram import CfaProgramError, Coding, Row, run
from ebtop.resolve.elflayout import PF_X, PT_LOAD, ElfError, ElfImage, kernel_build_id

__all__ = ["CfiError", "UnwindTable"]

EM_X86_64: Final = 62
EM_AARCH64: Final = 183

_PT_GNU_EH_FRAME = 0x6474E550
_MOST_HEADER = 16 << 20
_MOST_FRAMES = 32 << 20
_MOST_ENTRY = 32 << 10  # the largest function of GCC takes 20
_OVERHEAD = 2000
_OMIT = 0xFF
_SORTED_TABLE = 0x3B  # DW_EH_PE_datarel | DW_EH_PE_sdata4: no linker writes another, and no reader takes one
_PCREL, _DATAREL, _INDIRECT = 0x10, 0x30, 0x80
_FORMATS = {0x00: "Q", 0x02: "H", 0x03: "I", 0x04: "Q", 0x0A: "h", 0x0B: "i", 0x0C: "q"}


class CfiError(Exception):
    """The file has no unwind tables, or none that can be used."""


class _Segment(NamedTuple):
    offset: int
    size: int
    address: int
    code: bool


class _Cie(NamedTuple):
    coding: Coding
    pointers: int  # the encoding of the addresses in its FDEs
    augmented: bool
    program: bytes


class UnwindTable:
    """The unwind tables of one file, and where its segments lie. Methods raise CfiError, nothing else."""

    def __init__(self, fd: int) -> None:
        """Read them; the descriptor stays the caller's."""
        try:
            self._load(ElfImage(fd))
        except (ElfError, BytesError, struct.error) as error:
            raise CfiError(str(error)) from error

    def _load(self, image: ElfImage) -> None:
        if not image.wide or image.order != "<" or image.machine not in {EM_X86_64, EM_AARCH64}:
            raise CfiError("neither x86-64 nor arm64")
        self.machine, self.build_id = image.machine, kernel_build_id(image.build_id())
        loads = image.segments[image.segments["type"] == PT_LOAD]
        fields = (loads[name].tolist() for name in ("offset", "filesz", "vaddr", "flags"))
        self._segments = [_Segment(o, s, a, bool(f & PF_X)) for o, s, a, f in zip(*fields, strict=True)]
        self._load_header(image)
        offset, size = self._extent(image)
        self._frames = image.read(offset, size, _MOST_FRAMES)
        self._cies: dict[int, _Cie] = {}
        self.work = 0  # bytes of programs that were run
        self.nbytes = _OVERHEAD + len(self._frames) + self._starts.nbytes + self._entries.nbytes

    def _load_header(self, image: ElfImage) -> None:
        found = image.segments[image.segments["type"] == _PT_GNU_EH_FRAME]
        if not len(found):
            raise CfiError("no unwind tables")
        self._header = int(found[0]["vaddr"])
        header = Bytes(image.read(int(found[0]["offset"]), int(found[0]["filesz"]), _MOST_HEADER))
        version, frames, count, table = (header.unsigned(1) for _ in range(4))
        if version != 1 or table != _SORTED_TABLE or _OMIT in {frames, count}:
            raise CfiError("unwind tables of another kind")
        self._address = self._pointer(header, frames, self._header)
        entries = self._pointer(header, count, self._header)
        if entries > header.left // 8:
            raise CfiError("unwind tables are cut")
        pairs = np.frombuffer(header.take(8 * entries), "<i4").reshape(-1, 2)
        self._starts, self._entries = pairs[:, 0].copy(), pairs[:, 1].copy()

    def _extent(self, image: ElfImage) -> tuple[int, int]:
        """Where .eh_frame lies in the file: to the end of its segment, where there are no section headers."""
        try:
            section = image.section(".eh_frame")
        except ElfError:
            section = None
        if section is not None and section.address == self._address:
            return section.offset, section.size
        for segment in self._segments:
            if segment.address <= self._address < segment.address + segment.size:
                skipped = self._address - segment.address
                return segment.offset + skipped, segment.size - skipped
        raise CfiError("unwind tables are in no segment")

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """The virtual addresses at which functions begin, or parts of functions, sorted."""
        return np.unique(self._starts.astype(np.int64) + np.int64(self._header & (1 << 62) - 1))

    @property
    def code(self) -> tuple[int, int]:
        """Where code begins and ends, as virtual addresses, (0, 0) without any: the kernel's start_code, end_code."""
        code = [s for s in self._segments if s.code]
        return (min(s.address for s in code), max(s.address + s.size for s in code)) if code else (0, 0)

    def address_of(self, offset: int) -> int | None:
        """The virtual address of a file offset in code."""
        return next(
            (offset - s.offset + s.address for s in self._segments if s.code and 0 <= offset - s.offset < s.size), None
        )

    def offset_of(self, address: int) -> int | None:
        """The file offset of a virtual address in code."""
        return next(
            (address - s.address + s.offset for s in self._segments if s.code and 0 <= address - s.address < s.size),
            None,
        )

    def row(self, address: int) -> Row | None:
        """Where the caller's registers are at an instruction, by its virtual address; None in no known function."""
        index = (
            int(np.searchsorted(self._starts, np.clip(address - self._header, -(1 << 31), (1 << 31) - 1), "right")) - 1
        )
        if index < 0:
            return None
        try:
            return self._row_in(self._header + int(self._entries[index]) - self._address, address)
        except (BytesError, CfaProgramError, struct.error) as error:
            raise CfiError(str(error)) from error

    def _row_in(self, at: int, address: int) -> Row | None:
        entry, pointer_at = self._entry(at)
        distance = entry.unsigned(4)
        if not distance:
            raise CfiError("the table leads to no function")
        cie = self._cie(pointer_at - distance)
        begin = self._pointer(entry, cie.pointers, self._address + pointer_at)
        length = self._pointer(entry, cie.pointers & 0x0F, 0)
        if not begin <= address < begin + length:
            return None
        if cie.augmented:
            entry.take(entry.uleb())
        self.work += entry.left + len(cie.program)
        return run(cie.coding, cie.program, entry.take(entry.left), begin, address)

    def _entry(self, at: int) -> tuple[Bytes, int]:
        """A CIE or an FDE behind its length, and where in .eh_frame that is."""
        if not 0 <= at <= len(self._frames) - 4:
            raise CfiError("the table leads out of .eh_frame")
        size, start = int.from_bytes(self._frames[at : at + 4], "little"), at + 4
        if size == 0xFFFFFFFF:
            size, start = int.from_bytes(self._frames[at + 4 : at + 12], "little"), at + 12
        if not 4 <= size <= min(_MOST_ENTRY, len(self._frames) - start):
            raise CfiError(f"a function's unwind table claims {size} bytes")
        return Bytes(self._frames[start : start + size]), start

    def _cie(self, at: int) -> _Cie:
        known = self._cies.get(at)
        if known is None:
            known = self._read_cie(at)
            if len(self._cies) < 1000:
                self._cies[at] = known
        return known

    def _read_cie(self, at: int) -> _Cie:
        entry, _ = self._entry(at)
        if entry.unsigned(4) != 0:
            raise CfiError("a function's unwind table leads to no CIE")
        version, augmentation = entry.unsigned(1), entry.until_zero()
        if version not in {1, 3}:
            raise CfiError(f"a CIE of version {version}")
        code, data = entry.uleb(), entry.sleb()
        return_column = entry.unsigned(1) if version == 1 else entry.uleb()
        pointers, data_size = 0, entry.uleb() if augmentation.startswith(b"z") else 0
        left = entry.left
        for letter in augmentation[1:].decode("latin-1") if augmentation else "":
            if letter == "R":
                pointers = entry.unsigned(1)
            elif letter == "P":
                self._pointer(entry, entry.unsigned(1) & 0x0F, 0)
            elif letter == "L":
                entry.unsigned(1)
            elif letter not in "SB":
                raise CfiError("a CIE with an unknown augmentation")
        if augmentation and not augmentation.startswith(b"z"):
            raise CfiError("a CIE with an unknown augmentation")
        entry.take(max(0, data_size - (left - entry.left)))
        coding = Coding(code, data, return_column, b"S" in augmentation, self.machine == EM_AARCH64)
        return _Cie(coding, pointers, bool(augmentation), entry.take(entry.left))

    def _pointer(self, source: Bytes, encoding: int, base: int) -> int:
        """An encoded address; `base` is the virtual address of what `source` began with."""
        place = base + source.position
        kind = encoding & 0x0F
        if kind in {1, 9}:
            value = source.uleb() if kind == 1 else source.sleb()
        elif kind in _FORMATS:
            value = source.number(_FORMATS[kind])
        else:
            raise CfiError(f"pointers of kind {encoding:#x}")
        relative = encoding & 0x70
        if encoding & _INDIRECT or relative not in {0, _PCREL, _DATAREL}:
            raise CfiError(f"pointers of kind {encoding:#x}")
        return value + {0: 0, _PCREL: place, _DATAREL: self._header}[relative] & (1 << 64) - 1
