"""A recording's file, made so that nobody else has a hand in it: SQLite opens files by their names."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

_BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite looks for beside a database, whoever put it there."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PlaceError(OSError):
    """No recording can be made there; one line."""


class _Inode(NamedTuple):
    device: int
    number: int


class NewFile:
    """An empty file of our own with mode 0600, and files of our own under the names that SQLite will use beside it, so
    that in a folder such as /tmp nobody else can put theirs there."""

    def __init__(self, path: Path, *, force: bool) -> None:
        """Raises PlaceError where something is that may not be replaced, or nothing can be made."""
        self._path = path
        self._made: list[_Inode] = []
        try:
            _refuse_open_folder(path)
            for place in self._places():
                _clear(place, force=force, leftover=place != path)
            for place in self._places():
                self._made.append(_create(place))
        except OSError as error:
            self.remove()
            if isinstance(error, PlaceError):
                raise
            raise PlaceError(f"cannot write {str(path)!r}: {error.strerror}") from error

    def _places(self) -> list[Path]:
        return [self._path, *(beside(self._path, end) for end in _BESIDE)]

    def check(self) -> None:
        """That the files which were opened since are those that were made. Raises PlaceError."""
        held = set()
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  names are enough
            with contextlib.suppress(OSError):
                held.add(_inode(os.fstat(int(name))))
        if not set(self._made[:2]) <= held:
            raise PlaceError(f"someone has replaced {str(self._path)!r} while it was opened")

    def clean(self) -> None:
        """Remove what only kept a name from others; SQLite removes the rest when nobody needs it."""
        self._remove(slice(-1, None))

    def remove(self) -> None:
        """Remove all that was made and is still there."""
        self._remove(slice(None))

    def _remove(self, which: slice) -> None:
        for place, made in list(zip(self._places(), self._made, strict=False))[which]:
            with contextlib.suppress(OSError):
                if _inode(place.lstat()) == made:
                    place.unlink()


def beside(path: Path, end: str) -> Path:
    """A file that SQLite has beside a database."""
    return path.with_name(path.name + end)


def _inode(found: os.stat_result) -> _Inode:
    return _Inode(found.st_dev, found.st_ino)


def _refuse_open_folder(path: Path) -> None:
    folder = path.absolute().parent.stat()
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise PlaceError(f"anyone can replace files in the folder of {str(path)!r}; choose another")


def _clear(place: Path, *, force: bool, leftover: bool) -> None:
    """Make room: what is there is removed with `force`, if it is a file of our own."""
    try:
        found = place.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise PlaceError(f"{str(place)!r} is there and is no regular file")
    if found.st_uid != os.geteuid():
        raise PlaceError(f"{str(place)!r} is there and belongs to someone else")
    if not force:
        what = "is left from an earlier recording" if leftover else "exists"
        raise PlaceError(f"{str(place)!r} {what}; --force replaces it")
    place.unlink()


def _create(place: Path) -> _Inode:
    fd = os.open(place, _FLAGS, 0o600)
    try:
        return _inode(os.fstat(fd))
    finally:
        os.close(fd)  # before SQLite opens it: closing a file gives up all locks that a process has on it
