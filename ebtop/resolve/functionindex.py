"""The functions of one file, by name and by address, within bounds of memory and of time.

All names are demangled, a block of some thousands at a time, and searched as text; blocks are remembered as long as
there is room. So a file with millions of names takes time again with each search, and never more memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ebtop.resolve.bounded import BoundedCache
from ebtop.resolve.codesymbols import CodeSymbols
from ebtop.resolve.demangle import demangle_once
from ebtop.resolve.functionname import PIECES, clones_of, unversioned
from ebtop.resolve.symboltable import U64
from ebtop.tool import text

_BLOCK = 4096
_PATIENCE = 64
_MOST_TEXT = 64 << 20
_MOST_ALIASES = 64
_OVERHEAD = 4000
_MAPPING_SYMBOLS = (b"$x", b"$d", b"$a", b"$t")  # arm and arm64 mark where data and code begin
SEPARATOR: Final = b"\0"


class OutOfTimeError(Exception):
    """The names are more, or more complicated, than there is time for."""


class Function(NamedTuple):
    """A function, or another place in code that has a name.

    `kind` is "function", "ifunc" (its code chooses the function that is called, once; a probe there sees that choice)
    or "label" (the file says neither that it is a function nor how long). `size` is 0 when unknown. `aliases` are the
    other names of the same address: a probe counts the calls of all of them. `origin` is where the name was found.
    """

    name: str
    symbol: str
    address: int
    size: int
    kind: str
    clones: tuple[str, ...]
    aliases: tuple[str, ...]
    origin: str

    @property
    def whole(self) -> bool:
        """Whether it is entered once per call, unlike what the compiler moved out of a function."""
        return not PIECES.intersection(self.clones)


class Block(NamedTuple):
    """Names as text, each between two separators, where each begins, and the rows of the index that have them."""

    text: bytes
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]

    def row_at(self, position: int) -> int:
        """The row whose name stands at a position of the text."""
        return int(self.rows[int(np.searchsorted(self.starts, position, side="right")) - 1])


class FunctionIndex:
    """Made of the symbols of one file (see `read_code_symbols`). For one thread at a time."""

    def __init__(self, found: CodeSymbols) -> None:
        self.stripped, self.damaged, self.dotted = found.stripped, found.damaged, found.go
        self._strings, self._origins = found.strings, found.origins

        def column(key: str, dtype: npt.DTypeLike) -> Any:
            parts = [getattr(part, key) for part in found.parts]
            return np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype)

        address, table = column("address", np.uint64), column("table", np.uint8)
        rows = np.lexsort((column("rank", np.uint8), address))
        rows = rows[self._first_of_each_name(address, table, found)[rows]]
        self._address: U64 = address[rows]
        self._table = table[rows]
        self._size, self._name = column("size", np.uint64)[rows], column("name", np.uint32)[rows]
        self._label, self._indirect = column("label", np.bool_)[rows], column("indirect", np.bool_)[rows]
        self._order = np.lexsort((self._name, self._table)).astype(np.int64)
        self._blocks: BoundedCache[tuple[int, bool], Block] = BoundedCache(1 << 20, _MOST_TEXT)

    @staticmethod
    def _first_of_each_name(address: U64, table: npt.NDArray[np.uint8], found: CodeSymbols) -> npt.NDArray[np.bool_]:
        """.dynsym repeats what .symtab has: of its addresses only those that no earlier table of the same file has. A
        debug file has more names for the addresses that the file itself names, and repeats some."""
        keep = np.ones(len(address), np.bool_)
        for later in range(1, len(found.origins)):
            earlier = [n for n in range(later) if found.origins[n] == found.origins[later]]
            known = address[np.isin(table, earlier)]
            mine = table == later
            keep[mine] = ~np.isin(address[mine], known)
        return keep

    def __len__(self) -> int:
        return len(self._address)

    @property
    def places(self) -> int:
        """How many addresses have names."""
        return int(np.count_nonzero(np.diff(self._address))) + 1 if len(self) else 0

    @property
    def nbytes(self) -> int:
        """Bytes held, and that may come to be held for the names."""
        arrays = (self._address, self._size, self._name, self._table, self._label, self._indirect, self._order)
        held = sum(a.nbytes for a in arrays) + sum(s.nbytes for s in self._strings)
        return _OVERHEAD + int(held) + min(_MOST_TEXT, 250 * len(self))

    @property
    def origins(self) -> tuple[str, ...]:
        """Where names come from: "file", ".gnu_debugdata", "debug file"."""
        return tuple(dict.fromkeys(self._origins[int(table)] for table in np.unique(self._table)))

    def blocks(self, mangled: bool, deadline: float, sieve: bytes = b"") -> Iterator[Block]:
        """All names, as their sources have them or as the tables do; OutOfTimeError at that CPU time of the thread.

        With a `sieve`, names whose symbols do not contain these bytes may be missing: most need not be demangled then.
        """
        for number in range((len(self) + _BLOCK - 1) // _BLOCK):
            block = self._blocks.get((number, mangled))
            if block is None:
                block = self._block(self._order[number * _BLOCK : (number + 1) * _BLOCK], mangled, deadline, sieve)
                if not sieve:
                    self._blocks.put((number, mangled), block, len(block.text) + block.starts.nbytes)
            yield block

    def _block(self, rows: npt.NDArray[np.int64], mangled: bool, deadline: float, sieve: bytes) -> Block:
        parts: list[bytes] = []
        kept: list[int] = []
        for number, symbol in enumerate(self._symbols(rows)):
            if number % _PATIENCE == 0 and time.thread_time() > deadline:
                raise OutOfTimeError
            if sieve not in symbol:
                continue
            parts.append(unversioned(symbol) if mangled else demangle_once(unversioned(symbol)))
            kept.append(number)
        sizes = np.array([len(part) + 2 for part in parts], np.int64)
        starts = np.cumsum(sizes) - sizes
        return Block(SEPARATOR + (2 * SEPARATOR).join(parts) + SEPARATOR, starts, rows[kept])

    def _symbols(self, rows: npt.NDArray[np.int64]) -> Iterator[bytes]:
        tables, names = self._table[rows], self._name[rows]
        for table in np.unique(tables).tolist():  # rows are in the order of tables, then names
            yield from self._strings[table].in_order(names[tables == table].tolist())

    def _symbol(self, row: int) -> bytes:
        return self._strings[int(self._table[row])].at(int(self._name[row]))

    def address(self, row: int) -> int:
        """The virtual address of a row."""
        return int(self._address[row])

    def function(self, row: int) -> Function:
        """The function of a row."""
        symbol = unversioned(self._symbol(row))
        kind = "ifunc" if self._indirect[row] else "label" if self._label[row] else "function"
        place = int(self._address[row])
        others = (unversioned(self._symbol(other)) for other in self._at(place) if other != row)
        aliases = tuple(dict.fromkeys(text(demangle_once(other)) for other in others if other != symbol))
        origin = self._origins[int(self._table[row])]
        size, name = int(self._size[row]), text(symbol)
        return Function(text(demangle_once(symbol)), name, place, size, kind, self.clones(name), aliases, origin)

    def clones(self, name: str) -> tuple[str, ...]:
        """How the compiler changed the function of that name; see `clones_of`."""
        return () if self.dotted else clones_of(name)

    def _at(self, address: int) -> list[int]:
        if not 0 <= address < 1 << 64:
            return []
        first = int(np.searchsorted(self._address, np.uint64(address)))
        last = int(np.searchsorted(self._address, np.uint64(address), side="right"))
        return [r for r in range(first, min(last, first + _MOST_ALIASES)) if not self.is_mark(r)]

    def at(self, address: int) -> Function | None:
        """The function that begins at a virtual address, by the best of its names; None when none does."""
        rows = self._at(address)
        return self.function(rows[0]) if rows else None

    def is_mark(self, row: int) -> bool:
        """Whether a row is not a function but one of the marks that assemblers leave."""
        return bool(self._label[row]) and self._symbol(row).startswith(_MAPPING_SYMBOLS)
