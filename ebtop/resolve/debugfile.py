"""Where the symbols of a stripped file went: separate debug files and the compressed table inside the file.

How they are found: GDB manual, "Debugging Information in Separate Files" and "MiniDebugInfo".
"""

from __future__ import annotations

import lzma
import os
import posixpath
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from ebtop.resolve.elflayout import ElfError, ElfImage
from ebtop.resolve.regularfile import open_regular

DEBUG_ROOT = "/usr/lib/debug"

_MAX_PACKED = 8 << 20
_MAX_UNPACKED = 64 << 20
_MAX_UNPACKER_MEMORY = 96 << 20
_MAX_CHECKED = 512 << 20


@contextmanager
def separate_debug_file(
    image: ElfImage, build_id: bytes, path: str, root: str = DEBUG_ROOT
) -> Iterator[tuple[ElfImage, int] | None]:
    """The debug file that belongs to `image`, open, with its descriptor; None when there is none.

    `path` is where the image was found, "" when that is unknown; `root` are folders, separated by colons. What does
    not match by build id, or by checksum where there is no build id, is not taken.
    """
    link, checksum = _debug_link(image)
    for candidate in (place for folder in root.split(":") for place in _candidates(build_id, link, path, folder)):
        try:
            fd = open_regular(candidate)
        except (OSError, ValueError):
            continue
        try:
            if _belongs(fd, build_id, checksum if link else None):
                yield ElfImage(fd), fd
                return
        except ElfError:
            continue
        finally:
            os.close(fd)
    yield None


def _debug_link(image: ElfImage) -> tuple[str, int]:
    section = image.section(".gnu_debuglink")
    if section is None or not 8 <= section.size <= 4096:
        return "", 0
    data = image.read(section.offset, section.size)
    name = os.fsdecode(data.partition(b"\0")[0])
    if not name or "/" in name or name in {".", ".."}:
        return "", 0
    return name, int.from_bytes(data[-4:], "little" if image.order == "<" else "big")


def _candidates(build_id: bytes, link: str, path: str, root: str) -> Iterator[str]:
    if len(build_id) > 1:
        digits = build_id.hex()
        yield f"{root}/.build-id/{digits[:2]}/{digits[2:]}.debug"
    folder = posixpath.dirname(posixpath.normpath(path)) if path.startswith("/") else ""
    if link and folder:
        yield f"{folder}/{link}"
        yield f"{folder}/.debug/{link}"
        yield f"{root}{folder}/{link}"


def _belongs(fd: int, build_id: bytes, checksum: int | None) -> bool:
    if build_id:
        return ElfImage(fd).section_build_id() == build_id
    return checksum is not None and _crc32(fd) == checksum


def _crc32(fd: int) -> int:
    total, position = 0, 0
    while position < _MAX_CHECKED:
        try:
            data = os.pread(fd, 1 << 20, position)
        except OSError as error:
            raise ElfError(f"unreadable: {error.strerror}") from error
        if not data:
            return total
        total = zlib.crc32(data, total)
        position += len(data)
    return -1


@contextmanager
def embedded_debug_data(image: ElfImage) -> Iterator[tuple[ElfImage, int] | None]:
    """The ELF file inside .gnu_debugdata, unpacked into memory, with its descriptor; None when there is none."""
    section = image.section(".gnu_debugdata")
    data = _unpack(image.read(section.offset, section.size, _MAX_PACKED)) if section is not None else b""
    if not data:
        yield None
        return
    fd = os.memfd_create("debugdata", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        yield ElfImage(fd), fd
    finally:
        os.close(fd)


def _unpack(packed: bytes) -> bytes:
    unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MAX_UNPACKER_MEMORY)
    try:
        data = unpacker.decompress(packed, max_length=_MAX_UNPACKED)
    except lzma.LZMAError as error:
        raise ElfError(f".gnu_debugdata: {error}") from error
    if not unpacker.eof:
        raise ElfError(".gnu_debugdata is truncated or too large")
    return data
