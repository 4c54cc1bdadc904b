"""ELF files made by the compiler at hand, with nm, objdump and addr2line as the second opinion."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ebtop.resolve.elf import ElfError, ElfSymbols, read_build_id
from ebtop.resolve.regularfile import open_regular
from tests import pace

pytestmark = pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("nm"), reason="needs gcc and binutils")

SOURCE = r"""
#include <stdio.h>
__attribute__((noinline)) static int hidden_step(int x) { return x * 3 + 1; }
__attribute__((noinline)) int visible_step(int x) { return hidden_step(x) + 2; }
int other_name(int) __attribute__((alias("visible_step")));
int __alias_of_visible(int) __attribute__((alias("visible_step")));
int a_weak_name(int) __attribute__((weak, alias("visible_step")));
__asm__(".text\n.balign 64\n.globl sizeless\n.type sizeless,@function\nsizeless:\nnop\nnop\nret\n"
        ".balign 64\n.globl bare_label\nbare_label:\nnop\nret\n"
        ".balign 64\n.globl after_gap\n.type after_gap,@function\nafter_gap:\nret\n.size after_gap, .-after_gap\n"
        ".fill 200,1,0x90\n");
int main(int argc, char **argv) { printf("%d\n", visible_step(argc)); return 0; }
"""

VARIANTS = {
    "pie": ["-pie", "-fPIE"],
    "debug info": ["-pie", "-fPIE", "-g"],
    "not pie": ["-no-pie"],
    "static": ["-static"],
    "static pie": ["-static-pie"],
    "moved text": ["-no-pie", "-Wl,-Ttext=0x5000000"],
    "no separate code": ["-pie", "-fPIE", "-Wl,-z,noseparate-code"],
    "gold": ["-pie", "-fPIE", "-fuse-ld=gold"],
    "optimised": ["-O2", "-ffunction-sections"],
    "no build id": ["-Wl,--build-id=none"],
}


def build(folder: Path, name: str, *flags: str, source: str = SOURCE) -> str:
    """The path of a program; skips where this toolchain lacks something."""
    code, program = folder / f"{name}.c", folder / name
    code.write_text(source)
    done = subprocess.run(["gcc", "-w", str(code), "-o", str(program), *flags], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"gcc cannot do {' '.join(flags)}: {done.stderr[-200:]}")
    return str(program)


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module", params=list(VARIANTS))
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(tmp_path_factory.mktemp("elf"), "program", *VARIANTS[request.param])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(tmp_path_factory.mktemp("plain"), "plain", "-g")


def nm_functions(path: str, *flags: str) -> list[tuple[int, int, str]]:
    """(address, size, name) of the functions that nm lists with a size."""
    found = re.findall(r"^([0-9a-f]+) ([0-9a-f]+) [TtWwi] (\S+)$", output("nm", "-S", *flags, path), re.MULTILINE)
    return [(int(address, 16), int(size, 16), name.partition("@")[0]) for address, size, name in found]


def test_names_are_those_of_nm(program: str) -> None:
    symbols = ElfSymbols.load(program)
    functions = nm_functions(program)
    assert len(functions) > 3
    names_at: dict[int, set[str]] = {}
    for address, _, name in functions:
        names_at.setdefault(address, set()).add(name)
    for address, size, _ in functions:
        assert symbols.lookup(address) in names_at[address]
        covering = {n for a, s, n in functions if a <= address + size - 1 < a + s}
        assert symbols.lookup(address + size - 1) in covering


def test_file_offsets_are_those_of_objdump(program: str) -> None:
    symbols = ElfSymbols.load(program)
    listing = output("objdump", "-d", "-F", "-j", ".text", program)
    found = re.findall(r"^([0-9a-f]+) <(\S+)> \(File Offset: (0x[0-9a-f]+)\):$", listing, re.MULTILINE)
    assert {"main", "hidden_step", "visible_step"} & {name for _, name, _ in found}
    for address, _, offset in found:
        assert symbols.address_of(int(offset, 16)) == int(address, 16)


def test_build_id_is_that_of_readelf(program: str) -> None:
    found = re.search(r"Build ID: ([0-9a-f]+)", output("readelf", "-n", program))
    assert read_build_id(program).hex() == (found[1] if found else "")
    assert ElfSymbols.load(program).build_id == read_build_id(program)


def test_addresses_agree_with_addr2line(plain: str) -> None:
    symbols = ElfSymbols.load(plain)
    for address, size, name in nm_functions(plain):
        if name in {"main", "hidden_step"}:
            middle = address + size // 2
            assert output("addr2line", "-f", "-e", plain, hex(middle)).splitlines()[0] == symbols.lookup(middle) == name


def test_sizes_are_honoured(plain: str) -> None:
    symbols = ElfSymbols.load(plain)
    where = {line.split()[-1]: int(line.split()[0], 16) for line in output("nm", plain).splitlines() if line[0] == "0"}
    assert symbols.lookup(where["sizeless"] + 60) == "sizeless"  # no size: up to the next symbol
    assert symbols.lookup(where["bare_label"] + 1) == "bare_label"
    assert symbols.lookup(where["after_gap"]) == "after_gap"
    assert symbols.lookup(where["after_gap"] + 1) is None  # it has a size of one byte
    assert symbols.lookup(where["after_gap"] + 150) is None
    assert symbols.lookup(0) is symbols.lookup(1 << 63) is symbols.lookup(-1) is symbols.lookup(1 << 70) is None


def test_the_best_alias_is_shown(plain: str) -> None:
    symbols = ElfSymbols.load(plain)
    address = next(a for a, _, name in nm_functions(plain) if name == "visible_step")
    assert symbols.lookup(address) in {"visible_step", "other_name"}


def test_a_symbol_without_size_ends_with_its_section(tmp_path: Path) -> None:
    source = SOURCE + '__asm__(".section .island,\\"ax\\"\\n.globl lonely\\n.type lonely,@function\\nlonely: ret\\n");'
    symbols = ElfSymbols.load(path := build(tmp_path, "island", "-no-pie", source=source))
    sections = output("readelf", "-SW", path)
    start, size = re.search(r"\.island +PROGBITS +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", sections).groups()  # type: ignore[union-attr]
    assert symbols.lookup(int(start, 16)) == "lonely"
    assert symbols.lookup(int(start, 16) + int(size, 16)) != "lonely"


def test_a_library_has_its_exported_names(tmp_path: Path) -> None:
    path = build(tmp_path, "library.so", "-shared", "-fPIC", "-s")
    symbols = ElfSymbols.load(path)
    functions = nm_functions(path, "-D")
    assert functions
    for address, _, name in functions:
        assert symbols.lookup(address) == name or symbols.lookup(address) in {
            n for a, _, n in functions if a == address
        }
    assert symbols.lookup_offset(1 << 40) is None


def test_32_bit(tmp_path: Path) -> None:
    source = "int step(int x) { return x * 2; } void _start(void) { step(1); for (;;); }"
    path = build(tmp_path, "small", "-m32", "-nostdlib", "-static", "-fno-pic", "-no-pie", source=source)
    symbols = ElfSymbols.load(path)
    assert {symbols.lookup(address) for address, _, _ in nm_functions(path)} >= {"step", "_start"}


def stripped_with_debug_file(folder: Path, *flags: str) -> tuple[str, str]:
    program, debug = build(folder, "program", *flags), str(folder / "program.debug")
    output("objcopy", "--only-keep-debug", program, debug)
    output("strip", program)
    return program, debug


def named(symbols: ElfSymbols, debug: str) -> bool:
    return all(symbols.lookup(a) == name for a, _, name in nm_functions(debug) if name in {"main", "hidden_step"})


def test_debug_link_beside_the_program(tmp_path: Path) -> None:
    program, debug = stripped_with_debug_file(tmp_path, "-Wl,--build-id=none")
    assert not named(ElfSymbols.load(program), debug)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", program], check=True, cwd=tmp_path)
    symbols = ElfSymbols.load(program)
    assert named(symbols, debug)
    # The debug file repeats load segments that do not hold: offsets must come from the program.
    text_offset = re.search(r" \.text +PROGBITS +([0-9a-f]+) ([0-9a-f]+)", output("readelf", "-SW", program))
    assert text_offset
    assert symbols.address_of(int(text_offset[2], 16)) == int(text_offset[1], 16)
    with open(debug, "ab") as file:
        file.write(b"x")  # the checksum no longer holds
    assert not named(ElfSymbols.load(program), debug)


def test_debug_file_by_build_id(tmp_path: Path) -> None:
    program, debug = stripped_with_debug_file(tmp_path)
    digits = read_build_id(program).hex()
    place = tmp_path / "debug" / ".build-id" / digits[:2]
    place.mkdir(parents=True)
    (place / f"{digits[2:]}.debug").write_bytes(Path(debug).read_bytes())
    assert named(ElfSymbols.load(program, debug_root=str(tmp_path / "debug")), debug)
    other = build(tmp_path, "other", "-Wl,--build-id=0x" + "ab" * 20)  # the same functions, but another program's
    (place / f"{digits[2:]}.debug").write_bytes(Path(other).read_bytes())
    assert not named(ElfSymbols.load(program, debug_root=str(tmp_path / "debug")), debug)


def with_debug_data(folder: Path, packed: bytes) -> tuple[str, str]:
    program, debug = stripped_with_debug_file(folder)
    (folder / "packed").write_bytes(packed or lzma.compress(Path(debug).read_bytes()))
    output("objcopy", "--add-section", f".gnu_debugdata={folder}/packed", program)
    return program, debug


def test_debug_data_inside_the_program(tmp_path: Path) -> None:
    program, debug = with_debug_data(tmp_path, b"")
    assert named(ElfSymbols.load(program), debug)


def test_debug_data_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    _, debug = stripped_with_debug_file(tmp_path)
    program, debug = with_debug_data(tmp_path, lzma.compress(Path(debug).read_bytes() + bytes(80 << 20), preset=0))
    assert not named(ElfSymbols.load(program), debug)


@pytest.mark.parametrize("packed", [b"no xz", lzma.compress(bytes(80 << 20), preset=0), lzma.compress(b"no ELF")])
def test_bad_debug_data_costs_only_its_names(tmp_path: Path, packed: bytes) -> None:
    program, debug = with_debug_data(tmp_path, packed)
    symbols = ElfSymbols.load(program)
    assert not named(symbols, debug)
    assert symbols.build_id


@contextmanager
def in_memory(data: bytes, size: int | None = None) -> Iterator[int]:
    fd = os.memfd_create("fuzz", os.MFD_CLOEXEC)
    try:
        os.write(fd, data)
        os.ftruncate(fd, len(data) if size is None else size)
        yield fd
    finally:
        os.close(fd)


def attempt(data: bytes, size: int | None = None) -> ElfSymbols | None:
    """Loads and looks up; anything but ElfError is a failure, and so is taking long."""
    with pace.at_most(400):
        return _attempt(data, size)


def _attempt(data: bytes, size: int | None) -> ElfSymbols | None:
    with in_memory(data, size) as fd:
        with suppress(ElfError):
            read_build_id(fd)
        try:
            symbols = ElfSymbols.load(fd)
        except ElfError as error:
            assert not str(error).startswith("damaged")  # the net for what was forgotten
            symbols = None
    for address in (0, 0x401000, 0x1139, (1 << 64) - 1) if symbols else ():
        symbols.lookup(address)  # type: ignore[union-attr]
        symbols.lookup_offset(address)  # type: ignore[union-attr]
    return symbols


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    source = "int step(int x) { return x * 2; } void _start(void) { step(1); for (;;); }"
    path = build(tmp_path_factory.mktemp("tiny"), "tiny", "-nostdlib", "-static", source=source)
    return Path(path).read_bytes()


def test_every_header_word_may_lie(tiny: bytes) -> None:
    assert attempt(tiny)
    sections, entry_size, count = *struct.unpack_from("<Q", tiny, 40), *struct.unpack_from("<HH", tiny, 58)
    places = [*range(0, 400, 2), *range(sections, sections + entry_size * count, 4)]
    for place in places:
        for word in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\xff\xff\xff\x7f", b"\1\0\0\0"):
            attempt(tiny[:place] + word + tiny[place + 4 :])


def test_a_symbol_that_claims_all_memory(tiny: bytes) -> None:
    symbol = struct.unpack_from("<IBBHQQ", tiny, place := place_of_symbol(tiny, 2))
    damaged = tiny[: place + 16] + b"\xff" * 8 + tiny[place + 24 :]
    symbols = attempt(damaged)
    assert symbols
    assert symbols.lookup(symbol[4]) == symbols.lookup((1 << 64) - 2) is not None


def place_of_symbol(data: bytes, kind: int) -> int:
    """Where the entry of the first symbol of that type lies."""
    sections, names = *struct.unpack_from("<Q", data, 40), *struct.unpack_from("<H", data, 62)
    start, size = struct.unpack_from("<QQ", data, sections + (names - 2) * 64 + 24)
    return next(place for place in range(start, start + size, 24) if data[place + 4] & 15 == kind)


def test_every_truncation_is_refused_or_read(tiny: bytes) -> None:
    for length in range(0, len(tiny), 37):
        attempt(tiny[:length])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes(tiny: bytes, data: st.DataObject) -> None:
    damaged = bytearray(tiny)
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(tiny) - 1), st.integers(0, 255)), max_size=40)):
        damaged[place] = value
    attempt(bytes(damaged[: data.draw(st.integers(len(tiny) // 2, len(tiny)))]))


@pytest.mark.parametrize("table", ["symtab", "strtab", "shstrtab"])
def test_sizes_that_a_sparse_file_backs_are_still_refused(tiny: bytes, table: str) -> None:
    """A file of terabytes that takes no disk."""
    sections, entry_size, _count, names = *struct.unpack_from("<Q", tiny, 40), *struct.unpack_from("<HHH", tiny, 58)
    index = {"shstrtab": names, "strtab": names - 1, "symtab": names - 2}[table]
    damaged = bytearray(tiny)
    struct.pack_into("<Q", damaged, sections + index * entry_size + 32, 1 << 40)
    assert attempt(bytes(damaged), 1 << 41) is None


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n", bytes(5000), b"\x7fELF" + b"\xff" * 5000])
def test_what_is_no_elf_file(content: bytes) -> None:
    assert attempt(content) is None


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (str(tmp_path / "fifo"), str(tmp_path), "/dev/zero", str(tmp_path / "none"), "a\0b", "/proc/self/mem"):
        with pytest.raises(ElfError):
            ElfSymbols.load(path)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/"])
def test_devices_are_not_even_opened(path: str) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(path)


def test_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ElfError, match="neither"):
        ElfSymbols.load(build(tmp_path, "object.o", "-c"))


def test_large_string_tables_are_read_from_the_file(plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebtop.resolve.symboltable._STRINGS_IN_MEMORY", 10)
    symbols = ElfSymbols.load(plain)
    address = next(a for a, _, name in nm_functions(plain) if name == "hidden_step")
    assert symbols.lookup(address) == "hidden_step"
    before = len(os.listdir("/proc/self/fd"))
    del symbols
    assert len(os.listdir("/proc/self/fd")) < before
