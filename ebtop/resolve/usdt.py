"""The USDT probes that a file has: where they are, their semaphores, and where their arguments are.

Layout: sys/sdt.h of SystemTap, and its wiki page "UserSpaceProbeImplementation".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ebtop.resolve.codesegments import AddressError, CodeSegments
from ebtop.resolve.elflayout import PT_LOAD, ElfError, ElfImage, Section
from ebtop.resolve.usdtargument import Operand, parse_arguments
from ebtop.tool import text

_NT_STAPSDT: Final = 3
_OWNER = b"stapsdt\0"
_MOST_NOTES = 16 << 20
_MOST_PLACES = 100_000
_LONGEST = 4096
_WRITABLE = 2


class UsdtPlace(NamedTuple):
    """One place of a probe in the code. Offsets are those of the file, 0 for `semaphore_offset` without a semaphore."""

    address: int
    offset: int
    semaphore: int
    semaphore_offset: int
    arguments: tuple[Operand, ...]


class UsdtProbe(NamedTuple):
    """A probe by provider and name. Inlining and templates give it several places, each with arguments of its own."""

    provider: str
    name: str
    places: tuple[UsdtPlace, ...]

    @property
    def has_semaphore(self) -> bool:
        """Whether the program asks before it prepares the arguments: a tracer has to count itself in."""
        return any(place.semaphore for place in self.places)


class _Note(NamedTuple):
    address: int
    base: int
    semaphore: int
    provider: bytes
    name: bytes
    arguments: bytes


def read_usdt(image: ElfImage) -> list[UsdtProbe]:
    """The probes of a file, in the order of their names; [] when it has none. Raises ElfError.

    A place in no code, or a semaphore in no data, is left out: nothing can be attached there.
    """
    section = image.section(".note.stapsdt")
    if section is None:
        return []
    code = CodeSegments(image)
    base = image.section(".stapsdt.base")
    found: dict[tuple[str, str], list[UsdtPlace]] = {}
    for note in _notes(image, section):
        moved = base.address - note.base if base is not None and note.base else 0  # by prelink
        try:
            place = _place(image, code, note, moved)
        except AddressError:
            continue
        found.setdefault((text(note.provider), text(note.name)), []).append(place)
    return [UsdtProbe(*names, tuple(places)) for names, places in sorted(found.items())]


def _place(image: ElfImage, code: CodeSegments, note: _Note, moved: int) -> UsdtPlace:
    address = (note.address + moved) & (1 << 64) - 1
    semaphore = (note.semaphore + moved) & (1 << 64) - 1 if note.semaphore else 0
    counted = _data_offset(image, semaphore) if semaphore else 0
    return UsdtPlace(address, code.offset_of(address), semaphore, counted, parse_arguments(text(note.arguments)))


def _data_offset(image: ElfImage, address: int) -> int:
    """The file offset of an address in data that can be written to. Raises AddressError."""
    for segment in image.segments[image.segments["type"] == PT_LOAD]:
        inside = address - int(segment["vaddr"])
        if 0 <= inside < int(segment["filesz"]) and int(segment["flags"]) & _WRITABLE:
            return inside + int(segment["offset"])
    raise AddressError(f"semaphore {address:#x} is in no writable segment")


def _notes(image: ElfImage, section: Section) -> Iterator[_Note]:
    data, position = image.read(section.offset, section.size, _MOST_NOTES), 0
    for _ in range(_MOST_PLACES):
        if position + 12 > len(data):
            return
        name_size, value_size, kind = struct.unpack_from(f"{image.order}III", data, position)
        value = position + 12 + (name_size + 3) // 4 * 4
        if value + value_size > len(data):
            raise ElfError(".note.stapsdt is cut")
        if kind == _NT_STAPSDT and data[position + 12 : position + 12 + name_size] == _OWNER:
            yield _note(image, data[value : value + value_size])
        position = value + (value_size + 3) // 4 * 4


def _note(image: ElfImage, value: bytes) -> _Note:
    layout = f"{image.order}{'QQQ' if image.wide else 'III'}"
    size = struct.calcsize(layout)
    words = value[size:].split(b"\0", 3)
    if len(value) < size or len(words) < 3:
        raise ElfError(".note.stapsdt has a note that is cut")
    address, base, semaphore = struct.unpack_from(layout, value)
    provider, name, arguments = (word[:_LONGEST] for word in words[:3])
    return _Note(address, base, semaphore, provider, name, arguments)
