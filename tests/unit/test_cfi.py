"""Unwind tables: made by hand, instruction by instruction, and libc's beside what readelf says of them."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess

import pytest

from ebtop.resolve.byteread import Bytes, BytesError
from ebtop.resolve.cfaexpression import ExpressionError, evaluate
from ebtop.resolve.cfaprogram import Kind, Row, Rule
from ebtop.resolve.cfi import CfiError, UnwindTable
from ebtop.resolve.mappings import read_mappings
from tests.unit.unwindfiles import CIE, CODE, made, opened, table

BACK = Rule(Kind.OFFSET, -8)


def row(found: UnwindTable, at: int) -> tuple[int, int, dict[int, Rule]]:
    line = found.row(CODE + at)
    assert line is not None
    return line.register, line.offset, line.rules


def test_rows_of_a_function_that_pushes():
    found = table(bytes([0x41, 0x0E, 16, 0x86, 2, 0x43, 0x0D, 6, 0x02, 0x20, 0x0C, 7, 8]))
    assert row(found, 0) == (7, 8, {16: BACK})
    assert row(found, 1) == row(found, 3) == (7, 16, {16: BACK, 6: Rule(Kind.OFFSET, -16)})
    assert row(found, 4) == row(found, 0x23) == (6, 16, {16: BACK, 6: Rule(Kind.OFFSET, -16)})
    assert row(found, 0x24)[:2] == row(found, 0xFF)[:2] == (7, 8)
    assert found.row(CODE + 0x100) is None
    assert found.row(CODE - 1) is None


def test_each_of_many_functions_has_its_own():
    found = table(*(bytes([0x0E, 8 * n]) for n in range(1, 16)))
    assert [row(found, 0x100 * n + 7)[1] for n in range(15)] == [8 * n for n in range(1, 16)]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (bytes([0x0E, 24, 0x0A, 0x0E, 32, 0x83, 3, 0x0B]), (7, 24, {16: BACK})),
        (bytes([0x83, 3, 0xC3]), (7, 8, {16: BACK})),
        (bytes([0x90, 5, 0xD0]), (7, 8, {16: BACK})),
        (bytes([0x90, 5, 0x06, 16]), (7, 8, {16: BACK})),
        (bytes([0x05, 6, 2, 0x07, 16]), (7, 8, {16: Rule(Kind.UNDEFINED), 6: Rule(Kind.OFFSET, -16)})),
        (bytes([0x11, 6, 0x7E, 0x08, 3]), (7, 8, {16: BACK, 6: Rule(Kind.OFFSET, 16), 3: Rule(Kind.SAME)})),
        (bytes([0x12, 6, 0x7E]), (6, 16, {16: BACK})),
        (bytes([0x13, 0x7D]), (7, 24, {16: BACK})),
        (bytes([0x14, 6, 2, 0x15, 3, 1]),
         (7, 8, {16: BACK, 6: Rule(Kind.VALUE_OFFSET, -16), 3: Rule(Kind.VALUE_OFFSET, -8)})),
        (bytes([0x09, 6, 3]), (7, 8, {16: BACK, 6: Rule(Kind.REGISTER, 3)})),
        (bytes([0x10, 6, 2, 0x77, 0]), (7, 8, {16: BACK, 6: Rule(Kind.EXPRESSION, 0, b"\x77\0")})),
        (bytes([0x16, 6, 2, 0x77, 0]), (7, 8, {16: BACK, 6: Rule(Kind.VALUE_EXPRESSION, 0, b"\x77\0")})),
        (bytes([0x2E, 8, 0, 0x2F, 6, 2]), (7, 8, {16: BACK, 6: Rule(Kind.OFFSET, 16)})),
        (bytes([0x03, 0, 1, 0x0E, 99]), (7, 8, {16: BACK})),
        (bytes([0x04, 0, 1, 0, 0, 0x0E, 99]), (7, 8, {16: BACK})),
    ],
)  # fmt: skip
def test_each_instruction(program: bytes, expected: tuple[int, int, dict[int, Rule]]):
    assert row(table(program), 0x80) == expected


def test_a_cfa_that_is_an_expression():
    found = table(bytes([0x0F, 3, 0x77, 8, 0x06])).row(CODE)
    assert found == Row(-1, 0, b"\x77\x08\x06", {16: BACK}, 16, False)


def test_the_frame_of_a_signal():
    cie = CIE.replace(b"zR\0", b"zRS\0")
    found = table(b"", cie=cie).row(CODE)
    assert found is not None
    assert found.signal


def test_a_cie_with_a_personality():
    cie = bytes([1]) + b"zPLR\0" + bytes([1, 0x78, 16, 7, 0x9B, 1, 2, 3, 4, 0x1B, 0x1B, 0x0C, 7, 8, 0x90, 1])
    with opened(made([b"\0\0\0\0\x0e\x20"], cie)) as fd:
        assert row(UnwindTable(fd), 1) == (7, 32, {16: BACK})


@pytest.mark.parametrize(
    "program",
        [b"\x0b", b"\x0a" * 65, b"\x3f", b"\x0f\x50\x77", b"\x05\xff\xff\x03\x01", b"\x0e" + b"\xff" * 11],
)  # fmt: skip
def test_programs_that_are_damaged(program: bytes):
    with pytest.raises(CfiError):
        table(program).row(CODE + 0x80)


@pytest.mark.parametrize("cie", [CIE.replace(b"zR", b"xR"), CIE.replace(b"zR", b"zQ"), b"\x09" + CIE[1:], CIE[:6]])
def test_cies_that_are_damaged(cie: bytes):
    with pytest.raises(CfiError):
        table(b"", cie=cie).row(CODE)


def test_files_without_tables():
    whole = made([b""])
    other = whole.replace(struct.pack("<II", 0x6474E550, 4), struct.pack("<II", 0x6474E551, 4))
    for data in (other, b"", whole[:100], made([b""], machine=40), bytes(100)):
        with opened(data) as fd, pytest.raises(CfiError):
            UnwindTable(fd)


def test_offsets_are_those_of_code():
    found = table(b"", b"")
    assert found.code == (CODE, CODE + 0x200)
    assert (found.address_of(0x1010), found.offset_of(CODE + 0x10)) == (CODE + 0x10, 0x1010)
    assert (found.address_of(0xFFF), found.offset_of(CODE + 0x200)) == (None, None)


def word(address: int) -> int | None:
    return address + 1 if address < 1000 else None


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (b"\x77\x08", 108),
        (b"\x77\x78", 92),
        (b"\x77\x08\x06", 109),
        (b"\x92\x07\x08\x23\x80\x01", 236),
        (b"\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x22", 116),  # an entry of the PLT, as linkers write it
        (b"\x35\x37\x1c", (1 << 64) - 2),
        (b"\x09\xff\x31\x2d", 1),
        (b"\x0a\x00\x01\x12\x1e", 65536),
        (b"\x76\x00", None),
        (b"\x0b\xff\x7f\x06", None),
    ],
)
def test_expressions(expression: bytes, expected: int | None):
    assert evaluate(expression, {7: 100, 16: 0x12345F}.get, word) == expected


@pytest.mark.parametrize("expression", [b"", b"\x06", b"\x22", b"\x31\x22", b"\x96", b"\x28\x00\x00", b"\x30" * 70])
def test_expressions_that_are_none(expression: bytes):
    with pytest.raises(ExpressionError):
        evaluate(expression, {}.get, word)


def test_numbers_of_any_length():
    assert Bytes(b"\xe5\x8e\x26").uleb() == 624485
    assert Bytes(b"\xc0\xbb\x78").sleb() == -123456
    for data in (b"", b"\x80", b"\x80" * 11):
        with pytest.raises(BytesError):
            Bytes(data).uleb()


# What readelf (binutils) says, of libc.

LIBC = next((m.path for m in read_mappings(os.getpid()) if re.search(r"/libc[.-]", m.path)), "")
COLUMNS = {"rbx": 3, "rbp": 6, "r12": 12, "r13": 13, "r14": 14, "r15": 15, "ra": 16}
NAMED = {"rax": 0, "rdx": 1, "rcx": 2, "rbx": 3, "rsi": 4, "rdi": 5, "rbp": 6, "rsp": 7, "r10": 10, "r11": 11}


def said_by_readelf() -> list[tuple[int, int, list[tuple[int, dict[str, str]]]]]:
    """Each function's beginning, end, and rows: the address and what is in the columns."""
    command = ["readelf", "--debug-dump=frames-interp", LIBC]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = []
    for part in re.split(r"\n\n", text):
        head = re.search(r"FDE cie=\w+ pc=(\w+)\.\.(\w+)", part)
        columns: list[str] = []
        rows = []
        for line in part.splitlines():
            if line.lstrip().startswith("LOC"):
                columns = line.split()
            elif columns and re.match(r"[0-9a-f]{16} ", line):
                fields = dict(zip(columns, re.sub(r" \(\w+\)", "", line).split(), strict=True))
                rows.append((int(fields["LOC"], 16), fields))
        if head and rows:
            found.append((int(head[1], 16), int(head[2], 16), rows))
    return found


def agrees(ours: Row, theirs: dict[str, str]) -> bool:
    """Is it the same?"""
    if theirs["CFA"] in {"exp", "vexp"}:
        return bool(ours.expression)
    register, offset = re.fullmatch(r"(\w+)([+-]\d+)", theirs["CFA"]).groups()  # type: ignore[union-attr]
    same = (ours.register, ours.offset) == (NAMED.get(register), int(offset))
    for name, number in COLUMNS.items():
        rule, text = ours.rules.get(number), theirs.get(name, "u")
        if text == "u":
            same &= rule is None or rule.kind is Kind.UNDEFINED
        elif text == "s":
            same &= rule is None or rule.kind is Kind.SAME
        elif text in {"exp", "vexp"}:
            same &= rule is not None and bool(rule.expression)
        elif text.startswith("r"):
            same &= rule == Rule(Kind.REGISTER, int(text[1:]))
        else:
            same &= rule == Rule(Kind.OFFSET, int(text[1:]))
    return same


@pytest.mark.skipif(not shutil.which("readelf") or not LIBC, reason="needs readelf, and a libc that is a file")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="registers are called by the names of x86-64")
def test_every_row_of_libc_is_what_readelf_says():
    fd = os.open(LIBC, os.O_RDONLY)
    try:
        found = UnwindTable(fd)
    finally:
        os.close(fd)
    functions = said_by_readelf()
    compared = 0
    for begin, end, rows in functions:
        last = dict(rows)  # of two rows at one address the second holds
        starts = sorted(last)
        for start, until in zip(starts, [*starts[1:], end], strict=True):
            for address in {start, until - 1}:
                ours = found.row(address)
                assert ours is not None, (hex(begin), hex(address))
                assert agrees(ours, last[start]), (hex(address), ours, last[start])
                compared += 1
    assert len(functions) > 1000
    assert compared > 10000
