"""The DWARF sections of a file that anyone may have made, as pyelftools reads them, within bounds.

pyelftools believes what a file says: counts, lengths, offsets that lead back. Each of its loops reads, so what it reads
through is metered: too many reads, or reads for too long, end in DwarfError instead of never.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import SEEK_END, SEEK_SET
from typing import Any, Final

from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig

from ebtop.resolve.dwarfinfo import BoundedDwarfInfo
from ebtop.resolve.elflayout import ElfError, ElfImage, Section

_SHF_COMPRESSED: Final = 0x800
_ZLIB: Final = 1
_WINDOW = 64 << 10
_LARGEST_READ = 1 << 20
_LARGE = 4096
_MOST_UNPACKED = 256 << 20
_NAMES = (
    "info", "aranges", "abbrev", "frame", "str", "loc", "ranges", "line", "pubtypes", "pubnames", "addr",
    "str_offsets", "line_str", "loclists", "rnglists", "sup", "types",
)  # fmt: skip
_BOUNDS: Final = {"abbrev": 8 << 20, "str": 4 << 20, "line_str": 4 << 20, "line": 4 << 20}
"""Bytes that one question may take from sections of which each byte costs much memory."""


class DwarfError(Exception):
    """There is no debug information, it is damaged, or of a kind that is not read."""


class DwarfBudgetError(DwarfError):
    """The debug information is too large, or too much entangled, for the time that a question may take."""


class Budget:
    """What one question may cost, in CPU time of the thread and in reads. `begin` starts a new one."""

    def __init__(self, seconds: float = 5.0, reads: int = 8_000_000) -> None:
        self._seconds, self._reads = seconds, reads
        self.begin()

    def begin(self) -> None:
        """Start the time anew."""
        self._left, self._deadline = self._reads, time.thread_time() + self._seconds
        self._taken: dict[str, int] = {}
        self.ended = ""

    def spend(self, section: str, size: int) -> None:
        """Count a read. Raises DwarfBudgetError."""
        self._left -= 1
        if self._left < 0 or ((size > _LARGE or self._left % 64 == 0) and time.thread_time() > self._deadline):
            self._end(f"the debug information was not searched to its end within {self._seconds:g} s of CPU time")
        if section in _BOUNDS:
            taken = self._taken[section] = self._taken.get(section, 0) + size
            if taken > _BOUNDS[section]:
                self._end(f"the debug information takes more than {_BOUNDS[section]} bytes of .debug_{section}")

    def _end(self, reason: str) -> None:
        self.ended = reason
        raise DwarfBudgetError(reason)


class MeteredStream:
    """A section as a file to read and seek in, of which a window is in memory."""

    def __init__(self, name: str, size: int, read: Callable[[int, int], bytes], budget: Budget) -> None:
        self._name, self._size, self._source, self._budget = name, size, read, budget
        self._position = self._start = 0
        self._window = b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes, fewer at the end."""
        size = max(0, min(size if size >= 0 else self._size, self._size - self._position))
        self._budget.spend(self._name, size)
        if size > _LARGEST_READ:
            raise DwarfError(f"a part of .debug_{self._name} claims {size} bytes")
        at = self._position - self._start
        if at < 0 or at + size > len(self._window):
            self._start, at = self._position, 0
            self._window = self._source(self._position, min(max(size, _WINDOW), self._size - self._position))
        self._position += size
        return self._window[at : at + size]

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Go on at another place."""
        base = {SEEK_SET: 0, SEEK_END: self._size}.get(whence, self._position)
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position


class DwarfFile:
    """The DWARF of one file. `info` is pyelftools' view of it; everything is read when it is asked for."""

    def __init__(self, image: ElfImage, budget: Budget) -> None:
        """Raises DwarfError when there is none; the descriptor of the image stays open as long as this is used."""
        self.image, self.budget = image, budget
        self._unpacked = 0
        sections = {section.name: section for section in image.sections}
        if ".debug_info" not in sections:
            packed = ".zdebug_info" in sections
            raise DwarfError("debug information packed the old way (.zdebug)" if packed else "no debug information")
        config = DwarfConfig(image.order == "<", "x64" if image.wide else "x86", 8 if image.wide else 4)
        found = {f"debug_{name}_sec": self._descriptor(sections.get(f".debug_{name}"), name) for name in _NAMES}
        self.info = BoundedDwarfInfo(config=config, eh_frame_sec=None, gnu_debugaltlink_sec=None, **found)
        self.has_supplement = ".gnu_debugaltlink" in sections
        self.gdb_index = sections.get(".gdb_index")

    def _descriptor(self, section: Section | None, name: str) -> Any:
        if section is None or not section.size or section.type == 8:
            return None
        if section.flags & _SHF_COMPRESSED:
            data = self._unpack(section)
            size, read = len(data), lambda offset, size: data[offset : offset + size]
        else:
            start, size = section.offset, section.size
            if start + size > self.image.file_size:
                raise DwarfError(f"{section.name} is cut")

            def read(offset: int, wanted: int) -> bytes:
                return os.pread(self.image.fd, wanted, start + offset)

        stream: Any = MeteredStream(name, size, read, self.budget)
        return DebugSectionDescriptor(stream, section.name, section.offset, size, 0)

    def _unpack(self, section: Section) -> bytes:
        layout = f"{self.image.order}{'IIQQ' if self.image.wide else 'III'}"
        header = self.image.read(section.offset, struct.calcsize(layout))
        kind, *_, size, _ = struct.unpack(layout, header)
        if kind != _ZLIB:
            raise DwarfError(f"{section.name} is packed in a way that is not read (zstd?)")
        self._unpacked += size
        if self._unpacked > _MOST_UNPACKED:
            raise DwarfError(f"unpacked, the debug information takes more than {_MOST_UNPACKED >> 20} MiB")
        packed = self.image.read(section.offset + len(header), section.size - len(header), _MOST_UNPACKED)
        data = zlib.decompressobj().decompress(packed, size + 1)
        if len(data) != size:
            raise DwarfError(f"{section.name} does not unpack to its size")
        return data


@contextmanager
def only_dwarf_errors(budget: Budget) -> Iterator[None]:
    """Begin a question; whatever pyelftools stumbles over in a damaged file becomes a DwarfError."""
    budget.begin()
    try:
        yield
    except DwarfError:
        raise
    except (ElfError, OSError) as error:
        raise DwarfError(str(error)) from error
    except Exception as error:
        if budget.ended:  # pyelftools makes an error of its own of it
            raise DwarfBudgetError(budget.ended) from error
        raise DwarfError(f"damaged debug information: {type(error).__name__}: {str(error)[:100]}") from error
