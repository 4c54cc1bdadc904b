"""Symbols by file and by build id, remembered so that programs which are gone can still be named."""

from __future__ import annotations

import os
import stat
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ebtop.resolve.bounded import BoundedCache
from ebtop.resolve.debugfile import DEBUG_ROOT
from ebtop.resolve.elf import ElfError, ElfSymbols
from ebtop.resolve.elflayout import ET_EXEC, ElfImage, kernel_build_id
from ebtop.resolve.regularfile import Identity, open_regular

_MAX_FILES = 512
_MAX_BYTES = 128 << 20
_MAX_KNOWN = 8192


class Facts(NamedTuple):
    """What the headers of a file say. `build_id` is as the kernel gives it, b"" without one."""

    build_id: bytes
    fixed: bool


class Origin(NamedTuple):
    """Where a file with some build id was seen. `opens` leads to it, `path` is its name, which may have gone."""

    identity: Identity
    opens: str
    path: str
    trusted: bool


class Module(NamedTuple):
    """A file by its name in stacks; `symbols` is None when it cannot be read."""

    name: str
    identity: Identity
    symbols: ElfSymbols | None


class SymbolFiles:
    """Bounded caches of what is known of ELF files. Nothing raises; failures are counted by reason in `failures`."""

    def __init__(self, failures: Counter[str], debug_root: str = DEBUG_ROOT) -> None:
        self.failures = failures
        self.revision = 0  # counts the build ids that turned out to be those of another file
        self._debug_root = debug_root
        self._facts: BoundedCache[Identity, Facts] = BoundedCache(_MAX_KNOWN)
        self._origins: BoundedCache[bytes, Origin] = BoundedCache(_MAX_KNOWN)
        self._loaded: BoundedCache[Identity, ElfSymbols] = BoundedCache(_MAX_FILES, _MAX_BYTES)
        self._unreadable: BoundedCache[Identity, str] = BoundedCache(_MAX_KNOWN)

    def learn(self, fd: int, path: str, opens: str) -> Facts | None:
        """Read the headers of an open file and remember its build id; None when it is no ELF file.

        `path` is its name, `opens` another path that leads to it for some time, should the name not lead to it.
        """
        try:
            identity = Identity.of(fd)
            facts = self._facts.get(identity) or self._read_facts(fd, identity)
        except (OSError, ElfError) as error:
            self.failures[f"unreadable file: {type(error).__name__}"] += 1
            return None
        if facts.build_id:
            self._remember(facts.build_id, fd, identity, path, opens)
        return facts

    def _read_facts(self, fd: int, identity: Identity) -> Facts:
        image = ElfImage(fd)
        facts = Facts(kernel_build_id(image.build_id()), image.type == ET_EXEC)
        self._facts.put(identity, facts)
        return facts

    def _remember(self, build_id: bytes, fd: int, identity: Identity, path: str, opens: str) -> None:
        """Anyone can give a file of theirs the build id of another: files that only root can write go first."""
        status = os.fstat(fd)
        trusted = status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        known = self._origins.get(build_id)
        if known is None or (trusted and not known.trusted):
            self.revision += known is not None
            self._origins.put(build_id, Origin(identity, _lasting(path, identity) or opens, path, trusted))

    def lasting(self, build_id: bytes) -> bool:
        """Whether the file of a build id can be opened under its own name, so that it need not be read now."""
        origin = self._origins.get(build_id)
        return origin is not None and origin.opens == origin.path

    def by_file(self, fd: int, path: str) -> Module:
        """The symbols of an open file. `path` is its name."""
        identity = Identity.of(fd)
        name = Path(path).name
        symbols = self._loaded.get(identity)
        if symbols is None and identity not in self._unreadable:
            symbols = self._load(fd, path, identity)
        return Module(name, identity, symbols)

    def _load(self, fd: int, path: str, identity: Identity) -> ElfSymbols | None:
        try:
            symbols = _load(fd, path, self._debug_root)
        except ElfError as error:
            self.failures[f"unreadable ELF file: {error}"[:80]] += 1
            self._unreadable.put(identity, str(error)[:80])
            return None
        self._loaded.put(identity, symbols, symbols.nbytes)
        return symbols

    def by_build_id(self, build_id: bytes) -> Module | None:
        """The symbols of the file with a build id (20 bytes, as from the kernel); None when no such file is known."""
        origin = self._origins.get(build_id)
        if origin is None:
            return None
        symbols = self._loaded.get(origin.identity)
        if symbols is not None:
            return Module(Path(origin.path).name, origin.identity, symbols)
        return self._reopen(build_id, origin)

    def _reopen(self, build_id: bytes, origin: Origin) -> Module | None:
        fd = self.open(build_id)
        if fd is None:
            return None
        try:
            return self.by_file(fd, origin.path)
        finally:
            os.close(fd)

    def open(self, build_id: bytes) -> int | None:
        """A descriptor to read the file with a build id; None when no such file is known, or it was replaced."""
        origin = self._origins.get(build_id)
        if origin is None:
            return None
        try:
            fd = open_regular(origin.opens)
        except (OSError, ValueError):
            self._origins.drop(build_id)
            return None
        facts = self.learn(fd, origin.path, origin.opens)
        if facts is not None and facts.build_id == build_id:
            return fd
        os.close(fd)
        self.failures["file was replaced"] += 1
        self._origins.drop(build_id)
        return None


def _load(fd: int, path: str, debug_root: str) -> ElfSymbols:
    symbols = ElfSymbols.load(fd, path=path, debug_root=debug_root)
    if symbols.nbytes > _MAX_BYTES:  # it would be read with every tick
        raise ElfError("more symbols than can be kept")
    return symbols


def _lasting(path: str, identity: Identity) -> str:
    """`path` when it leads to that very file in our own view of the file systems, "" otherwise."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return ""
    seen = Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return path if seen == identity else ""
