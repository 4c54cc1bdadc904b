"""Names in the vdso, the few functions that the kernel maps into every process and that are in no file."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from ebtop.resolve.elf import ElfError, ElfSymbols
from ebtop.resolve.mappings import Mapping, read_mappings

NAME = "[vdso]"

_LIMIT = 64 << 10


def vdso_function(mapping: Mapping, address: int) -> str | None:
    """The function at an address in some process's vdso mapping, None when it is not known."""
    size, symbols = _own_vdso()
    if symbols is None or size != mapping.end - mapping.start:  # that of a 32-bit process is another
        return None
    return symbols.lookup_offset(address - mapping.start)


@cache
def _own_vdso() -> tuple[int, ElfSymbols | None]:
    """The size and the symbols of the vdso, which is the same in all processes of one kind."""
    try:
        mapping = next(m for m in read_mappings(os.getpid()) if m.path == NAME)
        size = mapping.end - mapping.start
        copy = os.memfd_create("vdso", os.MFD_CLOEXEC)
        try:
            with Path("/proc/self/mem").open("rb", buffering=0) as memory:
                memory.seek(mapping.start)
                os.write(copy, memory.read(min(size, _LIMIT)) or b"")
            return size, ElfSymbols.load(copy)
        finally:
            os.close(copy)
    except (OSError, StopIteration, ElfError):
        return 0, None
