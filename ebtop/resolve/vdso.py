"""Names in the vdso, the few functions that the kernel maps into every process and that are in no file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ebtop.resolve.mappings import Mapping, read_mappings

NAME = "[vdso]"

_LIMIT = 64 << 10


def vdso_function(mapping: Mapping, address: int) -> str | None:
    """The function at an address in some process's vdso mapping, None when it is not known."""
    size, functions = _own_vdso()
    if size != mapping.end - mapping.start:  # that of a 32-bit process is another
        return None
    offset = address - mapping.start
    return next((name for start, end, name in functions if start <= offset < end), None)


@cache
def _own_vdso() -> tuple[int, list[tuple[int, int, str]]]:
    """The size and the functions (start, end, name) of the vdso, which is the same in all processes of one kind.

    It comes from the kernel, so a general ELF reader may be let loose on it, as on no other file here. To import that
    takes a while and some megabytes, and few programs are ever seen in there.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    try:
        mapping = next(m for m in read_mappings(os.getpid()) if m.path == NAME)
        size = mapping.end - mapping.start
        with Path("/proc/self/mem").open("rb", buffering=0) as memory:
            memory.seek(mapping.start)
            image = ELFFile(io.BytesIO(memory.read(min(size, _LIMIT)) or b""))
        symbols = image.get_section_by_name(".dynsym")
        return size, sorted(_functions(symbols.iter_symbols())) if isinstance(symbols, SymbolTableSection) else []
    except (OSError, StopIteration, ELFError):
        return 0, []


def _functions(symbols: Iterable[Any]) -> Iterator[tuple[int, int, str]]:
    for symbol in symbols:
        if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF":
            start = int(symbol["st_value"])
            yield start, start + int(symbol["st_size"]), str(symbol.name)
