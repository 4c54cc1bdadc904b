"""bpf(2) and perf_event_open(2), as far as capture needs them beside BCC: maps in bulk, costs, shared maps.

Layouts: include/uapi/linux/bpf.h, union bpf_attr; include/uapi/linux/perf_event.h, struct perf_event_attr.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ebtop.capture.bpfsyscall import SYS_BPF, SYS_PERF, bpf, libc

_MAP_CREATE, _LOOKUP, _UPDATE, _DELETE, _NEXT_KEY, _INFO = 0, 1, 2, 3, 4, 15
_LOOKUP_BATCH, _LOOKUP_DELETE_BATCH = 24, 25
MAP_HASH, MAP_ARRAY = 1, 2


def _address(data: Any) -> int:
    return int(ctypes.addressof(data))


def create_map(kind: int, key_size: int, value_size: int, entries: int, name: str) -> int:
    """A new map's file descriptor (close-on-exec). Raises OSError."""
    attr = struct.pack("<IIIIIII16s", kind, key_size, value_size, entries, 0, 0, 0, name.encode()[:15])
    fd = bpf(_MAP_CREATE, attr)
    os.set_inheritable(fd, False)
    return fd


def _element(command: int, fd: int, key: bytes, value: Any, flags: int = 0) -> None:
    key_buffer = ctypes.create_string_buffer(key, len(key))
    bpf(command, struct.pack("<IIQQQ", fd, 0, _address(key_buffer), _address(value) if value is not None else 0, flags))


def update(fd: int, key: bytes, value: bytes) -> None:
    """Set an entry. Raises OSError (E2BIG: the map is full)."""
    _element(_UPDATE, fd, key, ctypes.create_string_buffer(value, len(value)))


def delete(fd: int, key: bytes) -> None:
    """Remove an entry; one that is not there is no error."""
    try:
        _element(_DELETE, fd, key, None)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def lookup(fd: int, key: bytes, size: int) -> bytes:
    """An entry's value of `size` bytes (per-CPU maps: of all CPUs). Raises OSError (ENOENT)."""
    value = ctypes.create_string_buffer(size)
    _element(_LOOKUP, fd, key, value)
    return value.raw


def keys(fd: int, size: int, limit: int = 1 << 20) -> list[bytes]:
    """The map's keys, at most `limit`."""
    found: list[bytes] = []
    following = ctypes.create_string_buffer(size)
    previous: Any = None
    while len(found) < limit:
        pointer = _address(previous) if previous is not None else 0
        try:
            bpf(_NEXT_KEY, struct.pack("<IIQQ", fd, 0, pointer, _address(following)))
        except OSError as error:
            if error.errno == errno.ENOENT:
                break
            raise
        found.append(following.raw)
        previous = ctypes.create_string_buffer(following.raw, size)
    return found


@dataclass(frozen=True, slots=True)
class MapShape:
    """Sizes of a map in bytes, and its capacity."""

    kind: int
    key_size: int
    value_size: int
    entries: int


def _info(fd: int, size: int) -> bytes:
    buffer = ctypes.create_string_buffer(size)
    bpf(_INFO, struct.pack("<IIQ", fd, size, _address(buffer)))
    return buffer.raw


def map_shape(fd: int) -> MapShape:
    """What kind of map a descriptor is (struct bpf_map_info)."""
    kind, _id, key_size, value_size, entries = struct.unpack_from("<IIIII", _info(fd, 64))
    return MapShape(kind, key_size, value_size, entries)


def program_runs(fd: int) -> tuple[int, int, int]:
    """(run_time_ns, run_cnt, recursion_misses) of a program so far (struct bpf_prog_info).

    The first two stand still while statistics are off; the last, how often it did not run because it was running on
    that CPU already, is 0 before Linux 5.12.
    """
    run_ns, run_count, missed = struct.unpack_from("<QQQ", _info(fd, 232), 192)
    return run_ns, run_count, missed


def _batch(
    command: int, fd: int, token: int, cursor: Any, keys_out: int, values_out: int, room: int
) -> tuple[int, bool]:
    """One batch call: (entries copied, finished)."""
    next_cursor = _address(cursor)
    attr = bytearray(struct.pack("<QQQQIIQQ", token, next_cursor, keys_out, values_out, room, fd, 0, 0))
    buffer = ctypes.create_string_buffer(bytes(attr), 128)
    result = int(libc.syscall(SYS_BPF, command, buffer, len(buffer)))
    code = ctypes.get_errno() if result < 0 else 0
    copied = struct.unpack_from("<I", buffer.raw, 32)[0]
    if code not in {0, errno.ENOENT}:
        raise OSError(code, os.strerror(code))
    return copied, code == errno.ENOENT


def take_all(
    fd: int, shape: MapShape, *, remove: bool = True, cpus: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """All entries of a hash in bulk, as rows of bytes: keys [n, key_size], values [n, value_size * cpus or 1].

    With `remove` the map is empty afterwards. Raises OSError (EINVAL before Linux 5.6).
    """
    width = shape.value_size * cpus if cpus else shape.value_size
    command = _LOOKUP_DELETE_BATCH if remove else _LOOKUP_BATCH
    room, done = min(shape.entries, 4096), 0
    key_rows = np.empty((room, shape.key_size), np.uint8)
    value_rows = np.empty((room, width), np.uint8)
    cursor = ctypes.create_string_buffer(max(shape.key_size, 8))
    token, finished = 0, False
    while not finished:
        try:
            copied, finished = _batch(command, fd, token, cursor, key_rows[done:].ctypes.data,
                                      value_rows[done:].ctypes.data, len(key_rows) - done)  # fmt: skip
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            copied = 0  # one bucket holds more than the room that is left
        done += copied
        token = _address(cursor) if copied or token else token
        if not finished and (copied == 0 or len(key_rows) - done < 1024):
            key_rows = np.concatenate([key_rows, np.empty_like(key_rows)])
            value_rows = np.concatenate([value_rows, np.empty_like(value_rows)])
    return key_rows[:done], value_rows[:done]


def perf_buffer_event(cpu: int, wakeup_bytes: int) -> int:
    """A perf event on `cpu` that a BPF program's perf_event_output can write to (struct perf_event_attr)."""
    size, raw, watermark = 112, 1 << 10, 1 << 14
    attr = bytearray(size)
    struct.pack_into("<IIQQQQQI", attr, 0, 1, size, 10, 1, raw, 0, watermark, wakeup_bytes)
    buffer = ctypes.create_string_buffer(bytes(attr), size)
    cloexec = 8
    fd = int(libc.syscall(SYS_PERF, buffer, -1, cpu, -1, cloexec))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"perf_event_open: {os.strerror(code)}")
    return fd
