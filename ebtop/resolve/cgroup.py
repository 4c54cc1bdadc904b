"""cgroup ids and paths. The id that BPF programs see is the inode number of the directory in the cgroup2 tree."""

from __future__ import annotations

import ctypes
import os
import posixpath
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ebtop.near import near
from ebtop.resolve.bounded import BoundedCache
from ebtop.resolve.regularfile import read_bounded

_MAX_CGROUPS = 65536
_MAX_DEPTH = 64
_REFRESH_S = 1.0
_MAX_MOUNTINFO = 4 << 20
_FILEID_KERNFS = 0xFE  # Linux include/linux/exportfs.h, since 5.5 (33c5ac9175195c36a0b7005aaf503a2e81f117a1)
_OCTAL = re.compile(r"\\([0-7]{3})")


class CgroupError(LookupError):
    """There is no such cgroup, or no cgroup2 tree; the message says which, and what is near."""


class _FileHandle(ctypes.Structure):
    """struct file_handle with room for a kernfs id; open_by_handle_at(2)."""

    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("id", ctypes.c_ubyte * 8)]


def find_mount(mountinfo: str = "/proc/self/mountinfo") -> str:
    """Where cgroup2 is mounted: usually /sys/fs/cgroup, /sys/fs/cgroup/unified beside version 1; "" when nowhere.

    Of several the one that shows most of the tree counts, then the first.
    """
    try:
        lines = os.fsdecode(read_bounded(mountinfo, _MAX_MOUNTINFO)).split("\n")
    except OSError:
        return ""
    found: list[tuple[int, str]] = []
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if after.startswith("cgroup2 ") and len(fields) > 4:
            root = _unescaped(fields[3])
            found.append((0 if root == "/" else root.count("/"), _unescaped(fields[4])))
    return min(found, key=lambda entry: entry[0])[1] if found else ""


def _unescaped(path: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), path)


class Cgroups:
    """Answers which cgroup has which id. For one thread at a time."""

    def __init__(self, mount: str | None = None) -> None:
        self.mount = find_mount() if mount is None else mount
        self._paths: BoundedCache[int, str] = BoundedCache(_MAX_CGROUPS, 16 << 20)
        self._walked_at = float("-inf")
        self._by_handle = True

    def path_of(self, cgroup_id: int) -> str:
        """The path below the mount, "/" for the root; "" when no such cgroup is or was known."""
        known = self._paths.get(cgroup_id)
        if known is None and self.mount:
            known = self._ask_kernel(cgroup_id)
            if known is None:
                self._walk()
                known = self._paths.get(cgroup_id)
            else:
                self._keep(cgroup_id, known)
        return known or ""

    def id_of(self, path: str) -> int:
        """The id of a cgroup, by its path below the mount or by that of its directory.

        Raises CgroupError, with near paths when there are any.
        """
        if not self.mount:
            raise CgroupError("no cgroup2 file system is mounted")
        below = self.relative(path)
        try:
            status = Path(self.mount + below).lstat()
        except (OSError, ValueError):
            status = None
        if status is None or not stat.S_ISDIR(status.st_mode):
            raise CgroupError(f"no cgroup {path!r}{self._near(below)}")
        self._keep(status.st_ino, below)
        return status.st_ino

    def relative(self, path: str) -> str:
        """A path below the mount as `path_of` gives it, from one that may name the directory itself."""
        inside = self.mount and f"{path}/".startswith(f"{self.mount}/")
        return posixpath.normpath("/" + (path[len(self.mount) :] if inside else path).strip("/"))

    def _near(self, below: str) -> str:
        self._walk()
        known = self._paths.values()
        name = posixpath.basename(below)
        same_name = [known_path for known_path in known if posixpath.basename(known_path) == name]
        return f"; did you mean {' or '.join(sorted(same_name)[:3])}?" if name and same_name else near(below, known)

    def _keep(self, cgroup_id: int, path: str) -> None:
        self._paths.put(cgroup_id, path, len(path) + 100)

    def _ask_kernel(self, cgroup_id: int) -> str | None:
        """The path by file handle, which is the id; it takes CAP_DAC_READ_SEARCH and Linux 5.5."""
        if not self._by_handle:
            return None
        try:
            mount = os.open(self.mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fd = self._open_by_handle(mount, cgroup_id)
            if fd < 0:
                return None
            try:
                path = str(Path(f"/proc/self/fd/{fd}").readlink())
            finally:
                os.close(fd)
        except OSError:
            return None
        finally:
            os.close(mount)
        return path[len(self.mount) :] or "/" if f"{path}/".startswith(f"{self.mount}/") else None

    def _open_by_handle(self, mount: int, cgroup_id: int) -> int:
        handle = _FileHandle(
            8, _FILEID_KERNFS, (ctypes.c_ubyte * 8)(*(cgroup_id & (1 << 64) - 1).to_bytes(8, "little"))
        )
        try:
            call = ctypes.CDLL(None, use_errno=True).open_by_handle_at
        except (OSError, AttributeError):
            self._by_handle = False
            return -1
        return int(call(mount, ctypes.byref(handle), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))

    def _walk(self) -> None:
        """Learn all cgroups that there are now; at most once a second."""
        if not self.mount or time.monotonic() - self._walked_at < _REFRESH_S:
            return
        self._walked_at = time.monotonic()
        for count, (inode, path) in enumerate(_directories(self.mount)):
            if count >= _MAX_CGROUPS:
                break
            self._keep(inode, path)


def _directories(mount: str) -> Iterator[tuple[int, str]]:
    """(inode, path below the mount) of a directory and all below it, parents first."""
    try:
        yield Path(mount).lstat().st_ino, "/"
    except OSError:
        return
    waiting = [""]
    while waiting:
        path = waiting.pop()
        try:
            with os.scandir(mount + path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        below = f"{path}/{entry.name}"
                        yield entry.inode(), below
                        if below.count("/") < _MAX_DEPTH:
                            waiting.append(below)
        except OSError:  # it was removed meanwhile
            continue
