"""Names of functions that a runtime compiled in memory, from the map file it writes: /tmp/perf-PID.map.

Format: Linux tools/perf/Documentation/jit-interface.txt: lines of "START SIZE name", both numbers hexadecimal.
"""

from __future__ import annotations

import os
import re
import stat
from array import array

import numpy as np

from ebtop.resolve.regularfile import Identity, open_regular, read_bounded
from ebtop.tool import text

_LINE = re.compile(
    rb"^(?:0x)?([0-9a-fA-F]{1,16})[ \t]+(?:0x)?([0-9a-fA-F]{1,16})[ \t]+([^\n]{1,4096})[^\n]*\n", re.MULTILINE
)
_MAX_FILE = 64 << 20
_MAX_HELD = 48 << 20  # of entries; below what is kept of all processes, or it would be read anew all the time
_PART = 4 << 20
_TOP = (1 << 64) - 1


class PerfMapError(Exception):
    """There is no map for that process, or none that may be believed."""


class PerfMap:
    """The map of one process. `refresh` reads what is new; lookups answer from what has been read."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._identity: Identity | None = None
        self._forget()

    def _forget(self) -> None:
        self._read = 0
        self._more = False
        self._start, self._end = array("Q"), array("Q")
        self._names: list[bytes] = []
        self._sorted: np.ndarray[tuple[int], np.dtype[np.uint64]] | None = None
        self._order = np.empty(0, np.int64)
        self.nbytes = 500

    def refresh(self) -> None:
        """Read what the file holds that was not read before, at most 4 MiB of it; begin anew with another file.

        Raises PerfMapError when there is no such file, or it is not the process's own.
        """
        fd = _open_map(self._pid)
        try:
            now = Identity.of(fd)
            if now == self._identity and not self._more:
                return
            before = self._identity
            if before is None or (before.device, before.inode) != (now.device, now.inode) or now.size < self._read:
                self._forget()
            self._identity = now
            self._append(fd, now.size)
        except OSError as error:
            raise PerfMapError(f"unreadable: {error.strerror}") from error
        finally:
            os.close(fd)

    def _append(self, fd: int, size: int) -> None:
        """A part: others wait meanwhile, and anyone may write a large map anew each second."""
        room = min(size, _MAX_FILE) - self._read
        data = os.pread(fd, min(room, _PART), self._read) if room > 0 else b""
        whole = data.rfind(b"\n") + 1  # the rest may be in the midst of being written
        self._parse(data[:whole])
        self._read += whole
        self._more = 0 < whole < room and self.nbytes < _MAX_HELD
        self._sorted = None

    def _parse(self, data: bytes) -> None:
        for match in _LINE.finditer(data):
            start, size = int(match[1], 16), int(match[2], 16)
            self._start.append(start)
            self._end.append(min(start + size, _TOP))
            self._names.append(match[3])
            self.nbytes += 100 + len(match[3])
            if self.nbytes >= _MAX_HELD:
                return

    def lookup(self, address: int) -> str | None:
        """The name of the code at an address, None when the map has none. Of two for one address the later counts."""
        if self._sorted is None:
            starts = np.array(self._start, dtype=np.uint64)
            self._order = np.argsort(starts, kind="stable")
            self._sorted = starts[self._order]
        if not 0 <= address <= _TOP:
            return None
        place = int(np.searchsorted(self._sorted, np.uint64(address), side="right")) - 1
        # Code is compiled anew over what lay there before, so a few entries that begin earlier may reach further.
        for step in range(place, max(-1, place - 16), -1):
            index = int(self._order[step])
            if self._start[index] <= address < self._end[index]:
                return text(self._names[index])
        return None

    def __len__(self) -> int:
        return len(self._names)


def _open_map(pid: int) -> int:
    """The map, opened step by step inside the process's own root: no symlink is followed on the way."""
    try:
        owner, inner_pid = _owner_and_inner_pid(pid)
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            folder = os.open("tmp", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
        finally:
            os.close(root)
        try:
            fd = open_regular(f"perf-{inner_pid}.map", dir_fd=folder, follow=False)
        finally:
            os.close(folder)
    except (OSError, ValueError, IndexError) as error:
        raise PerfMapError(f"no perf map: {error}") from error
    status = os.fstat(fd)
    if status.st_uid not in {0, owner} or status.st_mode & stat.S_IWOTH:
        os.close(fd)
        raise PerfMapError("the perf map belongs to someone else")
    return fd


def _owner_and_inner_pid(pid: int) -> tuple[int, int]:
    """The process's effective uid, and its pid as it knows it itself (in its innermost namespace)."""
    lines = read_bounded(f"/proc/{pid}/status", 16384).split(b"\n")
    fields = dict(line.split(b":", 1) for line in lines if b":" in line)
    inner = fields.get(b"NSpid", str(pid).encode()).split()[-1]
    return int(fields[b"Uid"].split()[1]), int(inner)
