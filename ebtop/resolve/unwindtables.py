"""The unwind tables of files, remembered by file, and their rows by address."""

from __future__ import annotations

from collections import Counter

from ebtop.resolve.bounded import BoundedCache
from ebtop.resolve.cfaprogram import Row
from ebtop.resolve.cfi import CfiError, UnwindTable
from ebtop.resolve.regularfile import Identity

_MOST_FILES, _MOST_BYTES = 256, 48 << 20
_MOST_KNOWN = 8192
_MOST_ROWS = 32768
MOST_WORK = 2 << 20
"""Bytes of programs that are run in an interval: files that are made for it may have long ones everywhere."""


class UnwindTables:
    """Bounded caches. Only OSError is raised; failures are counted by reason in `failures`."""

    def __init__(self, failures: Counter[str]) -> None:
        self._failures = failures
        self._tables: BoundedCache[Identity, UnwindTable] = BoundedCache(_MOST_FILES, _MOST_BYTES)
        self._without: BoundedCache[Identity, str] = BoundedCache(_MOST_KNOWN)
        self._work = 0
        self._rows: BoundedCache[tuple[Identity, int], tuple[Row | None]] = BoundedCache(_MOST_ROWS)

    def tick(self) -> None:
        """Begin a new interval."""
        self._work = 0

    def learn(self, fd: int) -> Identity:
        """Read the tables of an open file, if it has some and they are not known."""
        identity = Identity.of(fd)
        if identity not in self._tables and identity not in self._without:
            try:
                table = UnwindTable(fd)
                self._tables.put(identity, table, table.nbytes)
            except CfiError as error:
                self._fail(error)
                self._without.put(identity, str(error)[:80])
        return identity

    def knows(self, identity: Identity) -> bool:
        """Whether a file was learnt."""
        return identity in self._tables or identity in self._without

    def table(self, identity: Identity) -> UnwindTable | None:
        """The tables of a file that was learnt, if it has some and they are still known."""
        return self._tables.get(identity)

    def row(self, identity: Identity, address: int) -> Row | None:
        """The row at a virtual address of a file that was learnt; None where it has none, or after too much work."""
        known = self._rows.get((identity, address))
        if known is None:
            if self._work > MOST_WORK:
                self._failures["unwind tables: too much work"] += 1
                return None
            known = (self._read(identity, address),)
            self._rows.put((identity, address), known)
        return known[0]

    def _read(self, identity: Identity, address: int) -> Row | None:
        table = self._tables.get(identity)
        if table is None:
            return None
        before = table.work
        try:
            return table.row(address)
        except CfiError as error:
            self._fail(error)
            return None
        finally:
            self._work += table.work - before

    def _fail(self, error: CfiError) -> None:
        self._failures[f"unwind table: {error}"[:80]] += 1
