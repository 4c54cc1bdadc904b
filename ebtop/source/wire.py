"""The protocol between capture (root) and the rest, over any byte stream: a pipe, ssh, a file.

A hello of 32 bytes (magic, u32 version, the program's version as text), then frames:

    u32 length    of all that follows
    u8  kind      see KINDS; a zero byte
    u16 place     0, or 1 + the first unit of shared memory (see arena.py) that has the arrays
    u32 header    length of the header, a multiple of 8
    header        JSON in ASCII, filled up with spaces
    arrays        little-endian, each filled up to a multiple of 8; of those in shared memory only their length, u64

Nothing is pickled, and each side takes the other for hostile: whatever arrives, only WireError comes out.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar, cast

from ebtop import __version__
from ebtop.arena import ArenaReader, ArenaWriter
from ebtop.gather import write_all
from ebtop.probing.plan import Plan
from ebtop.sanitise import sanitise
from ebtop.source import wire_tick
from ebtop.source.rooms import Rooms
from ebtop.source.wire_arrays import ArrayReader, ArrayWriter, padding
from ebtop.source.wire_json import WireError, dump, load
from ebtop.source.wire_values import decoder, plain
from ebtop.tick import (
    Command,
    FindPoints,
    FoundPoints,
    Gone,
    Load,
    Message,
    Notice,
    ProcessDetails,
    Resolve,
    SetFocus,
    Stop,
    TakeStacks,
    Tick,
    ToolState,
    Unload,
    Vitals,
)

__all__ = ["MAX_COMMAND", "MAX_MESSAGE", "VERSION", "CommandReader", "Reader", "WireError", "Writer"]

VERSION = 2
"""Of the protocol. Any change to a message is a new version."""

MAX_MESSAGE = 1 << 30
MAX_COMMAND = 1 << 20
MAX_HEADER = 64 << 20
"""Parsed JSON takes many times its size in memory; arrays do not."""

MESSAGES: Mapping[int, Any] = {
    1: Tick,
    2: ToolState,
    3: Vitals,
    4: ProcessDetails,
    5: Notice,
    6: Gone,
    7: FoundPoints,
    8: Plan,
}
COMMANDS: Mapping[int, Any] = {
    32: Load,
    33: Unload,
    34: SetFocus,
    35: Resolve,
    36: Stop,
    37: TakeStacks,
    38: FindPoints,
}
KINDS = {kind: number for number, kind in {**MESSAGES, **COMMANDS}.items()}

_MAGIC = b"\x89ebtop\r\n"  # as PNG's: shows at once a stream that was taken for text on its way
_HELLO = struct.Struct("<8sI20s")
_PREFIX = struct.Struct("<IBBHI")
_LENGTH = struct.Struct("<Q")
_BEHIND_LENGTH = _PREFIX.size - 4
_MOST_HELD = 1 << 16

Received = TypeVar("Received", Message, Command)


class HasFileno(Protocol):
    """An open file or socket. Its own buffering is passed by."""

    def fileno(self) -> int:
        """The file descriptor."""
        ...


def _descriptor(stream: int | HasFileno) -> int:
    return stream if isinstance(stream, int) else stream.fileno()


class Writer:
    """Writes messages or commands to a blocking file descriptor; says hello at once. Any thread may send."""

    def __init__(self, stream: int | HasFileno, limit: int = MAX_MESSAGE, arena: ArenaWriter | None = None) -> None:
        self._fd = _descriptor(stream)
        self._limit = limit
        self._arena = arena
        self._lock = threading.Lock()
        self._held: list[memoryview | bytes] | None = None
        self._write([_HELLO.pack(_MAGIC, VERSION, __version__.encode())])

    @contextmanager
    def together(self) -> Iterator[None]:
        """What this thread sends meanwhile is written at the end, at once: each write wakes up who reads. Nobody else
        may send then."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            self._write(held or ())

    def send(self, message: Message | Command) -> None:
        """Write one message whole.

        Raises WireError, before anything is written, if it cannot be sent (too long, values of other types);
        OSError as write(2) gives it, after which the stream is of no more use.
        """
        arrays = ArrayWriter()
        header = wire_tick.encode(message, arrays) if isinstance(message, Tick) else plain(message)
        text = dump(header)
        text += b" " * padding(len(text))
        length = _BEHIND_LENGTH + len(text) + arrays.nbytes
        if length > self._limit or len(text) > MAX_HEADER:
            raise WireError(f"a {type(message).__name__} of {length} bytes is longer than the {self._limit} allowed")
        with self._lock:
            place = self._arena.place(arrays.buffers, arrays.nbytes) if self._arena else None
            if place is None:
                self._write([_PREFIX.pack(length, KINDS[type(message)], 0, 0, len(text)) + text, *arrays.buffers])
                return
            length += _LENGTH.size - arrays.nbytes
            prefix = _PREFIX.pack(length, KINDS[type(message)], 0, place + 1, len(text))
            self._write([prefix + text + _LENGTH.pack(arrays.nbytes)])

    def _write(self, buffers: Sequence[memoryview | bytes]) -> None:
        if self._held is not None:
            self._held += buffers
            if sum(memoryview(buffer).nbytes for buffer in self._held) < _MOST_HELD:
                return
            buffers, self._held = self._held, []
        write_all(buffers, lambda some, _done: os.writev(self._fd, some))


class _FrameReader(Generic[Received]):
    """Reads frames of some kinds from a blocking file descriptor."""

    def __init__(
        self, stream: int | HasFileno, kinds: Mapping[int, Any], limit: int, arena: ArenaReader | None = None
    ) -> None:
        self._fd = _descriptor(stream)
        self._kinds = kinds
        self._limit = limit
        self._arena = arena
        self._rooms = Rooms()

    def __iter__(self) -> Iterator[Received]:
        """Messages as they come, until the stream ends after a whole frame.

        Raises WireError for anything that is not the protocol (then stop reading); OSError as read(2) gives it.
        """
        if not self._hello():
            return
        while (prefix := self._read_some(_PREFIX.size)) is not None:
            yield cast(Received, self._frame(*_PREFIX.unpack(prefix)))

    def _hello(self) -> bool:
        raw = self._read_some(_HELLO.size, _MAGIC)
        if raw is None:
            return False
        _, version, program = _HELLO.unpack(raw)
        if version != VERSION:
            name = sanitise(program.rstrip(b"\0").decode("utf-8", "surrogateescape"))
            raise WireError(
                f"the other side is ebtop {name} with protocol {version}, "
                f"this is ebtop {__version__} with protocol {VERSION}: install the same version on both"
            )
        return True

    def _frame(self, length: int, number: int, zero: int, place: int, header: int) -> Any:
        kind = self._kinds.get(number)
        if kind is None or zero:
            raise WireError(f"a frame of kind {number}, which has no place in this direction")
        if not _BEHIND_LENGTH <= length <= self._limit:
            raise WireError(f"a frame of {length} bytes; {self._limit} are allowed")
        if header % 8 or header > min(length - _BEHIND_LENGTH, MAX_HEADER):
            raise WireError("a frame whose header is too long")
        body = self._read_body(length - _BEHIND_LENGTH)
        arrays = ArrayReader(self._shared(place - 1, body[header:]) if place else body[header:])
        parsed = load(bytes(body[:header]))
        message = wire_tick.decode(parsed, arrays) if kind is Tick else decoder(kind)(parsed)
        arrays.finish()
        return message

    def _shared(self, first: int, said: memoryview) -> memoryview:
        if self._arena is None or len(said) != _LENGTH.size:
            raise WireError("a frame whose arrays lie in memory that is not shared")
        try:
            return self._arena.view(first, *_LENGTH.unpack(said))
        except ValueError as error:
            raise WireError(str(error)) from None

    def _read_some(self, size: int, begins: bytes = b"") -> bytes | None:
        """So many bytes, or None if the stream ends before the first. Stops early where it must begin otherwise."""
        got = bytearray()
        while len(got) < size:
            chunk = os.read(self._fd, size - len(got))
            if not chunk and not got:
                return None
            got += chunk
            if got[: len(begins)] != begins[: len(got)]:
                raise WireError(f"no ebtop stream: it begins with {bytes(got)!r}")
            if not chunk:
                raise WireError("the stream ends inside of a frame")
        return bytes(got)

    def _read_body(self, size: int) -> memoryview:
        # Not zeroed: it costs memory only as far as it is filled, as a short stream may announce a long frame.
        body = self._rooms.take(size)
        at = 0
        while at < size:
            got = os.readv(self._fd, [body[at:]])
            if not got:
                raise WireError("the stream ends inside of a frame")
            at += got
        return body


class Reader(_FrameReader[Message]):
    """What capture sends. The arrays of Ticks are read-only views of the buffers they were received in."""

    def __init__(self, stream: int | HasFileno, limit: int = MAX_MESSAGE, arena: ArenaReader | None = None) -> None:
        super().__init__(stream, MESSAGES, limit, arena)


class CommandReader(_FrameReader[Command]):
    """What the unprivileged side sends to capture."""

    def __init__(self, stream: int | HasFileno, limit: int = MAX_COMMAND) -> None:
        super().__init__(stream, COMMANDS, limit)


for _kind in KINDS:
    if _kind is not Tick:
        decoder(_kind)  # a message that the protocol has no form for is found here, not on its way
