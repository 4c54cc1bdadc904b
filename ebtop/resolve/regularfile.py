"""Opens files whose paths others chose, without side effects: never a device, a FIFO or, if unwanted, a symlink."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from typing import Final, NamedTuple

_SYS_OPENAT2: Final = 437  # on every architecture
_RESOLVE_NO_MAGICLINKS: Final = 0x02  # Linux include/uapi/linux/openat2.h
_RESOLVE_IN_ROOT: Final = 0x10
_LIBC = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class Identity(NamedTuple):
    """Tells one state of one file from all others. `mtime` is ns."""

    device: int
    inode: int
    size: int
    mtime: int

    @classmethod
    def of(cls, fd: int) -> Identity:
        """The identity of an open file."""
        return cls._from(os.fstat(fd))

    @classmethod
    def at(cls, path: str) -> Identity:
        """That of what a path leads to now. Raises OSError."""
        return cls._from(os.stat(path))  # noqa: PTH116  a Path takes as long again

    @classmethod
    def _from(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def open_regular(path: str, *, dir_fd: int | None = None, follow: bool = True) -> int:
    """A file descriptor to read the regular file `path` with. Raises OSError, EINVAL when it is none.

    Opening a device can act (a watchdog starts, a tape rewinds) and opening a FIFO can wait. So the path is only
    resolved at first, looked at, and opened for reading through /proc/self/fd, where nobody can exchange it.
    """
    flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    return _looked_at(os.open(path, flags, dir_fd=dir_fd), path)


def open_beneath(root: int, path: str) -> int:
    """As `open_regular`, as a process with the root directory `root` (a descriptor) sees the path. Raises OSError.

    What symlinks lead to is looked for inside that root: through /proc/PID/root alone an absolute one of a container
    would lead to a file of ours. Magic links of /proc are not followed. ENOSYS before Linux 5.6.
    """
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    inside = os.fsencode(path)
    place = _LIBC.syscall(_SYS_OPENAT2, root, inside, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
    if place < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    return _looked_at(place, path)


def _looked_at(place: int, path: str) -> int:
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    finally:
        os.close(place)


def read_bounded(path: str, limit: int) -> bytes:
    """At most `limit` bytes of a /proc file or another small one. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return read_all(fd, limit)
    finally:
        os.close(fd)


def read_all(fd: int, limit: int) -> bytes:
    """From the current position to the end, at most `limit` bytes. Raises OSError."""
    parts: list[bytes] = []
    while limit > 0:
        part = os.read(fd, min(limit, 1 << 20))
        if not part:
            break
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)
