"""ELF files with unwind tables, made by hand."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from ebtop.resolve.cfi import UnwindTable

CODE = 0x401000
CIE = bytes([1]) + b"zR\0" + bytes([1, 0x78, 16, 1, 0x1B]) + bytes([0x0C, 7, 8, 0x90, 1])
"""Version 1, code by 1, data by -8, returning by column 16, addresses pcrel sdata4. CFA = rsp + 8, ra at c-8."""


def _entry(where: bytes, body: bytes) -> bytes:
    data = where + body + bytes(-(4 + len(where) + len(body)) % 8)
    return struct.pack("<I", len(data)) + data


def made(programs: list[bytes], cie: bytes = CIE, size: int = 0x100, machine: int = 62) -> bytes:
    """A file with a function of `size` bytes for each program, from CODE on, one after the other."""
    header_at, frames_at, count = 0x1000, 0x1000 + 12 + 8 * len(programs), len(programs)
    address = 0x400000
    frames, table = _entry(bytes(4), cie), b""
    for number, program in enumerate(programs):
        begin, here = CODE + size * number, len(frames)
        pointer = begin - (address + frames_at + here + 8)
        frames += _entry(struct.pack("<I", here + 4), struct.pack("<iI", pointer, size) + b"\0" + program)
        table += struct.pack("<ii", begin - address - header_at, frames_at + here - header_at)
    frames += bytes(4)
    header = bytes([1, 0x1B, 3, 0x3B]) + struct.pack("<iI", frames_at - header_at - 4, count)
    whole = header_at + len(header + table + frames)
    kinds = [(1, 4, 0, address, whole), (1, 5, 0x1000, CODE, len(programs) * size)]
    kinds += [(0x6474E550, 4, header_at, address + header_at, len(header + table))]
    segments = b"".join(struct.pack("<IIQQQQQQ", k, f, o, a, a, s, s, 4096) for k, f, o, a, s in kinds)
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, CODE, 64, 0, 0, 64, 56, 3, 0, 0, 0)
    )
    return (head + segments).ljust(header_at, b"\0") + header + table + frames


@contextmanager
def opened(data: bytes) -> Iterator[int]:
    """A descriptor of a file with that content."""
    fd = os.memfd_create("unwind", os.MFD_CLOEXEC)
    try:
        os.write(fd, data)
        yield fd
    finally:
        os.close(fd)


def table(*programs: bytes, cie: bytes = CIE) -> UnwindTable:
    """The tables of such a file."""
    with opened(made(list(programs), cie)) as fd:
        return UnwindTable(fd)
