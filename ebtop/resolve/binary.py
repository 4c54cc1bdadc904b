"""What an executable or a library offers to probes: its functions, its USDT probes, and where both lie in the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from ebtop.resolve.binaryfile import BinaryError, BinaryFile
from ebtop.resolve.bounded import BoundedCache
from ebtop.resolve.cfi import EM_AARCH64, CfiError, UnwindTable
from ebtop.resolve.codesegments import CodeSegments
from ebtop.resolve.codesymbols import OWN, SEPARATE, read_code_symbols
from ebtop.resolve.debugfile import DEBUG_ROOT, separate_debug_file
from ebtop.resolve.dwarf import Description, Dwarf
from ebtop.resolve.dwarfsections import DwarfError
from ebtop.resolve.elflayout import ElfError, ElfImage
from ebtop.resolve.entrypoint import EntryPoint, cheap_entry, go_entry
from ebtop.resolve.functionindex import Function, FunctionIndex
from ebtop.resolve.functionsearch import Found, search
from ebtop.resolve.regularfile import Identity
from ebtop.resolve.usdt import UsdtProbe, read_usdt

T = TypeVar("T")

_MOST_FILES = 32
_MOST_BYTES = 256 << 20
_PROBE_BYTES = 1000
_DEBUG_INFO = frozenset({".debug_info", ".zdebug_info"})


class Offer(NamedTuple):
    """What can be probed. `named` functions by name, found in `origins`; `starts` are addresses in the unwind tables at
    which functions begin, or parts of them; `text` says it in one line."""

    stripped: bool
    named: int
    origins: tuple[str, ...]
    usdt: int
    starts: int
    text: str


class Binaries:
    """Remembers what was read of files, by device, inode, size and time. For one thread at a time."""

    def __init__(self, debug_root: str = DEBUG_ROOT) -> None:
        self.debug_root = debug_root
        self._functions: BoundedCache[Identity, FunctionIndex] = BoundedCache(_MOST_FILES, _MOST_BYTES)
        self._usdt: BoundedCache[Identity, tuple[UsdtProbe, ...]] = BoundedCache(_MOST_FILES, _MOST_BYTES)

    def debug_roots(self, file: BinaryFile) -> str:
        """The folders with debug files, ours and those of the file's own root, separated by colons."""
        return self.debug_root + (f":/proc/{file.pid}/root{DEBUG_ROOT}" if file.pid else "")

    def functions(self, file: BinaryFile, image: ElfImage) -> FunctionIndex:
        """The functions of an open file. Raises ElfError."""
        known = self._functions.get(file.identity)
        if known is None:
            roots = self.debug_roots(file)
            known = FunctionIndex(read_code_symbols(image, file.fd, image.build_id(), file.seen_here, roots))
            self._functions.put(file.identity, known, known.nbytes)
        return known

    def usdt(self, file: BinaryFile, image: ElfImage) -> tuple[UsdtProbe, ...]:
        """The USDT probes of an open file. Raises ElfError."""
        known = self._usdt.get(file.identity)
        if known is None:
            known = tuple(read_usdt(image))
            self._usdt.put(file.identity, known, _PROBE_BYTES * (1 + sum(len(probe.places) for probe in known)))
        return known


class Binary:
    """One open file; it stays open as long as its owner wants. All methods raise BinaryError, nothing else.

    Addresses are virtual addresses as symbol tables and debuggers give them; offsets are those of the file, which is
    what the kernel wants. `Binaries` may be shared by all files.
    """

    def __init__(self, file: BinaryFile, known: Binaries) -> None:
        self.file, self._known = file, known
        self.image = self._tried(lambda: ElfImage(file.fd))
        self.code = self._tried(lambda: CodeSegments(self.image))
        self._dwarf: Dwarf | None = None

    @property
    def functions(self) -> FunctionIndex:
        """All functions that have names."""
        return self._tried(lambda: self._known.functions(self.file, self.image))

    @property
    def usdt(self) -> tuple[UsdtProbe, ...]:
        """The USDT probes."""
        return self._tried(lambda: self._known.usdt(self.file, self.image))

    @property
    def go(self) -> bool:
        """Whether it is a Go program, which a probe at a function's return would end (Go moves its stacks)."""
        return self.functions.dotted

    def find(self, pattern: str, *, limit: int = 1000, ignore_case: bool = False) -> Found:
        """The functions of that name; see `search`."""
        return self._tried(lambda: search(self.functions, pattern, limit=limit, ignore_case=ignore_case))

    def offset_of(self, address: int) -> int:
        """The file offset of an address in code."""
        return self._tried(lambda: self.code.offset_of(address))

    def entry(self, function: Function) -> EntryPoint:
        """Where to attach to see each call of a function once, at the least cost."""
        place = go_entry if self.go else cheap_entry
        return self._tried(lambda: place(self.image, self.code.offset_of(function.address), function.size))

    @property
    def dwarf(self) -> Dwarf:
        """The debug information, of the file or of its separate debug file, which stays open as long as the file."""
        if self._dwarf is None:
            self._dwarf = self._tried(self._open_dwarf)
        return self._dwarf

    def _open_dwarf(self) -> Dwarf:
        if any(section.name in _DEBUG_INFO for section in self.image.sections):
            return Dwarf(self.image)
        roots = self._known.debug_roots(self.file)
        found = self.file.held.enter_context(
            separate_debug_file(self.image, self.image.build_id(), self.file.seen_here, roots)
        )
        if found is None:
            raise BinaryError(f"{self.file.path}: no debug information, neither in it nor in a debug file")
        return Dwarf(found[0])

    def describe(self, function: Function) -> Description:
        """The parameters of a function and where they are when it begins, from debug information."""
        return self._tried(lambda: self.dwarf.function(function.address, changed=bool(function.clones)))

    def starts_instruction(self, address: int) -> bool | None:
        """Whether an instruction begins at an address in code: True when a function does, None when nobody knows.

        A probe in the midst of an instruction damages the program.
        """
        self.offset_of(address)
        if self.image.machine == EM_AARCH64:
            return address % 4 == 0
        return True if self.functions.at(address) is not None or address in self._starts() else None

    def _starts(self) -> set[int]:
        """Where functions begin by the unwind tables, which also programs without symbols have."""
        try:
            return {start for start in UnwindTable(self.file.fd).starts.tolist() if self._is_code(start)}
        except CfiError:
            return set()

    def _is_code(self, address: int) -> bool:
        return any(start <= address < end for start, end in self.code.ranges)

    def offer(self) -> Offer:
        """What can be probed, and for a stripped file what is missing."""
        index, usdt, starts = self.functions, len(self.usdt), len(self._starts())
        return Offer(index.stripped, index.places, index.origins, usdt, starts, _said(index, usdt, starts))

    def _tried(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except BinaryError:
            raise
        except (ElfError, DwarfError, ValueError) as error:
            raise BinaryError(f"{self.file.path}: {error}") from error
        except Exception as error:  # a bound that was forgotten must cost one file, not the capture process
            raise BinaryError(f"{self.file.path}: damaged: {type(error).__name__}: {error}") from error


def _said(index: FunctionIndex, usdt: int, starts: int) -> str:
    possible = [f"{usdt} USDT probes"] * bool(usdt) + [f"{starts} function starts by address"] * bool(starts)
    others = f"; also {' and '.join(possible)}" if possible else ""
    if not index.stripped:
        return f"{index.places} functions{others}"
    if set(index.origins) - {OWN}:
        other = next(origin for origin in index.origins if origin != OWN)
        source = "its debug file" if other == SEPARATE else f"its {other}"
        return f"stripped, but {source} names {index.places} functions{others}"
    why = f" ({index.damaged})" if index.damaged else ""
    left = f"only the {index.places} functions that it exports have names" if index.places else "no function has a name"
    return f"stripped{why}: {left}{others}; a debug file (a -dbg or -dbgsym package) would name the others"
