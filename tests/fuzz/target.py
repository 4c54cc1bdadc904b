"""One run of the fuzzer: `python -m tests.fuzz.target FOLDER OPTIONS...`, or `- FILE` to see what a file does."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

import atheris

from tests.fuzz.findings import Findings

# What was imported before is not instrumented: of ours there must be nothing yet.
with atheris.instrument_imports(include=["ebtop.resolve", "elftools"]):
    from ebtop.resolve.binary import Binaries, Binary
    from ebtop.resolve.binaryfile import BinaryError, BinaryFile
    from ebtop.resolve.cfi import CfiError, UnwindTable
    from ebtop.resolve.dwarf import Dwarf
    from ebtop.resolve.dwarfsections import DwarfError
    from ebtop.resolve.elf import ElfError, ElfSymbols, read_build_id
    from tests.fuzz.damage import damaged

_MEMORY = 2 << 30
_FUNCTIONS = 6
_SECONDS = 0.5


class UnclearError(Exception):
    """An error of ours that does not say what is wrong."""


def ask(fd: int) -> None:
    """All that is asked of a program that is to be probed, or whose stacks are to be named. Raises what is a fault."""
    for question in (_symbols, _unwinding):
        with suppress(ElfError, CfiError):
            question(fd)
    with suppress(BinaryError), BinaryFile(os.dup(fd), "/fuzzed") as file:
        binary = Binary(file, Binaries(debug_root="/nonexistent"))
        _offered(binary)
        addresses = _found(binary)
        try:
            _debug_information(Dwarf(binary.image, seconds=_SECONDS), addresses)
        except DwarfError as error:
            _clear(error)


def _clear(error: Exception) -> None:
    """Raises UnclearError for "damaged" alone, which stands for a bound that was forgotten, as do these two."""
    if ": damaged: " in f": {error}" or isinstance(error.__cause__, MemoryError | RecursionError):
        raise UnclearError(str(error)) from error.__cause__


def _symbols(fd: int) -> None:
    try:
        read_build_id(fd)
        symbols = ElfSymbols.load(fd, path="/nowhere/x")
        for address in (0, 1, 0x1139, 0x400000, 1 << 63, (1 << 64) - 1):
            symbols.lookup(address)
            symbols.lookup_offset(address)
    except ElfError as error:
        _clear(error)


def _unwinding(fd: int) -> None:
    table = UnwindTable(fd)
    for address in table.starts[:_FUNCTIONS].tolist():
        with suppress(CfiError):
            table.row(address)


def _offered(binary: Binary) -> None:
    for question in (binary.offer, lambda: binary.usdt, lambda: binary.go):
        try:
            question()
        except BinaryError as error:
            _clear(error)


def _found(binary: Binary) -> list[int]:
    """The addresses of some functions, after all was asked of them."""
    addresses = [0, (1 << 64) - 1]
    try:
        for function in binary.find("*", limit=_FUNCTIONS).functions:
            addresses.append(function.address)
            try:
                binary.entry(function)
                binary.starts_instruction(function.address)
            except BinaryError as error:
                _clear(error)
    except BinaryError as error:
        _clear(error)
    return addresses


def _debug_information(dwarf: Dwarf, addresses: list[int]) -> None:
    for address in addresses:
        try:
            for parameter in dwarf.function(address).parameters:
                for member in dwarf.members(parameter.type)[:4]:
                    with suppress(DwarfError):
                        dwarf.access(parameter.type, f"{member.name}[1].whole")
        except DwarfError as error:
            _clear(error)


def tried(data: bytes) -> None:
    """One file."""
    fd = os.memfd_create("fuzzed", os.MFD_CLOEXEC)
    before = len(os.listdir("/proc/self/fd"))
    try:
        os.write(fd, data)
        ask(fd)
        if len(os.listdir("/proc/self/fd")) != before:
            raise AssertionError("a descriptor stayed open")
    finally:
        os.close(fd)


def main(words: list[str]) -> None:
    """Does not return when it fuzzes: libFuzzer ends the process."""
    folder, *options = words
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    if folder == "-":
        return tried(Path(options[0]).read_bytes())
    findings = Findings(Path(folder))

    def one(data: bytes) -> None:
        findings.count()
        try:
            tried(data)
        except Exception as error:  # noqa: BLE001  # the next is tried all the same
            findings.add(data, error)

    def mutator(data: bytes, largest: int, seed: int) -> bytes:
        return damaged(atheris.Mutate, data, largest, seed)

    atheris.Setup([sys.argv[0], *options], one, custom_mutator=mutator)
    atheris.Fuzz()
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
