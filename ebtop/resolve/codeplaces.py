"""Which file an address of a process was in as an event happened, though the process may be gone or be another now."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, Protocol

from ebtop.resolve.bounded import BoundedCache
from ebtop.resolve.cfaprogram import Row
from ebtop.resolve.mappings import Mapping, mapped_file, open_mapping
from ebtop.resolve.regularfile import Identity
from ebtop.resolve.symbols import Symbolizer, UserFrame
from ebtop.resolve.unwindtables import UnwindTables

_BUILD_ID, _ADDRESS = 1, 2
_MOST_LAYOUTS = 512
_MOST_FILES = 100
_MOST_ROWS = 1 << 14
_MOST_AT_A_LOOK = 256
_PAGE = 4096


class Told(NamedTuple):
    """What the kernel said of a process's memory as the event happened.

    `program` is the number of its inode, `code` where its code begins and ends. `placed` are addresses with their
    frames, the first of them that of the instruction that ran.
    """

    pid: int
    program: int
    code: tuple[int, int]
    placed: Sequence[tuple[int, UserFrame]]


class Places(Protocol):
    """The memory of one process at one time."""

    def row(self, address: int) -> Row | None:
        """The row of the unwind table for an address, None without one."""
        ...

    def frame(self, address: int) -> UserFrame:
        """The frame by which the function at an address is named."""
        ...


class CodePlaces:
    """Finds them. Nothing raises."""

    def __init__(self, symbols: Symbolizer) -> None:
        self._symbols, self._tables = symbols, UnwindTables(symbols.failures)
        self._epoch = -1
        self._living: dict[int, _Living | None] = {}
        self._gone: dict[tuple[int, tuple[int, int], int, bool], _Gone] = {}
        self._seen: BoundedCache[tuple[int, int], _Living] = BoundedCache(_MOST_LAYOUTS)
        self._told: BoundedCache[tuple[int, tuple[int, int]], dict[bytes, int]] = BoundedCache(_MOST_LAYOUTS)

    def of(self, told: Told) -> Places:
        """The memory that was told of: as it is, if the process still is what it was; or by what is known of it."""
        self._begin()
        if self._living.get(told.pid) is None or _has_gone(told.pid):  # it may have, since the last record
            self._living[told.pid] = self._look_at(told.pid)
        living = self._living[told.pid]
        if living is not None and living.code == told.code and living.holds(told):
            self._seen.put(told.code, living)
            return living
        files = self._files_of(told)
        # Children that were forked have everything where their parents have it; not every record can show that.
        like = self._seen.get(told.code)
        like = like if like is not None and like.held(told) else None
        key = (told.pid, told.code, len(files), like is not None)
        if key not in self._gone:
            self._gone[key] = _Gone(self._symbols, self._tables, told, files, like)
        return self._gone[key]

    def _begin(self) -> None:
        if self._epoch != self._symbols.epoch:
            self._epoch = self._symbols.epoch
            for living in filter(None, self._living.values()):
                living.forget_rows()  # what it has mapped is kept longer
            self._living.clear()
            self._gone.clear()
            self._tables.tick()

    def look_at(self, pid: int) -> None:
        """Learn what a process has mapped by now, while it is there."""
        self._begin()
        living, known = self._look_at(pid), self._living.get(pid)
        if living is None:
            return
        if known is not None and known.code == living.code:
            living = known
        living.learn()
        self._living[pid] = living
        self._seen.put(living.code, living)

    def _files_of(self, told: Told) -> dict[bytes, int]:
        """The build ids of the files that the kernel has named in that memory so far, and where their offset 0 is.

        It does not always name them: what takes the lock of the memory may have to wait for the next tick of the clock.
        """
        new: dict[bytes, int] = {}
        for at, frame in told.placed:
            bias = at - frame.value
            if frame.status == _BUILD_ID and bias >= 0 and not bias % _PAGE:  # else it is data, which has no offset
                new.setdefault(frame.build_id, bias)
        known = self._told.get((told.pid, told.code)) or {}
        if any(known.get(build_id, bias) != bias for build_id, bias in new.items()):
            known = {}  # another process, of the same program
        if len(known) < _MOST_FILES:
            known |= new
        self._told.put((told.pid, told.code), known)
        return known

    def _look_at(self, pid: int) -> _Living | None:
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            code = int(fields[23]), int(fields[24])
        except (OSError, ValueError, IndexError):
            return None
        before = self._seen.get(code)
        had = before.known() if before is not None and before.pid == pid else {}
        return _Living(self._symbols, self._tables, pid, code, had)


def _has_gone(pid: int) -> bool:
    """Whether a process has no memory any more. One that we may not look at counts as being there."""
    try:
        os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115  a Path takes four times as long
    except OSError as error:
        return not isinstance(error, PermissionError)
    return False


class _Living:
    """A process that is there. `had` are files that it was seen to have before."""

    def __init__(
        self, symbols: Symbolizer, tables: UnwindTables, pid: int, code: tuple[int, int], had: dict[Mapping, Identity]
    ) -> None:
        self.pid, self.code = pid, code
        self._symbols, self._tables, self._had = symbols, tables, had
        self._files: dict[Mapping, Identity | None] = {}
        self._rows: dict[int, Row | None] = {}  # of return addresses, which are the same again and again

    def holds(self, told: Told) -> bool:
        """Whether it has the files that were told of where they were."""
        return all(frame.status != _BUILD_ID or self._offset(at) == frame.value for at, frame in told.placed[:1])

    def held(self, told: Told) -> bool:
        """The same of what it had. Where nothing is named, only itself is sure to have been it."""
        for at, frame in told.placed:
            if frame.status == _BUILD_ID:
                place = self.remembered(at)
                return place is not None and place[1] == frame.value
        return told.pid == self.pid

    def _offset(self, address: int) -> int | None:
        mapping = self._symbols.mapping(self.pid, address)
        return None if mapping is None else address - mapping.start + mapping.offset

    def row(self, address: int) -> Row | None:
        """See Places."""
        if address not in self._rows:
            if len(self._rows) >= _MOST_ROWS:  # who makes up a stack has as many as it likes
                self._rows.clear()
            self._rows[address] = self._look_up(address)
        return self._rows[address]

    def _look_up(self, address: int) -> Row | None:
        mapping = self._symbols.mapping(self.pid, address)
        if mapping is None or not mapping.is_file:
            return None
        if mapping not in self._files:
            self._files[mapping] = self._identity(mapping)
        identity = self._files[mapping]
        return identity and _row(self._tables, identity, address - mapping.start + mapping.offset)

    def learn(self) -> None:
        """Remember the files that it has mapped."""
        mapped = (m for m in self._symbols.mappings_now(self.pid) if m.is_file and m not in self._files)
        for mapping in islice(mapped, _MOST_AT_A_LOOK):
            self._files[mapping] = self._identity(mapping)
        self.forget_rows()

    def forget_rows(self) -> None:
        """There may be others now."""
        self._rows.clear()

    def _identity(self, mapping: Mapping) -> Identity | None:
        with contextlib.suppress(OSError):  # it may take a capability to look there
            identity = Identity.at(mapped_file(self.pid, mapping))
            if self._tables.knows(identity):  # as nearly all that short-lived programs have
                return identity
        try:
            fd = open_mapping(self.pid, mapping)
        except (OSError, ValueError):
            return None
        try:
            self._symbols.files.learn(fd, mapping.path, mapping.path)
            return self._tables.learn(fd)
        finally:
            os.close(fd)

    def remembered(self, address: int) -> tuple[Identity, int] | None:
        """The file that was seen to be at an address, and the place in it."""
        for mapping, identity in chain(self._files.items(), self._had.items()):
            if identity is not None and mapping.start <= address < mapping.end:
                return identity, address - mapping.start + mapping.offset
        return None

    def known(self) -> dict[Mapping, Identity]:
        """The files that it was seen to have, the newest first; who maps others all the time has only those."""
        files = {mapping: identity for mapping, identity in self._files.items() if identity is not None}
        return files | self._had | files if len(files) + len(self._had) <= _MOST_AT_A_LOOK else files

    def frame(self, address: int) -> UserFrame:
        """See Places."""
        return UserFrame(_ADDRESS, b"", address)


class _Gone:
    """A process that is not there any more: the files that the kernel named, and what it was seen to execute."""

    def __init__(
        self, symbols: Symbolizer, tables: UnwindTables, told: Told, files: dict[bytes, int], like: _Living | None
    ) -> None:
        self._symbols, self._tables, self._like = symbols, tables, like
        self._told, self._ids = told, files
        self._files: list[tuple[Identity, int]] | None = None

    def _find_files(self) -> list[tuple[Identity, int]]:
        """What the kernel named, and the program."""
        found = ((self._learn(build_id), bias) for build_id, bias in self._ids.items())
        programs = (self._program(build_id) for build_id in self._symbols.programs(self._told.program))
        return [(identity, bias) for identity, bias in (*found, *filter(None, programs)) if identity is not None]

    def _learn(self, build_id: bytes) -> Identity | None:
        fd = self._symbols.files.open(build_id)
        if fd is None:
            return None
        try:
            return self._tables.learn(fd)
        finally:
            os.close(fd)

    def _program(self, build_id: bytes) -> tuple[Identity, int] | None:
        """A program that ran there and where its offset 0 was, if its code is as large as what did then."""
        identity = self._learn(build_id)
        table = self._tables.table(identity) if identity is not None else None
        if identity is None or table is None:
            return None
        start, end = table.code
        offset = table.offset_of(start)
        same = end - start == self._told.code[1] - self._told.code[0]
        return (identity, self._told.code[0] - offset) if same and offset is not None else None

    def _place(self, address: int) -> tuple[Identity, int] | None:
        place = self._like.remembered(address) if self._like is not None else None
        if place is not None:
            return place
        if self._files is None:  # each is opened for it, so only where it is needed
            self._files = self._find_files()
        for identity, bias in self._files:
            table = self._tables.table(identity)
            if table is not None and table.address_of(address - bias) is not None:
                return identity, address - bias
        return None

    def row(self, address: int) -> Row | None:
        """See Places."""
        place = self._place(address)
        return place and _row(self._tables, *place)

    def frame(self, address: int) -> UserFrame:
        """See Places."""
        place = self._place(address)
        table = self._tables.table(place[0]) if place is not None else None
        if place is None or table is None or not table.build_id:
            return UserFrame(_ADDRESS, b"", address)
        return UserFrame(_BUILD_ID, table.build_id, place[1])


def _row(tables: UnwindTables, identity: Identity, offset: int) -> Row | None:
    table = tables.table(identity)
    address = table.address_of(offset) if table is not None else None
    return tables.row(identity, address) if address is not None else None
