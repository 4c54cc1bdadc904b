"""The file that the user names for what was traced."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY


def open_output(path: str) -> BinaryIO:
    """A file to write to from its beginning, new ones with mode 0600: it shows what everyone on the machine does.

    Links are followed where the user or root made them (/dev/stdout is one). In folders where anyone may create files,
    such as /tmp, what someone else has put there is not written to. Raises OSError.
    """
    try:
        fd = os.open(path, _FLAGS | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP or Path(path).lstat().st_uid not in {0, os.geteuid()}:
            raise
        fd = os.open(path, _FLAGS, 0o600)
    try:
        _refuse_a_trap(fd, path)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.ftruncate(fd, 0)
    except OSError:
        os.close(fd)
        raise
    return os.fdopen(fd, "wb", buffering=1 << 20)


@contextmanager
def new_output(path: str) -> Iterator[BinaryIO]:
    """A file that was not there, with mode 0600; one that cannot be written whole is removed. Raises OSError."""
    fd = os.open(path, _FLAGS | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with ExitStack() as unless_all_is_well:
        unless_all_is_well.callback(_remove, path)
        with os.fdopen(fd, "wb", buffering=1 << 20) as stream:
            yield stream
        unless_all_is_well.pop_all()


def _remove(path: str) -> None:
    with suppress(OSError):
        Path(path).unlink()


def _refuse_a_trap(fd: int, path: str) -> None:
    found = os.fstat(fd)
    folder = Path(path).resolve().parent.stat()
    if found.st_uid not in {0, os.geteuid()} and stat.S_ISREG(found.st_mode) and folder.st_mode & stat.S_IWOTH:
        raise PermissionError(errno.EPERM, "it belongs to someone else, in a folder that is open to anyone")
