"""Where code lies in a file: virtual addresses and file offsets, by the program headers of the file itself.

The kernel attaches to file offsets, symbol tables give virtual addresses, and their difference is another one for each
segment: lld and mold shift it by a page, a linker script may have two in one file. So there is one way from one to the
other, and it refuses what it cannot know: addresses in no code, and debug files, whose program headers are those of
the program that they were taken from and lead nowhere.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ebtop.resolve.elflayout import (
    ET_DYN,
    ET_EXEC,
    PF_X,
    PT_LOAD,
    SHF_EXECINSTR,
    SHT_NOBITS,
    ElfError,
    ElfImage,
    Section,
)

_KINDS: Final = {1: "a relocatable object, which is no place in a program yet", 4: "a core dump, which does not run"}


class AddressError(ElfError):
    """The file has no code at that place."""


class _Segment(NamedTuple):
    address: int
    size: int
    offset: int


class CodeSegments:
    """The executable load segments of one file. Raises ElfError when it is no program or library that can run."""

    def __init__(self, image: ElfImage) -> None:
        if image.type not in {ET_EXEC, ET_DYN}:
            raise ElfError(_KINDS.get(image.type, "neither an executable nor a shared library"))
        if any(s.flags & SHF_EXECINSTR and s.type == SHT_NOBITS and s.name == ".text" for s in _sections(image)):
            raise ElfError("a debug file, which holds no code: name the program or library that it belongs to")
        loads = image.segments[(image.segments["type"] == PT_LOAD) & ((image.segments["flags"] & PF_X) != 0)]
        rows = zip(*(loads[key].tolist() for key in ("vaddr", "filesz", "offset")), strict=True)
        self._file_size = image.file_size
        # Where segments overlap, the kernel maps the later one over the earlier.
        self._segments = [_Segment(*row) for row in rows if row[1]][::-1]

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The virtual addresses [start, end) that hold code."""
        return sorted((s.address, s.address + s.size) for s in self._segments)

    def offset_of(self, address: int) -> int:
        """The file offset of a virtual address in code. Raises AddressError."""
        for segment in self._segments:
            if 0 <= address - segment.address < segment.size:
                return self._inside(address - segment.address + segment.offset)
        raise AddressError(f"address {address:#x} is in no executable segment ({self._described()})")

    def address_of(self, offset: int) -> int:
        """The virtual address of a file offset in code. Raises AddressError."""
        for segment in self._segments:
            if 0 <= offset - segment.offset < segment.size:
                self._inside(offset)
                return offset - segment.offset + segment.address
        raise AddressError(f"file offset {offset:#x} is in no executable segment ({self._described()})")

    def room(self, address: int) -> int:
        """How many bytes of code follow from a virtual address to the end of its segment. Raises AddressError."""
        offset = self.offset_of(address)
        ends = (s.address + s.size for s in self._segments if 0 <= address - s.address < s.size)
        return min(next(ends) - address, self._file_size - offset)

    def _inside(self, offset: int) -> int:
        if offset >= self._file_size:
            raise AddressError(f"file offset {offset:#x} is beyond the end of the file")
        return offset

    def _described(self) -> str:
        shown = ", ".join(f"{start:#x}-{end:#x}" for start, end in self.ranges[:4])
        return f"code is at {shown}{', ...' if len(self._segments) > 4 else ''}" if shown else "the file has none"


def _sections(image: ElfImage) -> list[Section]:
    """The section headers, [] when they are damaged: what runs needs none."""
    try:
        return image.sections
    except ElfError:
        return []
