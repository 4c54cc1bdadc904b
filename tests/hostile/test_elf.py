"""ELF files, and names in them: whatever a file claims, it costs little and ends in names or in ElfError."""

from __future__ import annotations

import os
import resource
import struct
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ebtop.resolve.debugfile import _unpack, separate_debug_file
from ebtop.resolve.demangle import demangle
from ebtop.resolve.elf import ElfError, ElfSymbols, read_build_id
from ebtop.resolve.elflayout import ElfImage
from ebtop.sanitise import sanitise
from ebtop.tick import Frame
from ebtop.ui.functionnames import name_of, shortened
from tests import pace
from tests.hostile import examples
from tests.hostile.emulator import acting
from tests.hostile.words import text

WORDS = (0, 1, 2, 3, 4, 7, 8, 11, 24, 64, 0x7F, 0xFF, 0xFFFF, 1 << 16, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
LONG_WORDS = (*WORDS, 1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 24, (1 << 64) - 1)
MOST_KIB = 300 << 10


@cache
def real() -> bytes:
    """A program of the system's own, of a size that is quickly copied."""
    folder = Path("/usr/bin")
    sizes = sorted((p.stat().st_size, p) for p in folder.iterdir() if p.is_file() and not p.is_symlink())
    return next(data for size, p in sizes if size > 30_000 and (data := p.read_bytes())[:5] == b"\x7fELF\x02")


def made(symbols: list[tuple[int, int, int, int]], names: bytes, **odd: int) -> bytes:
    """A program of 64 bits with the given symbols (name, address, size, info); `odd` overrides section header words:
    `symtab_link`, `strtab_size` and the like."""
    table = b"".join(struct.pack("<IBBHQQ", name, info, 0, 1, at, size) for name, at, size, info in symbols)
    note = struct.pack("<III", 4, 20, 3) + b"GNU\0" + b"b" * 20
    text_, parts = bytes(64), [bytes(64), note, names, table]
    shnames = b"\0.text\0.note\0.strtab\0.symtab\0.shstrtab\0"
    parts.append(shnames)
    at, offsets = 64 + 2 * 56, []
    for part in parts:
        offsets.append(at)
        at += len(part) + -len(part) % 8
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, at, at, 4096)
    noted = struct.pack("<IIQQQQQQ", 4, 4, offsets[1], 0, 0, len(note), len(note), 4)
    fields = {"text": (1, 1, 6, 0x400000, offsets[0], len(text_), 0, 0), "note": (7, 7, 2, 0, offsets[1], len(note), 0,
    0),
              "strtab": (13, 3, 0, 0, offsets[2], len(names), 0, 0),
              "symtab": (21, 2, 0, 0, offsets[3], len(table), 3, 24), "shstrtab": (29, 3, 0, 0, offsets[4],
              len(shnames), 0, 0)}  # fmt: skip
    keys = ("name", "type", "flags", "address", "offset", "size", "link", "entry_size")
    headers = bytes(64)
    for section, values in fields.items():
        v = dict(zip(keys, values, strict=True)) | {
            k.partition("_")[2]: n for k, n in odd.items() if k.startswith(section)
        }
        headers += struct.pack("<IIQQQQIIQQ", v["name"], v["type"], v["flags"], v["address"], v["offset"], v["size"],
                               v["link"], 0, 1, v["entry_size"])  # fmt: skip
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x400000, 64, at, 0, 64, 56, 2, 64, 6, 5)
    body = b"".join(part + bytes(-len(part) % 8) for part in parts)
    return head + segment + noted + body + headers


def survives(data: bytes, size: int | None = None) -> ElfSymbols | None:
    """Only ElfError comes out, soon, without much memory, and no descriptor stays open."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened = len(os.listdir("/proc/self/fd"))
    fd = os.memfd_create("hostile", os.MFD_CLOEXEC)
    try:
        os.write(fd, data)
        os.ftruncate(fd, len(data) if size is None else size)
        with pace.at_most(400):
            symbols = asked(fd)
    finally:
        os.close(fd)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KIB
    if symbols is None:
        assert len(os.listdir("/proc/self/fd")) == opened
    return symbols


def asked(fd: int) -> ElfSymbols | None:
    """What is loaded from a file, after some questions."""
    with suppress(ElfError):
        read_build_id(fd)
    try:
        symbols = ElfSymbols.load(fd, path="/nowhere/x")
    except ElfError as error:
        assert not str(error).startswith("damaged"), error  # a bound that was forgotten
        return None
    for address in (0, 1, 0x400000, 0x400010, 1 << 63, (1 << 64) - 1):
        symbols.lookup(address)
        symbols.lookup_offset(address)
    return symbols


def test_what_is_made_here_is_read() -> None:
    found = survives(made([(0, 0, 0, 0), (1, 0x400000, 16, 0x12), (6, 0x400010, 16, 0x12)], b"\0main\0step\0"))
    assert found
    assert (found.lookup(0x400001), found.lookup(0x40001F)) == ("main", "step")
    assert survives(real()) is not None


@examples(150)
@given(data=st.data())
def test_a_real_program_with_damage_where_it_hurts(data: st.DataObject) -> None:
    """Headers are where the numbers are: words there become the ones that overflow, wrap or point at themselves."""
    whole = bytearray(real())
    sections = struct.unpack_from("<Q", whole, 40)[0]
    places = st.one_of(st.integers(0, 800), st.integers(sections, len(whole) - 1), st.integers(0, len(whole) - 1))
    for at in data.draw(st.lists(places, min_size=1, max_size=6)):
        width = data.draw(st.sampled_from([1, 2, 4, 8]))
        value = data.draw(st.one_of(st.sampled_from(LONG_WORDS), st.integers(0, (1 << 64) - 1))) % (1 << 8 * width)
        whole[at : at + width] = value.to_bytes(width, "little")
    survives(bytes(whole[: data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))]))


@examples(200)
@given(
    symbols=st.lists(st.tuples(*(st.sampled_from(LONG_WORDS) for _ in range(3)), st.integers(0, 255)), max_size=30),
    names=st.binary(max_size=60),
    odd=st.dictionaries(
        st.tuples(
            st.sampled_from(["text", "note", "strtab", "symtab", "shstrtab"]),
            st.sampled_from(["type", "flags", "address", "offset", "size", "link", "entry_size"]),
        ).map("_".join),
        st.sampled_from(LONG_WORDS),
        max_size=3,
    ),
    sparse=st.sampled_from([None, 1 << 20, 1 << 44]),
)  # fmt: skip
def test_tables_that_lie(symbols: list[tuple[int, ...]], names: bytes, odd: dict[str, int], sparse: int | None) -> None:
    table = [(name % (1 << 32), at % (1 << 64), size % (1 << 64), info) for name, at, size, info in symbols]
    words = {k: v % (1 << 32) if k.endswith(("type", "link")) else v for k, v in odd.items()}
    survives(made(table, names, **words), sparse)


@pytest.mark.parametrize(
    "odd",
    [{"symtab_link": 4}, {"symtab_link": 0}, {"symtab_link": 5}, {"strtab_type": 2, "strtab_link": 4},
    {"symtab_entry_size": 0},
     {"symtab_entry_size": 1}, {"strtab_offset": 0}, {"symtab_offset": 0}, {"strtab_type": 8}, {"note_size": 1 << 40},
     {"shstrtab_size": 1 << 31}, {"symtab_size": 4 << 30}, {"strtab_size": 3 << 30}, {"text_size": (1 << 64) - 1}],
    ids=str,
)  # fmt: skip
def test_links_that_go_round_and_tables_that_overlap(odd: dict[str, int]) -> None:
    symbols = [(1, 0x400000 + n, 1 << 40, 0x12) for n in range(50)]
    survives(made(symbols, b"\0" + b"n" * 50, **odd))
    survives(made(symbols, b"\0" + b"n" * 50, **odd), 8 << 30)


@pytest.mark.parametrize("note", [b"\xff" * 12, struct.pack("<III", 0, 0, 0) * 5000, struct.pack("<III", 4, 1 << 31,
3) + b"GNU\0",
                                  struct.pack("<III", 4, 65, 3) + b"GNU\0" + b"x" * 65, b"\0" * 60_000])  # fmt: skip
def test_notes(note: bytes) -> None:
    whole = bytearray(made([], note))
    offset = struct.unpack_from("<Q", whole, 64 + 56 + 8)[0] + 40  # where the string table, here the note, begins
    struct.pack_into("<Q", whole, 64 + 56 + 8, offset)
    struct.pack_into("<QQ", whole, 64 + 56 + 32, len(note), len(note))
    survives(bytes(whole))


def test_very_many_symbols_of_one_name() -> None:
    count = 200_000
    table = [(1, 0x400000, (1 << 64) - 1, 0x12)] * 10 + [(1, 0x400000 + n, 1 << 50, 0x12) for n in range(count)]
    found = survives(made(table, b"\0" + b"x" * 100_000))
    assert found
    with pace.at_most(200):
        for n in range(0, count, 2000):
            assert len(found.lookup(0x400000 + n) or "") <= 16384


@examples(100)
@given(junk=st.binary(max_size=200), packed=st.booleans())
def test_compressed_junk(junk: bytes, packed: bool) -> None:
    import lzma

    data = lzma.compress(junk) if packed else b"\xfd7zXZ\0" + junk
    with suppress(ElfError):
        assert _unpack(data) == junk


def test_a_debug_link_leads_nowhere_but_beside(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (str(tmp_path / "fifo"), "/dev/zero", "relative", "/a\0b", "/" + "x" * 5000):
        fd = os.memfd_create("x")
        os.write(fd, made([], b"\0"))
        with separate_debug_file(ElfImage(fd), b"b" * 20, path, str(tmp_path)) as found:
            assert found is None
        os.close(fd)


def mangled() -> st.SearchStrategy[str]:
    """What looks like a mangled name, and expands."""
    pieces = st.sampled_from(["_Z", "_R", "N", "E", "S_", "S0_", "St", "T_", "Dp", "sp", "I", "J", "K", "B_", "Bs_",
    "4aaaa", "99a",
                              "17h0123456789abcdefE", "F", "v", "i", "PF", "X", "L", "1a", "u7punycod", "$u{1b}$",
                              "$LT$", "..",
                              ".llvm.1", "@@V1", "C", "M", "R", "\udcff", "\x1b", "0", "9999999999"])  # fmt: skip
    return st.tuples(
        st.sampled_from(["_Z", "_ZN", "_R", "_RNv", "__Z", ""]), st.lists(pieces, max_size=200).map("".join)
    ).map("".join)


@examples(400)
@given(name=st.one_of(mangled(), text()))
@example(name="_Z" + "St" * 1000)
@example(name="_RNvC" + "B_" * 1000)
@example(name="_ZN3foo7$ud800$17h0123456789abcdefE")
def test_names_of_functions(name: str) -> None:
    with pace.at_most(100):
        shown = demangle(name)
        assert len(shown) <= 4096
        assert demangle(name, short=True) is not None
        assert not acting(sanitise(shown))
        frame = Frame(shown, "/lib/" + name, False)
        for width in (0, 1, 6, 7, 40, 5000):
            shortened(name_of(frame), width)


@pytest.mark.parametrize(
    "name", ["f" + "<" * 2000 + ">" * 2000, "<" * 4000, "(" * 4000, "a::" * 1300, "operator()(" * 300]
)
def test_nested_names_are_shortened_at_once(name: str) -> None:
    with pace.at_most(200):
        for width in range(7, 107):
            shortened(name, width)
