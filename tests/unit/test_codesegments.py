"""Addresses and file offsets, on programs of many linkers: the bytes that lie there are the last word."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ebtop.resolve.binary import Binaries, Binary
from ebtop.resolve.binaryfile import BinaryError, open_binary, open_executable
from ebtop.resolve.codesegments import AddressError, CodeSegments
from ebtop.resolve.elflayout import ElfError, ElfImage
from ebtop.resolve.mappings import read_mappings
from tests.unit.elfprograms import FREESTANDING, LAYOUTS, LINKER_SCRIPT, built, output

NAMES = ("Envoy::MainCommon::main", "plain_step", "main", "twice<int>", "inner")


@pytest.fixture(scope="module", params=list(LAYOUTS))
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = "clang++" if request.param.startswith("clang") else "g++"
    return built(tmp_path_factory.mktemp("layout"), "server", *LAYOUTS[request.param], compiler=compiler)


def objdump_bytes(path: str, address: int, size: int) -> bytes:
    """The bytes of a function as objdump disassembles them."""
    listing = output("objdump", "-d", f"--start-address={address}", f"--stop-address={address + size}", "-w", path)
    return bytes.fromhex("".join(re.findall(r"^\s*[0-9a-f]+:\t((?:[0-9a-f]{2} )+)", listing, re.MULTILINE)))


@contextmanager
def running(path: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that has said something and waits."""
    with subprocess.Popen([path, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        assert process.stdin is not None
        process.stdin.close()


def memory(pid: int, offset: int, size: int, inode: int) -> list[bytes]:
    """What a process has in memory where executable mappings show `offset` of a file."""
    found = []
    for mapping in read_mappings(pid):
        if mapping.inode == inode and mapping.offset <= offset < mapping.offset + mapping.end - mapping.start:
            with open(f"/proc/{pid}/mem", "rb") as file:
                file.seek(mapping.start + offset - mapping.offset)
                found.append(file.read(size))
    return found


def test_the_bytes_at_the_offset_are_those_of_the_function(program: str) -> None:
    with open_binary(program) as file, open(program, "rb") as data:
        binary = Binary(file, Binaries())
        whole = data.read()
        for name in NAMES:
            (function,) = [f for f in binary.find(name).functions if "<lambda" not in f.name]
            offset = binary.offset_of(function.address)
            assert function.size
            wanted = objdump_bytes(program, function.address, function.size)
            assert whole[offset : offset + function.size] == wanted, name
            assert whole.count(wanted) == 1 or function.size < 32  # nothing else would have passed for it
            assert binary.code.address_of(offset) == function.address


def test_a_running_program_has_them_there_too(program: str) -> None:
    with running(program, "wait") as process, open_executable(process.pid) as file:
        binary = Binary(file, Binaries())
        (function,) = binary.find("Envoy::MainCommon::main").functions
        offset = binary.offset_of(function.address)
        wanted = os.pread(file.fd, function.size, offset)
        assert memory(process.pid, offset, function.size, file.identity.inode) == [wanted]


def test_a_linker_script_with_two_differences(tmp_path: Path) -> None:
    script = tmp_path / "script.ld"
    script.write_text(LINKER_SCRIPT)
    path = built(tmp_path, "two", "-static", "-nostdlib", "-nostartfiles", "-fno-pie", "-no-pie", "-O1",
                 "-fno-stack-protector", "-Wl,--build-id=none", f"-Wl,-T,{script}", source=FREESTANDING,
                 compiler="gcc")  # fmt: skip
    with open_binary(path) as file, running(path) as process:
        binary = Binary(file, Binaries())
        differences = set()
        for name in ("early_step", "late_step"):
            (function,) = binary.find(name).functions
            offset = binary.offset_of(function.address)
            differences.add(function.address - offset)
            assert os.pread(file.fd, function.size, offset) == objdump_bytes(path, function.address, function.size)
            inode = file.identity.inode
            assert memory(process.pid, offset, function.size, inode) == [os.pread(file.fd, function.size, offset)]
        assert len(differences) == 2


@pytest.mark.parametrize("linker", ["bfd", "gold", "lld"])
def test_shared_libraries(tmp_path: Path, linker: str) -> None:
    source = "int far_away(int x) { return x * 11 + 5; } int main(int c, char **v) { return far_away(c); }"
    path = built(tmp_path, "libfar.so", "-shared", "-fPIC", f"-fuse-ld={linker}", source=source, compiler="gcc")
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        (function,) = binary.find("far_away").functions
        offset = binary.offset_of(function.address)
        assert os.pread(file.fd, function.size, offset) == objdump_bytes(path, function.address, function.size)


def test_two_differences_in_a_program_that_nobody_here_built() -> None:
    """The node binary has 0x400000 between addresses and offsets in most of its code, and as much again elsewhere."""
    path = "/usr/bin/node"
    if not os.path.exists(path) or not os.access("/usr/bin/objdump", os.X_OK):
        pytest.skip("needs node and objdump")
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        for function in binary.find("node::Start").functions:
            offset = binary.offset_of(function.address)
            assert os.pread(file.fd, function.size, offset) == objdump_bytes(path, function.address, function.size)


def test_what_is_not_code_has_no_offset(tmp_path: Path) -> None:
    path = built(tmp_path, "server", "-fno-pie", "-no-pie")
    sections = dict(re.findall(r"\] (\.\S+) +\S+ +([0-9a-f]{16})", output("readelf", "-SW", path)))
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        for place in (0, int(sections[".data"], 16), int(sections[".bss"], 16), 1 << 63, (1 << 64) - 1, -1, 1 << 70):
            with pytest.raises(BinaryError, match=r"server: address .* is in no executable segment \(code is at 0x"):
                binary.offset_of(place)
        start, end = binary.code.ranges[0]
        assert binary.offset_of(end - 1) == binary.offset_of(start) + end - 1 - start
        with pytest.raises(BinaryError):
            binary.offset_of(end)
        with pytest.raises(AddressError, match="file offset"):
            binary.code.address_of(file.identity.size + 4096)


def test_debug_files_and_objects_are_refused(tmp_path: Path) -> None:
    path = built(tmp_path, "server", "-g")
    debug, code = str(tmp_path / "server.debug"), str(tmp_path / "server.o")
    output("objcopy", "--only-keep-debug", path, debug)
    output("g++", "-c", str(tmp_path / "server.cc"), "-o", code)
    for other, reason in ((debug, "a debug file"), (code, "a relocatable object")):
        with open(other, "rb") as file, pytest.raises(ElfError, match=reason):
            CodeSegments(ElfImage(file.fileno()))


def test_symbols_of_a_debug_file_get_the_offsets_of_the_program(tmp_path: Path) -> None:
    """A debug file's program headers lead elsewhere: here they are those of another layout altogether."""
    path = built(tmp_path, "server", "-g", "-fPIE", "-pie", "-fuse-ld=lld")
    with open_binary(path) as file:
        whole = Binary(file, Binaries())
        wanted = {f.name: whole.offset_of(f.address) for name in NAMES for f in whole.find(name).functions}
    output("objcopy", "--only-keep-debug", path, f"{path}.debug")
    output("objcopy", "--strip-all", f"--add-gnu-debuglink={path}.debug", path)
    with open_binary(path) as file:
        stripped = Binary(file, Binaries())
        found = {f.name: stripped.offset_of(f.address) for name in NAMES for f in stripped.find(name).functions}
        assert found == wanted
        assert "debug file" in stripped.functions.origins
