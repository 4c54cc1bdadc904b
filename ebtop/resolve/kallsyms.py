"""Names of kernel functions, from /proc/kallsyms."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ebtop.resolve.regularfile import read_bounded
from ebtop.tool import text

_PATH = "/proc/kallsyms"
_MAX_FILE = 128 << 20
_DIGITS = 16
_REFRESH_S = 60.0
_NAME = _DIGITS + 3  # "ADDRESS T name[\tmodule]"
_TEXT_TYPES = np.frombuffer(b"tTwW", dtype=np.uint8)
_LARGEST_FUNCTION = 1 << 20
_MOST_KNOWN = 1 << 15
_UNKNOWN = ("[unknown]", "kernel")

U8 = npt.NDArray[np.uint8]


class KernelSymbols:
    """Looks kernel addresses up; the file is read at the first lookup. For one thread at a time.

    `state` is "" when names can be had, otherwise it says why not.
    """

    def __init__(self, path: str = _PATH) -> None:
        self._path = path
        self._loaded_at: float | None = None
        self._data = b""
        self._address = np.empty(0, np.uint64)
        self._name_at = np.empty(0, np.uint32)
        self._is_text = np.empty(0, np.bool_)
        self._known: dict[int, tuple[str, str]] = {}  # what was looked up: the same addresses come every second
        self.state = ""

    def _load(self) -> None:
        self._loaded_at = time.monotonic()
        self._known.clear()
        try:
            data = read_bounded(self._path, _MAX_FILE)
        except OSError as error:
            self.state = f"no kernel symbols: {self._path}: {error.strerror}"
            return
        self._parse(np.frombuffer(data, dtype=np.uint8))

    def _parse(self, data: U8) -> None:
        """All lines at once: addresses have a fixed number of digits, so that they are columns of a matrix."""
        ends = np.flatnonzero(data == ord("\n"))
        starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else np.empty(0, np.int64)
        starts = starts[ends - starts > _NAME]
        address, valid = _hexadecimal(data, starts)
        starts, address = starts[valid], address[valid]
        if not len(address):
            self.state = f"no kernel symbols: {self._path} is empty"
            return
        if not address.any():
            self.state = "no kernel symbols: kptr_restrict"
            self._address = np.empty(0, np.uint64)
            return
        self.state = ""
        order = np.argsort(address, kind="stable")
        self._address, starts = address[order], starts[order]
        self._is_text = np.isin(data[starts + _DIGITS + 1], _TEXT_TYPES)
        self._keep_names(data, ends, starts)

    def _keep_names(self, data: U8, ends: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> None:
        """Of the file only what is asked for again: the functions' names with the line ends behind them."""
        edges = np.zeros(len(data) + 1, np.int8)
        names = starts[self._is_text] + _NAME
        edges[names] = 1
        edges[ends[np.searchsorted(ends, names)] + 1] -= 1
        kept = np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)
        self._data = data[kept].tobytes()
        ascending = np.argsort(starts)  # names stand in the order of the file
        lengths = np.zeros(len(starts), np.int64)
        lengths[self._is_text] = ends[np.searchsorted(ends, names)] + 1 - names
        behind = np.cumsum(lengths[ascending])
        self._name_at = np.empty(len(starts), np.uint32)
        self._name_at[ascending] = behind - lengths[ascending]

    def lookup(self, addresses: Sequence[int]) -> list[tuple[str, str]]:
        """(function, module) of each address; module is "kernel" for the kernel itself, name "[unknown]" if unknown.

        Data symbols bound functions: an address behind the last function of a section has no name.
        """
        known = {address: self._known[address] for address in addresses if address in self._known}
        missing = [address for address in addresses if address not in known]
        if missing:
            known |= self._learn(missing)
        return [known.get(address, _UNKNOWN) for address in addresses]

    def _learn(self, addresses: Sequence[int]) -> dict[int, tuple[str, str]]:
        if self._loaded_at is None:
            self._load()
        if not len(self._address):
            return {}
        found = self._find(addresses)
        # Modules and BPF programs come and go: what is not known may have been loaded meanwhile.
        if _UNKNOWN in found and time.monotonic() - (self._loaded_at or 0.0) > _REFRESH_S:
            self._load()
            found = self._find(addresses)
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        learnt = {at: name for at, name in zip(addresses, found, strict=True) if name is not _UNKNOWN}
        self._known |= learnt
        return learnt

    def places(self, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Address and size of the kernel's own functions of these names, as far as they are known. A start waits for
        this: the file is searched for their lines only, and not kept."""
        try:
            data = read_bounded(self._path, _MAX_FILE)
        except OSError:
            return {}
        wanted = b"|".join(re.escape(name.encode()) for name in names)
        lines = re.finditer(rb" [tTwW] (" + wanted + rb")\n", data)
        found = ((line[1].decode(), int(data[line.start() - _DIGITS : line.start()], 16), line.end()) for line in lines)
        return {name: (start, _next(data, at, start) - start) for name, start, at in found if start}

    def _find(self, addresses: Sequence[int]) -> list[tuple[str, str]]:
        wanted = np.array([address & ((1 << 64) - 1) for address in addresses], dtype=np.uint64)
        # Of several names of one address the first one in the file counts.
        last = np.searchsorted(self._address, wanted, side="right") - 1
        first = np.searchsorted(self._address, self._address[np.maximum(last, 0)], side="left")
        near = (last >= 0) & (wanted - self._address[np.maximum(last, 0)] < _LARGEST_FUNCTION)
        return [self._entry(int(a), int(b)) if ok else _UNKNOWN for a, b, ok in zip(first, last, near, strict=True)]

    def _entry(self, first: int, last: int) -> tuple[str, str]:
        for index in range(first, last + 1):
            if self._is_text[index]:
                start = int(self._name_at[index])
                name, _, module = self._data[start : self._data.index(b"\n", start)].partition(b"\t")
                return text(name), text(module.strip(b"[] \t")) or "kernel"
        return _UNKNOWN

    def __len__(self) -> int:
        return len(self._address)


def _next(data: bytes, at: int, start: int) -> int:
    """Where the next symbol begins, given where the next line does: the kernel's own are in ascending order."""
    while at < len(data):
        address = int(data[at : at + _DIGITS], 16)
        if address > start:
            return address
        at = data.index(b"\n", at) + 1
    return start


def _hexadecimal(data: U8, starts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """The numbers of 16 digits at `starts`, and whether each is one."""
    value = np.full(256, 255, np.uint8)
    for digit, char in enumerate(b"0123456789abcdef"):
        value[char] = digit
    address = np.zeros(len(starts), np.uint64)
    valid = data[starts + _DIGITS] == ord(" ")
    for column in range(_DIGITS):
        nibble = value[data[starts + column]]
        valid &= nibble < 16
        address = (address << np.uint64(4)) | nibble
    return address, valid
