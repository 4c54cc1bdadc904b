"""Programs to be probed: whatever a file claims, names, offsets, USDT probes and debug information end soon, in
answers or in BinaryError, and take little memory."""

from __future__ import annotations

import os
import resource
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ebtop.resolve.binary import Binaries, Binary
from ebtop.resolve.binaryfile import BinaryError, BinaryFile
from ebtop.resolve.dwarf import Dwarf
from ebtop.resolve.dwarfsections import DwarfError
from ebtop.resolve.elflayout import ElfImage
from ebtop.resolve.functionname import base_of, clones_of, inner_names
from ebtop.resolve.usdtargument import parse_arguments
from tests import pace
from tests.hostile import examples
from tests.hostile.test_elf import LONG_WORDS, real
from tests.unit.unwindfiles import opened

PARTS = (
    "file header", "program headers", "section headers", ".note.stapsdt", ".symtab", ".strtab", ".dynsym",
    ".debug_info", ".debug_abbrev", ".debug_aranges", ".debug_str", ".debug_line", ".debug_loclists", ".debug_rnglists",
    ".debug_line_str", ".eh_frame_hdr",
)  # fmt: skip
MOST_KIB = 400 << 10
SOURCE = r"""
%s
struct inner { char tag; union { int whole; short half[2]; }; };
namespace shop { template <typename T> struct list { list *next; T value; unsigned flags : 3; inner in[4]; };
struct copied { int v; copied(int x) : v(x) {} copied(const copied &o) : v(o.v) {} ~copied() { v = 0; } };
typedef list<double> doubles;
__attribute__((noinline)) int look(const doubles *l, copied c, list<short> by_value, int (*back)(int)) {
  PROBE(look, l, c.v);
  return l->in[2].whole + c.v + by_value.value + back(1); } }
static int back(int x) { return x + 1; }
int main(int argc, char **argv) { shop::doubles l{}; PROBE(start, argc, argv);
  return shop::look(&l, shop::copied(argc), shop::list<short>{}, back); }
"""
WITH = "#include <sys/sdt.h>\n#define PROBE(name, a, b) DTRACE_PROBE2(shop, name, a, b)"
WITHOUT = "#define PROBE(name, a, b)"


@cache
def program() -> bytes:
    """A small program with symbols, USDT probes where there is a header for them, and debug information."""
    if not shutil.which("g++"):
        pytest.skip("needs g++")
    with tempfile.TemporaryDirectory() as folder:
        for head in (WITH, WITHOUT):
            (Path(folder) / "shop.cc").write_text(SOURCE.replace("%s", head))
            done = subprocess.run(
                ["g++", "-g", "-O1", "shop.cc", "-o", "shop"], cwd=folder, capture_output=True, check=False
            )
            if not done.returncode:
                return (Path(folder) / "shop").read_bytes()
    pytest.skip("g++ cannot build here")


@cache
def parts() -> dict[str, tuple[int, int]]:
    """Where the parts of the program lie that its readers believe."""
    with opened(program()) as fd:
        image = ElfImage(fd)
        found = {s.name: (s.offset, s.size) for s in image.sections if s.size and s.type != 8}
    kept = {name: found[name] for name in PARTS if name in found}
    table = struct.unpack_from("<Q", program(), 40)[0]
    return kept | {
        "file header": (0, 64),
        "program headers": (64, 56 * 8),
        "section headers": (table, len(program()) - table),
    }


def survives(data: bytes, addresses: tuple[int, ...]) -> None:
    """Answers or BinaryError come out, soon, and without much memory or open files."""
    before, files = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(os.listdir("/proc/self/fd"))
    with opened(data) as fd, pace.at_most(400), suppress(BinaryError), BinaryFile(os.dup(fd), "/hostile") as file:
        binary = Binary(file, Binaries(debug_root="/nonexistent"))
        for ask in (binary.offer, lambda: binary.usdt, lambda: binary.find("*l?ok*"), lambda: binary.find("look")):
            with clear():
                ask()
        with clear():
            for function in binary.find("*", limit=20).functions:
                with clear():
                    binary.entry(function)
        debug_information(binary, addresses)
    assert len(os.listdir("/proc/self/fd")) == files
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KIB


@contextmanager
def clear() -> Iterator[None]:
    """A BinaryError may come, one that says what is wrong: "damaged" alone stands for a bound that was forgotten."""
    try:
        yield
    except BinaryError as error:
        assert ": damaged: " not in str(error)


def debug_information(binary: Binary, addresses: tuple[int, ...]) -> None:
    """All that can be asked of debug information, of every function."""
    with suppress(DwarfError):
        dwarf = Dwarf(binary.image, seconds=0.3)
        for address in addresses:
            with suppress(DwarfError):
                for parameter in dwarf.function(address).parameters:
                    for member in dwarf.members(parameter.type)[:10]:
                        with suppress(DwarfError):
                            dwarf.access(parameter.type, f"{member.name}[1].whole")


@cache
def functions() -> tuple[int, ...]:
    """Where the functions of the program begin, and some other addresses."""
    with opened(program()) as fd, BinaryFile(os.dup(fd), "/shop") as file:
        binary = Binary(file, Binaries())
        found = [binary.find(name).functions[0].address for name in ("shop::look", "main", "back")]
        assert [p.name for p in binary.dwarf.function(found[0]).parameters] == ["l", "c", "by_value", "back"]
    return (*found, 0, (1 << 64) - 1)


@pytest.mark.parametrize("part", PARTS)
@examples(25)
@given(data=st.data())
def test_a_program_with_a_damaged_part(part: str, data: st.DataObject) -> None:
    if part not in parts():
        pytest.skip(f"the compiler makes no {part}")
    begin, size = parts()[part]
    whole = bytearray(program())
    for at in data.draw(st.lists(st.integers(begin, max(begin, begin + size - 8)), min_size=1, max_size=10)):
        width = data.draw(st.sampled_from([1, 2, 4, 8]))
        value = data.draw(st.one_of(st.sampled_from(LONG_WORDS), st.integers(0, (1 << 64) - 1))) % (1 << 8 * width)
        whole[at : at + width] = value.to_bytes(width, "little")
    survives(bytes(whole), functions())


@examples(60)
@given(data=st.data())
def test_a_program_that_is_cut_or_mixed(data: st.DataObject) -> None:
    whole = bytearray(program())
    names = sorted(parts())
    source, target = (parts()[data.draw(st.sampled_from(names))] for _ in range(2))
    size = min(source[1], target[1])
    whole[target[0] : target[0] + size] = whole[source[0] : source[0] + size]
    survives(bytes(whole[: data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))]), functions())


@examples(40)
@given(data=st.data())
def test_a_program_of_the_system_with_damage_anywhere(data: st.DataObject) -> None:
    whole = bytearray(real())
    for at in data.draw(st.lists(st.integers(0, len(whole) - 8), min_size=1, max_size=30)):
        whole[at : at + 4] = data.draw(st.sampled_from(LONG_WORDS)).to_bytes(8, "little")[:4]
    survives(bytes(whole), (0x1000,))


OPERANDS = (
    "-4@", "8@", "8f@", "%eax", "%rbp", "-16(%rbp)", "(%rax,%rbx,8)", "$", "17", "[sp, 16]", "[x1,x2,lsl 3]", "x31",
    "sym(%rip)", "+", "99999999999999999999", " ", "@", "(", ")", "\xa0", "%fs:",
)  # fmt: skip


@examples(400)
@given(words=st.one_of(st.text(max_size=300), st.lists(st.sampled_from(OPERANDS), max_size=300).map("".join)))
@example(words=" " * 4096)
@example(words="8@" + "+1" * 2000)
@example(words="1@0" * 1300)
def test_usdt_arguments(words: str) -> None:
    with pace.at_most(20):
        found = parse_arguments(words)
    assert len(found) <= 12
    assert all(-(1 << 63) <= operand.value < 1 << 64 for operand in found)


@examples(400)
@given(name=st.one_of(st.text(max_size=200), st.lists(st.sampled_from(
    ("a", "::", "<", ">", "(", ")", ".cold", ".part.0", " [clone .isra.0]", " ", "operator", "~", "*", "&", "/", ".")
), max_size=200).map("".join)))  # fmt: skip
@example(name=" [clone .cold]" * 300)
@example(name=".cold" * 800)
@example(name="(" * 4096)
@example(name="::" * 2048)
def test_names_in_parts(name: str) -> None:
    with pace.at_most(40):
        clones_of(name)
        for dotted in (False, True):
            inner = inner_names(base_of(name, dotted))
            assert all(name.find(part) >= 0 for part in inner)
