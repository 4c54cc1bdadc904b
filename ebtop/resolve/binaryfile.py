"""Executables and libraries, opened so that what is looked at is what is attached to, whatever others do meanwhile.

A name can lead to another file a moment later, and in a container to another file than here. So a file is opened once,
and everything after that, the attaching included, goes through the descriptor.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from ebtop.resolve.elflayout import ElfError
from ebtop.resolve.mappings import Mapping, open_mapping, read_mappings
from ebtop.resolve.regularfile import Identity, open_beneath, open_regular

_DELETED = " (deleted)"


class BinaryError(Exception):
    """The file cannot be opened or used; one line says why."""


class BinaryFile:
    """An open file. `path` is its name where it was found; `pid` is the process in whose view that is, 0 for ours.

    Close it, or use it as a context manager.
    """

    def __init__(self, fd: int, path: str, pid: int = 0, deleted: bool = False) -> None:
        self.fd, self.path, self.pid, self.deleted = fd, path, pid, deleted
        self.identity = Identity.of(fd)
        self.held = ExitStack()  # what is open as long as this, such as its debug file

    @property
    def attach_path(self) -> str:
        """A path that leads this process (and whom it passes the descriptor to) to this very file while it is open."""
        return f"/proc/self/fd/{self.fd}"

    @property
    def seen_here(self) -> str:
        """Its path from here, behind all symlinks, for debug files beside it; "" when its name is gone."""
        if self.deleted:
            return ""
        return f"/proc/{self.pid}/root{self.path}" if self.pid else str(Path(self.attach_path).readlink())

    def close(self) -> None:
        """Close the descriptor; attached probes stay."""
        self.held.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_binary(path: str) -> BinaryFile:
    """The file at a path of ours. Raises BinaryError."""
    try:
        return _checked(BinaryFile(open_regular(path), path))
    except (OSError, ValueError) as error:
        raise BinaryError(f"{path}: {_reason(error)}") from error


def open_executable(pid: int) -> BinaryFile:
    """The program that a process runs, also when it was deleted or replaced since. Raises BinaryError."""
    try:
        process = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            name = os.readlink("exe", dir_fd=process)
            fd = open_regular("exe", dir_fd=process)
        finally:
            os.close(process)
    except (OSError, ValueError) as error:
        raise BinaryError(f"the program of process {pid}: {_reason(error, pid)}") from error
    return _checked(BinaryFile(fd, name.removesuffix(_DELETED), pid, name.endswith(_DELETED)))


def open_in_process(pid: int, path: str) -> BinaryFile:
    """The file at a path as a process sees it, in its mount namespace and root. Raises BinaryError.

    A file that the process has mapped under this name, though it was deleted or replaced, goes before what has the
    name now: the process runs the former. A name without a slash is that of a mapped library: "libc", "libc.so.6".
    """
    try:
        mapped = mapped_as(pid, path)
        if mapped is not None:
            return _open_mapped(pid, mapped)
        process = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return _checked(BinaryFile(open_beneath(process, path), path, pid))
        finally:
            os.close(process)
    except (OSError, ValueError) as error:
        raise BinaryError(f"{path} of process {pid}: {_reason(error, pid)}") from error


def _open_mapped(pid: int, mapping: Mapping) -> BinaryFile:
    fd = open_mapping(pid, mapping)
    try:
        deleted = _elsewhere(pid, mapping)
    except OSError:
        deleted = True
    return _checked(BinaryFile(fd, mapping.path, pid, deleted))


def _elsewhere(pid: int, mapping: Mapping) -> bool:
    """Whether the name of a mapped file leads to another file now."""
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        now = open_beneath(root, mapping.path)
    finally:
        os.close(root)
    try:
        return os.fstat(now).st_ino != mapping.inode
    finally:
        os.close(now)


def mapped_as(pid: int, path: str) -> Mapping | None:
    """The code that a process has mapped from the file of that name, or of that file name when it has no slash; None
    also where we may not look, or it has gone."""
    try:
        mappings = [mapping for mapping in read_mappings(pid) if mapping.is_file]
    except (OSError, ValueError):
        return None
    if "/" in path:
        return next((mapping for mapping in mappings if mapping.path == path), None)
    named = [(Path(mapping.path).name, mapping) for mapping in mappings]
    exact = (mapping for name, mapping in named if name == path)
    return next(exact, None) or next((mapping for name, mapping in named if name.startswith(f"{path}.so")), None)


def _checked(file: BinaryFile) -> BinaryFile:
    """The file, if it begins as an ELF file does; otherwise it is closed. Raises BinaryError."""
    try:
        start = os.pread(file.fd, 256, 0)
    except OSError as error:
        file.close()
        raise BinaryError(f"{file.path}: {_reason(error)}") from error
    if start.startswith(b"\x7fELF"):
        return file
    file.close()
    if start.startswith(b"#!"):
        interpreter = os.fsdecode(start[2:].split(b"\n")[0].split()[0] if start[2:].split() else b"a shell")
        raise BinaryError(f"{file.path} is a script: probe what runs it, {interpreter}")
    raise BinaryError(f"{file.path} is not an ELF file")


def _reason(error: OSError | ValueError | ElfError, pid: int = 0) -> str:
    if not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.ENOSYS:
        return "this kernel (before Linux 5.6) cannot open files inside another root: name it as it is seen from here"
    if pid and error.errno in {errno.ESRCH, errno.ENOENT} and not Path(f"/proc/{pid}").exists():
        return "there is no such process"
    return (error.strerror or str(error)).lower() if error.errno != errno.EACCES else "permission denied (root may)"
