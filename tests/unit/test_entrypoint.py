"""Where a probe at a function's entry is hit once per call, and costs least."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ebtop.resolve.binary import Binaries, Binary
from ebtop.resolve.binaryfile import open_binary
from ebtop.resolve.elflayout import ElfError, ElfImage
from ebtop.resolve.entrypoint import EntryPoint, cheap_entry, go_entry
from tests.unit.elfprograms import built, output
from tests.unit.goprograms import go_program
from tests.unit.test_codesegments import objdump_bytes

SOURCE = r"""
#include <stdio.h>
extern int away(int *);
__attribute__((noinline)) int away(int *x) { return *x += 3; }
__attribute__((noinline)) int pushes(int n, int *x) { int s = away(x) * n; return s + n + away(x) + *x; }
__attribute__((noinline)) int leaf(int x) { return x * 3; }
int main(int argc, char **argv) { int x = argc; printf("%d %d\n", pushes(argc, &x), leaf(x)); return 0; }
"""
ENDBR64 = b"\xf3\x0f\x1e\xfa"


def test_behind_endbr64_at_a_push(tmp_path: Path) -> None:
    path = built(tmp_path, "program", "-O2", "-fcf-protection=full", "-fno-ipa-ra", source=SOURCE, compiler="gcc")
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        for name, moved in (("pushes", 4), ("leaf", 0)):
            (function,) = binary.find(name).functions
            entry = binary.entry(function)
            offset = binary.offset_of(function.address)
            assert objdump_bytes(path, function.address, 4) == ENDBR64
            assert (entry.offset, entry.moved) == (offset + moved, moved)
            assert ("behind endbr64" in entry.reason) == bool(moved)
        (function,) = binary.find("pushes").functions
        listing = output("objdump", "-d", f"--start-address={function.address + 4}",
                         f"--stop-address={function.address + 6}", path)  # fmt: skip
        assert "push" in listing
        assert binary.starts_instruction(function.address) is True
        assert binary.starts_instruction(function.address + 1) is None


def test_without_branch_protection_the_entry_stays(tmp_path: Path) -> None:
    path = built(tmp_path, "program", "-O2", "-fcf-protection=none", source=SOURCE, compiler="gcc")
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        (function,) = binary.find("pushes").functions
        assert binary.entry(function) == (binary.offset_of(function.address), 0, "the entry itself")


def moved(
    body: bytes, size: int | None = None, machine: int = 62, place: Callable[..., EntryPoint] = cheap_entry
) -> int:
    """By how many bytes the entry of a function of that code is moved."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0" + machine.to_bytes(2, "little") + bytes(44)
    fd = os.memfd_create("code", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(head + body)
        return place(ElfImage(fd), len(head), len(body) if size is None else size).moved
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        (b"\x55" + b"\x90" * 20, 4),  # push %rbp
        (b"\x41\x57" + b"\x90" * 20, 4),  # push %r15
        (b"\x41\x89" + b"\x90" * 20, 0),  # a mov
        (b"\x48\x83\xec\x08" + b"\x90" * 20, 0),  # sub $8, %rsp
        (b"\x55\x90\xeb\xfb" + b"\x90" * 9, 4),  # jumps to the next but one of the push
        (b"\x55\x90\xeb\xfc" + b"\x90" * 9, 0),  # jumps to the push
        (b"\x55\x90\x75\xfc" + b"\x90" * 9, 0),
        (b"\x55" + b"\xe9\xfa\xff\xff\xff" + b"\x90" * 9, 0),
        (b"\x55" + b"\x0f\x84\xf9\xff\xff\xff" + b"\x90" * 9, 0),
        (b"\x55" + b"\x0f\x84\xfa\xff\xff\xff" + b"\x90" * 9, 4),
        (b"\x55\xc3", 4),
    ],
)  # fmt: skip
def test_no_other_way_may_lead_behind_endbr64(code: bytes, wanted: int) -> None:
    assert moved(ENDBR64 + code) == wanted
    assert moved(ENDBR64 + code, size=0) == 0  # how far the function goes is not known
    assert moved(ENDBR64 + code, machine=183) == 0
    assert moved(b"\x90" + ENDBR64 + code) == 0


def test_a_function_that_is_not_in_the_file() -> None:
    with pytest.raises(ElfError, match="not in the file"):
        moved(b"", size=10)


GO = {
    "small": b"\x49\x3b\x66\x10\x76\x20",  # cmp 0x10(%r14),%rsp; jbe
    "far": b"\x49\x3b\x66\x10\x0f\x86\0\x10\0\0",
    "on the system's stack": b"\x49\x3b\x66\x18\x76\x20",
    "larger": b"\x4c\x8d\x64\x24\xe0\x4d\x3b\x66\x10\x76\x20",  # lea -0x20(%rsp),%r12; cmp 0x10(%r14),%r12
    "large": b"\x4c\x8d\xa4\x24\x08\xfd\xff\xff\x4d\x3b\x66\x10\x0f\x86\0\x10\0\0",
    "huge": b"\x49\x89\xe4\x49\x81\xec\x08\x27\0\0\x0f\x82\0\x10\0\0\x4d\x3b\x66\x10\x0f\x86\0\x10\0\0",
}


@pytest.mark.parametrize("kind", GO)
def test_behind_the_check_that_runs_again_when_a_stack_has_grown(kind: str) -> None:
    check = GO[kind]
    body = check + b"\x55" + b"\x90" * 40
    assert moved(body, place=go_entry) == len(check)
    assert moved(check + b"\x90" * 8 + b"\xeb\xf6" + b"\x90" * 20, place=go_entry) == 0  # a loop leads back there
    assert moved(b"\x90" + body, place=go_entry) == 0
    assert moved(body, machine=183, place=go_entry) == 0
    assert moved(body, size=len(check) - 1, place=go_entry) == 0
    assert moved(body, place=cheap_entry) == 0


def test_functions_of_go_that_objdump_knows(tmp_path: Path) -> None:
    """Behind each check of a whole program an instruction begins, and nearly all are used."""
    path, behind, checks = go_program(tmp_path), set(), 0
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        for function in binary.find("*", limit=5000).functions:
            if function.name == "runtime.etext":  # the end of the code
                continue
            entry = binary.entry(function)
            checks += "stack" in entry.reason
            if entry.moved:
                behind.add(function.address + entry.moved)
    assert len(behind) > 0.95 * checks > 500
    listing = output("objdump", "-d", "--no-show-raw-insn", path)
    instructions = re.findall(r"^ +([0-9a-f]+):\t(\S+)", listing, re.MULTILINE)
    before = {int(after[0], 16): this[1] for this, after in itertools.pairwise(instructions)}
    assert {before.get(address) for address in behind} == {"jbe"}
