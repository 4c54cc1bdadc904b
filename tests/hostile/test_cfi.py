"""Unwind tables: whatever a file claims, a row costs little, and is one or none or CfiError."""

from __future__ import annotations

import struct
from contextlib import suppress
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from ebtop.resolve.cfaprogram import Row
from ebtop.resolve.cfi import CfiError, UnwindTable
from ebtop.resolve.unwind import ARM64, X86_64, Copy, Registers, unwind
from tests import pace
from tests.hostile import examples
from tests.hostile.test_elf import LONG_WORDS, real
from tests.unit.unwindfiles import CIE, CODE, made, opened

PLACES = (0, 1, 0x1000, CODE, CODE + 0x80, CODE + 0x101, 1 << 31, 1 << 63, (1 << 64) - 1)


def survives(data: bytes, places: tuple[int, ...] = PLACES) -> None:
    """Rows or nothing come out, soon, and stacks are unwound by them."""
    with opened(data) as fd, pace.at_most(200), suppress(CfiError):
        table = UnwindTable(fd)
        table.code, table.address_of(0x1000), table.offset_of(CODE)
        for place in places:
            with suppress(CfiError):
                table.row(place)
        words = Copy(CODE, struct.pack("<Q", CODE + 0x85) * 512)

        @cache  # as capture remembers them
        def row(address: int) -> Row | None:
            try:
                return table.row(address)
            except CfiError:
                return None

        for arch in (X86_64, ARM64):
            assert len(unwind(arch, Registers(CODE + 5, CODE, CODE + 16, CODE + 0x85), words, row).frames) <= 256


@cache
def header_of_real() -> tuple[int, tuple[int, ...]]:
    """Where the unwind tables of a real program begin in its file, and addresses that it has rows for."""
    data = real()
    with opened(data) as fd:
        table = UnwindTable(fd)
    start, end = table.code
    count = struct.unpack_from("<H", data, 56)[0]
    segments = (
        struct.unpack_from("<IIQQQQ", data, struct.unpack_from("<Q", data, 32)[0] + 56 * n) for n in range(count)
    )
    return next(s[2] for s in segments if s[0] == 0x6474E550), tuple(range(start, end, (end - start) // 40))


@examples(200)
@given(data=st.data())
def test_a_real_program_with_damaged_tables(data: st.DataObject) -> None:
    whole = bytearray(real())
    begin, places = header_of_real()
    for at in data.draw(st.lists(st.integers(begin, min(begin + 6000, len(whole) - 8)), min_size=1, max_size=12)):
        width = data.draw(st.sampled_from([1, 2, 4, 8]))
        value = data.draw(st.one_of(st.sampled_from(LONG_WORDS), st.integers(0, (1 << 64) - 1))) % (1 << 8 * width)
        whole[at : at + width] = value.to_bytes(width, "little")
    survives(bytes(whole[: data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))]), places)


PIECES = (
    b"\x0a", b"\x0b", b"\x41", b"\x0f\x03\x77\x08\x06", b"\x86\x02", b"\x0c\x06\x10", b"\x10\x10\x02\x77\x00",
    b"\x0e\xff\xff\xff\xff\x0f",
)  # fmt: skip


@examples(400)
@given(
    program=st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=80).map(b"".join)),
    cie=st.one_of(st.just(CIE), st.binary(max_size=30), st.binary(max_size=10).map(lambda junk: CIE + junk)),
    machine=st.sampled_from([62, 183]),
)  # fmt: skip
def test_programs_of_junk(program: bytes, cie: bytes, machine: int) -> None:
    survives(made([program, b""], cie, machine=machine))


def test_a_program_as_long_as_one_may_be() -> None:
    for piece in (b"\x0a\x0b", b"\x86\x02", b"\x41", b"\0", b"\x10\x10\x3f" + b"\x30" * 63):
        survives(made([piece * (30_000 // len(piece))], size=1 << 30))
