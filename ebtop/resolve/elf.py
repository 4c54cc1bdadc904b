"""Names of functions in ELF files, which are treated as hostile: whoever runs a program has chosen its file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ebtop.resolve.codesymbols import read_code_symbols
from ebtop.resolve.debugfile import DEBUG_ROOT
from ebtop.resolve.elflayout import ET_DYN, ET_EXEC, PF_X, PT_LOAD, ElfError, ElfImage
from ebtop.resolve.regularfile import open_regular
from ebtop.resolve.symboltable import Strings, Symbols, SymbolTable

__all__ = ["ElfError", "ElfSymbols", "read_build_id"]

_OBJECT_OVERHEAD = 2000


class ElfSymbols:
    """The functions of one executable or library, by virtual address and by file offset.

    Symbols may come from a debug file; the load segments always come from the file itself, as those that debug files
    repeat do not hold.
    """

    def __init__(self, image: ElfImage, parts: list[Symbols], strings: list[Strings], build_id: bytes) -> None:
        self.build_id = build_id
        self.fixed = image.type == ET_EXEC  # loaded where the file says: instruction pointers are virtual addresses
        loads = image.segments[image.segments["type"] == PT_LOAD]
        ordered = [*loads[(loads["flags"] & PF_X) != 0], *loads[(loads["flags"] & PF_X) == 0]]
        self._segments = [(int(s["offset"]), int(s["filesz"]), int(s["vaddr"]), int(s["memsz"])) for s in ordered]
        starts = np.unique(np.concatenate([p.address for p in parts])) if parts else np.empty(0, np.uint64)
        self._functions = SymbolTable(parts, False, starts, strings)
        self._labels = SymbolTable(parts, True, starts, strings)
        self.nbytes = (
            _OBJECT_OVERHEAD + self._functions.nbytes + self._labels.nbytes + sum(table.nbytes for table in strings)
        )

    @classmethod
    def load(cls, source: str | int, *, path: str = "", debug_root: str = DEBUG_ROOT) -> ElfSymbols:
        """The symbols of a file, given by path or by descriptor (which stays open and the caller's).

        `path` says where a descriptor's file lives, for debug files beside it. Raises ElfError, nothing else.
        """
        with _opened(source) as fd, _only_elf_errors():
            image = ElfImage(fd)
            if image.type not in {ET_EXEC, ET_DYN}:
                raise ElfError("neither an executable nor a shared library")
            build_id = image.build_id()
            where = path or (source if isinstance(source, str) else "")
            found = read_code_symbols(image, fd, build_id, where, debug_root)
            return cls(image, found.parts, found.strings, build_id)

    def lookup(self, address: int) -> str | None:
        """The (mangled) name of the function at a virtual address, None when there is none."""
        for table in (self._functions, self._labels):
            index = table.find(address)
            if index >= 0:
                name = table.name(index).decode("utf-8", "surrogateescape")
                return _without_version(name) or None
        return None

    def address_of(self, file_offset: int) -> int | None:
        """The virtual address of a file offset: that of the load segment which contains it, code before data."""
        for offset, file_size, address, _ in self._segments:
            if offset <= file_offset < offset + file_size:
                return file_offset - offset + address
        return None

    def lookup_offset(self, file_offset: int) -> str | None:
        """The (mangled) name of the function at a file offset, None when there is none."""
        address = self.address_of(file_offset)
        return None if address is None else self.lookup(address)

    def contains(self, address: int) -> bool:
        """Whether a virtual address lies in a load segment."""
        return any(start <= address < start + size for _, _, start, size in self._segments)

    def __len__(self) -> int:
        return len(self._functions) + len(self._labels)


def read_build_id(source: str | int) -> bytes:
    """The GNU build id of a file, b"" without one; reads headers and notes only. Raises ElfError, nothing else."""
    with _opened(source) as fd, _only_elf_errors():
        return ElfImage(fd).build_id()


@contextmanager
def _opened(source: str | int) -> Iterator[int]:
    if isinstance(source, int):
        yield source
        return
    try:
        fd = open_regular(source)
    except (OSError, ValueError) as error:
        raise ElfError(f"cannot open: {error}") from error
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _only_elf_errors() -> Iterator[None]:
    try:
        yield
    except ElfError:
        raise
    except Exception as error:  # a bound that was forgotten must cost one file's names, not the capture process
        raise ElfError(f"damaged: {type(error).__name__}: {error}") from error


def _without_version(name: str) -> str:
    return name.partition("@")[0] if "@" in name[1:] else name
