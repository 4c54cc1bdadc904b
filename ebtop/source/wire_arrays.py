"""Arrays on the wire: their layout as JSON, their bytes as they are (little-endian), read as views without a copy.

A layout is a string of JSON inside the header's: the same few come every second, and are looked up by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ebtop.source.wire_json import WireError, dump, load

Array = npt.NDArray[Any]

ALIGNMENT = 8
"""Every array begins at a multiple of this in its frame, so that the views are aligned."""

MAX_FIELDS = 256
MAX_ITEM = 4 << 20
"""Bytes of one record at most: the longest one known carries 256 KiB of arguments."""

MAX_LAYOUT = 1 << 15
"""Characters of a layout."""

_KEPT = 64
_FORMAT = re.compile(r"([<|])([uifbS])([1-9][0-9]{0,6})", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_SIZES = {"u": (1, 2, 4, 8), "i": (1, 2, 4, 8), "f": (2, 4, 8), "b": (1,), "S": range(1, MAX_ITEM + 1)}


def padding(size: int) -> int:
    """How many bytes bring `size` to the next aligned place."""
    return -size % ALIGNMENT


@lru_cache(_KEPT)
def little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype with its bytes in the order of the wire."""
    return dtype.newbyteorder("<")


@lru_cache(_KEPT)
def describe(dtype: np.dtype[Any]) -> str:
    """A little-endian dtype as JSON: `[itemsize, [[name, format, shape, offset], ...]]`, or `[itemsize, format]`.

    Raises WireError for a dtype that has no place on the wire: objects, nested structures, other kinds.
    """
    fields = [] if dtype.fields is None else [_described(name, *field[:2]) for name, field in dtype.fields.items()]
    text = dump([dtype.itemsize, fields or _format(dtype)]).decode()
    if len(text) > MAX_LAYOUT:
        raise WireError("an array of too many fields cannot be sent")
    return text


def _described(name: str, dtype: np.dtype[Any], offset: int) -> list[Any]:
    return [name, _format(dtype.base), list(dtype.shape), offset]


def _format(dtype: np.dtype[Any]) -> str:
    if dtype.names is not None or dtype.kind not in _SIZES or dtype.itemsize not in _SIZES[dtype.kind]:
        raise WireError(f"an array of {str(dtype)[:80]} cannot be sent")
    return dtype.str


@lru_cache(_KEPT)
def parse(text: str) -> np.dtype[Any]:
    """The dtype that `describe` wrote; checks everything, as the layout may come from anyone."""
    if len(text) > MAX_LAYOUT:
        raise WireError("an array's layout is too long")
    match load(text.encode("utf-8", "surrogatepass")):
        case [int() as itemsize, str() as format_]:
            dtype = _parse_format(format_)
            if dtype.itemsize != itemsize:
                raise WireError("an array's item size is not that of its type")
            return dtype
        case [int() as itemsize, [*fields]] if 0 < itemsize <= MAX_ITEM and 0 < len(fields) <= MAX_FIELDS:
            return _structure(itemsize, [_field(field, itemsize) for field in fields])
    raise WireError("an array's layout is malformed")


def _parse_format(format_: str) -> np.dtype[Any]:
    found = _FORMAT.fullmatch(format_)
    if found is None or int(found[3]) not in _SIZES[found[2]]:
        raise WireError("an array of a type that is not allowed")
    dtype = np.dtype(format_)
    if dtype.str != format_:  # "|u8", "<S4"
        raise WireError("an array of a type that is not allowed")
    return dtype


def _field(field: object, itemsize: int) -> tuple[str, np.dtype[Any], int]:
    match field:
        case [str() as name, str() as format_, [*shape], int() as offset] if _NAME.fullmatch(name):
            dtype = _parse_format(format_)
            size = dtype.itemsize
            for length in shape:
                if type(length) is not int or not 0 < length <= MAX_ITEM or len(shape) > 3:
                    raise WireError("a field's shape is malformed")
                size *= length
            if type(offset) is bool or offset < 0 or offset + size > itemsize:
                raise WireError("a field lies outside of its record")
            return name, np.dtype((dtype, tuple(shape))) if shape else dtype, offset
    raise WireError("a field's description is malformed")


def _structure(itemsize: int, fields: list[tuple[str, np.dtype[Any], int]]) -> np.dtype[Any]:
    names = [name for name, _, _ in fields]
    if len(set(names)) != len(names):
        raise WireError("a record has two fields of one name")
    formats, offsets = [f for _, f, _ in fields], [o for _, _, o in fields]
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": itemsize})


class ArrayWriter:
    """Collects the arrays of one frame: `add` gives what the header says of each, `buffers` the bytes to write."""

    def __init__(self) -> None:
        self.buffers: list[memoryview | bytes] = []
        self.nbytes = 0

    def add(self, array: Array) -> list[Any]:
        """Take a one-dimensional array; no copy is made if it is contiguous and little-endian."""
        if array.ndim != 1:
            raise WireError("only one-dimensional arrays can be sent")
        little = little_endian(array.dtype)
        if little is not array.dtype and little != array.dtype:
            array = array.astype(little)
        layout = describe(array.dtype)
        if len(array):
            flat = np.ascontiguousarray(array).view(np.uint8)
            self.buffers.append(flat.data)
            gap = padding(flat.nbytes)
            if gap:
                self.buffers.append(bytes(gap))
            self.nbytes += flat.nbytes + gap
        return [len(array), layout]


class ArrayReader:
    """Hands out the arrays of a received frame in the order in which they were added, as read-only views."""

    def __init__(self, body: memoryview) -> None:
        self._body = body.toreadonly()
        self._at = 0

    def take(self, said: object) -> Array:
        """The next array, given what the header says of it."""
        match said:
            case [int() as length, str() as layout] if type(length) is int and length >= 0:
                dtype = parse(layout)
            case _:
                raise WireError("an array's description is malformed")
        size = length * dtype.itemsize
        if size > len(self._body) - self._at:
            raise WireError("an array is longer than its frame")
        array = np.frombuffer(self._body[self._at : self._at + size], dtype=dtype)
        self._at += size + padding(size)
        return array

    def structured(self, said: object) -> Array:
        """The next array, which must consist of records."""
        array = self.take(said)
        if array.dtype.names is None:
            raise WireError("records were expected, not plain numbers")
        return array

    def split(self, said: object, dtype: str, lengths: list[int]) -> Iterator[Array]:
        """The next array, which must be of that plain type, cut into pieces of those lengths."""
        whole = self.take(said)
        if whole.dtype != np.dtype(dtype) or min(lengths, default=0) < 0 or sum(lengths) != len(whole):
            raise WireError("an array is not of the type or length that was expected")
        at = 0
        for length in lengths:
            yield whole[at : at + length]
            at += length

    def finish(self) -> None:
        """Check that nothing is left over."""
        if self._at != len(self._body):
            raise WireError("a frame holds more than its header says")
