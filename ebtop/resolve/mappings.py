"""What a process has mapped as executable, and the very files behind it, replaced and deleted ones included."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ebtop.resolve.regularfile import open_regular, read_bounded

_MAX_MAPS = 16 << 20
_LINE = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) [r-][w-]x[ps] ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) *([^\n]*)$", re.MULTILINE
)
_DELETED = " (deleted)"
_MEMORY = ("/dev/zero", "/memfd:", "/SYSV")  # files without a disk, in which runtimes put what they compile
_OCTAL = re.compile(rb"\\012")


class Mapping(NamedTuple):
    """An executable range [start, end) of a process's memory, mapped from byte `offset` of `path`."""

    start: int
    end: int
    offset: int
    device: int
    inode: int
    path: str

    @property
    def is_file(self) -> bool:
        """Whether a file is behind it."""
        return self.inode != 0 and self.path.startswith("/")

    @property
    def module(self) -> str:
        """How the mapping is called in a stack: a file name, "[vdso]", or "[anon]"."""
        if self.path.startswith("[") and not self.path.startswith("[anon"):
            return self.path
        named = self.is_file and not self.path.startswith(_MEMORY)
        return Path(self.path).name if named else "[anon]"


class Mappings:
    """The executable mappings of one process, by address. `fresh` is for the reader's own use."""

    def __init__(self, found: Sequence[Mapping]) -> None:
        self.fresh = False
        self._found = found
        self._starts = [mapping.start for mapping in found]

    def find(self, address: int) -> Mapping | None:
        """The mapping that contains an address."""
        index = bisect_right(self._starts, address) - 1
        return self._found[index] if index >= 0 and address < self._found[index].end else None

    def __iter__(self) -> Iterator[Mapping]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def read_mappings(pid: int) -> Mappings:
    """The executable mappings of a process. Raises OSError when it is gone or may not be looked at."""
    data = read_bounded(f"/proc/{pid}/maps", _MAX_MAPS)
    return Mappings([_mapping(match) for match in _LINE.finditer(data)])


def _mapping(match: re.Match[bytes]) -> Mapping:
    start, end, offset, major, minor = (int(part, 16) for part in match.groups()[:5])
    path = os.fsdecode(_OCTAL.sub(b"\n", match[7]))
    return Mapping(start, end, offset, os.makedev(major, minor), int(match[6]), path.removesuffix(_DELETED))


def mapped_file(pid: int, mapping: Mapping) -> str:
    """The path that leads to the file behind a mapping whatever has become of its name, for as long as it is mapped."""
    return f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}"


def open_mapping(pid: int, mapping: Mapping) -> int:
    """A descriptor to read the file behind a mapping. Raises OSError, FileNotFoundError when none leads to it any more.

    Following map_files takes CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE; without them names are tried and checked.
    """
    try:
        return open_regular(mapped_file(pid, mapping))
    except OSError:
        pass
    for path in (f"/proc/{pid}/root{mapping.path}", mapping.path):
        try:
            fd = open_regular(path)
        except OSError:
            continue
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) == (mapping.device, mapping.inode):
            return fd
        os.close(fd)
    raise FileNotFoundError(f"{mapping.path} is gone, or another file than the one that is mapped")
