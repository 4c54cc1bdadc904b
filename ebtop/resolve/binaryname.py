"""Which file a name stands for: a program on the PATH, a library as the dynamic linker would find it, a process's."""

from __future__ import annotations

import os
import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ebtop.resolve.binaryfile import BinaryError, BinaryFile, mapped_as, open_binary, open_executable, open_in_process
from ebtop.resolve.regularfile import read_bounded

CACHE: Final = "/etc/ld.so.cache"
_MAGIC = b"glibc-ld.so.cache1.1"
_MOST = 16 << 20
_HEADER, _ENTRY = struct.Struct("<20sIIB3xI12x"), struct.Struct("<iIIIQ")
_OURS: Final = {"x86_64": 0x0300, "aarch64": 0x0A00}  # glibc sysdeps/generic/ldconfig.h, FLAG_X8664_LIB64 and others
_OF_PROCESS: Final = re.compile(r"/proc/(?P<pid>[0-9]{1,9})/(?:exe|root(?P<path>/.+))")


def open_named(name: str, pid: int = 0, *, mapped: bool = True) -> tuple[str, BinaryFile]:
    """The file that a name or path stands for, with the path that it is called by. Raises BinaryError.

    `/proc/PID/root/...` and `/proc/PID/exe` are what that process sees there and runs, whatever namespace it is in.
    With a `pid` so is every other name, if it can be told; one that it has `mapped` goes before what the name leads to.
    """
    match = _OF_PROCESS.fullmatch(name)
    if match:
        of = int(match["pid"])
        return name, open_in_process(of, match["path"]) if match["path"] else open_executable(of)
    if pid and mapped and mapped_as(pid, name):
        file = open_in_process(pid, name)
    else:
        path = path_of(name)
        file = open_in_process(pid, path) if pid and _sees_others(pid) else open_binary(path)
    return file.path, file


def _sees_others(pid: int) -> bool:
    """Do paths lead a process to other files than us? Where we may not look, or it has gone, that is not known."""
    try:
        return any(not Path(f"/proc/{pid}/{what}").samefile(f"/proc/self/{what}") for what in ("ns/mnt", "root"))
    except OSError:
        return False


def path_of(name: str, cache: str = CACHE) -> str:
    """The path of `node`, `libc`, `c` or `libc.so.6`; a name with a slash is a path already. Raises BinaryError."""
    if "/" in name:
        return os.path.normpath(Path.cwd() / name)
    program = shutil.which(name) if name else None
    if program:
        return program
    wanted = (name, f"{name}.so", f"lib{name}.so")
    found = [
        (library, path) for library, path in _libraries(cache) if library == name or library.startswith(wanted[1:])
    ]
    if not name or not found:
        raise BinaryError(f"no program {name} is on the PATH, and no library has that name: give the path of a file")
    return min(found, key=lambda library: (library[0] != name, len(library[0])))[1]


def _libraries(cache: str) -> Iterator[tuple[str, str]]:
    """The names and paths of the libraries of this architecture that the dynamic linker knows."""
    try:
        data = read_bounded(cache, _MOST)
    except OSError:
        return
    start = data.find(_MAGIC)  # a table in an older format may come first
    if start < 0 or start + _HEADER.size > len(data):
        return
    _, count, *_ = _HEADER.unpack_from(data, start)
    ours = _OURS.get(os.uname().machine)
    for number in range(min(count, (len(data) - start - _HEADER.size) // _ENTRY.size)):
        flags, key, value, _, _ = _ENTRY.unpack_from(data, start + _HEADER.size + number * _ENTRY.size)
        if ours is None or flags & 0xFF00 == ours:
            yield _string(data, start + key), _string(data, start + value)


def _string(data: bytes, offset: int) -> str:
    return os.fsdecode(data[offset : max(offset, data.find(b"\0", offset, offset + 4096))])
