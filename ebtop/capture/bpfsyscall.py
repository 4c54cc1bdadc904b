"""The bpf(2) system call itself, without NumPy for the process that stays small."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import struct
from collections.abc import Sequence

_NUMBERS = {"x86_64": (321, 298), "aarch64": (280, 241)}
SYS_BPF, SYS_PERF = _NUMBERS.get(platform.machine(), (0, 0))
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


_PROG_LOAD, _RAW_TRACEPOINT_OPEN, _LINK_CREATE, _ITER_CREATE = 5, 17, 28, 33
KPROBE, _TRACING = 2, 26  # enum bpf_prog_type
RAW_TP, FENTRY, FEXIT, ITER, UPROBE_MULTI = 23, 24, 25, 28, 48
"""Of enum bpf_attach_type: where a typed program can run."""
_LOG = 1 << 18
_DISABLED, _FREQUENCY = 1, 1 << 10
"""Bits of struct perf_event_attr."""
_ENABLE, _SET_BPF = 0x2400, 0x40042408
"""PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_SET_BPF."""


def bpf(command: int, attr: bytes | bytearray) -> int:
    """Its result, attr being a union bpf_attr. Raises OSError."""
    buffer = ctypes.create_string_buffer(bytes(attr), max(len(attr), 128))
    result = int(libc.syscall(SYS_BPF, command, buffer, len(buffer)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def load_typed(
    name: str, instructions: bytes, licence: bytes, type_id: int, where: int = RAW_TP, *, kind: int = _TRACING,
    told: bool = True,
) -> int:  # fmt: skip
    """Load a program for the tracepoint, the iterator or the function of that type id, or one of another kind that
    needs to say where it will run: its descriptor. Raises OSError, the verifier's words being on stderr if they are to
    be `told`."""
    code, words = ctypes.create_string_buffer(instructions, len(instructions)), ctypes.create_string_buffer(licence)
    log = ctypes.create_string_buffer(_LOG)
    for level in (0, 1) if told else (0,):  # the log costs, and is wanted only when it fails
        logs = (level, _LOG if level else 0, ctypes.addressof(log) if level else 0)
        attr = struct.pack("<IIQQIIQII16sII", kind, len(instructions) // 8, ctypes.addressof(code),
                           ctypes.addressof(words), *logs, 0, 0, name.encode()[:15], 0, where)  # fmt: skip
        attr += bytes(108 - len(attr)) + struct.pack("<I", type_id)
        try:
            fd = bpf(_PROG_LOAD, attr)
        except OSError as error:
            if level:
                os.write(2, log.value)
            if level or not told:
                raise OSError(error.errno, f"cannot load {name}: {error.strerror}") from None
        else:
            os.set_inheritable(fd, False)
            return fd
    raise AssertionError("one of both has returned or raised")


def attach_typed(program: int) -> int:
    """Attach a tp_btf program where it was loaded for: a descriptor. Raises OSError."""
    fd = bpf(_RAW_TRACEPOINT_OPEN, struct.pack("<QI", 0, program))
    os.set_inheritable(fd, False)
    return fd


def attach_iterator(program: int) -> int:
    """A link that keeps an iterator's program: a descriptor. Raises OSError."""
    fd = bpf(_LINK_CREATE, struct.pack("<IIII", program, 0, ITER, 0))
    os.set_inheritable(fd, False)
    return fd


def iterate(link: int) -> int:
    """Begin a round: a descriptor from which what the program writes is read, to its end. Raises OSError."""
    fd = bpf(_ITER_CREATE, struct.pack("<II", link, 0))
    os.set_inheritable(fd, False)
    return fd


def attach_uprobes(program: int, path: str, offsets: Sequence[int], counters: Sequence[int], *, returns: bool) -> int:
    """One link to many places of a file (Linux 6.6): a descriptor. Raises OSError."""
    count = len(offsets)
    name = ctypes.create_string_buffer(os.fsencode(path))
    places, counted = (ctypes.c_uint64 * count)(*offsets), (ctypes.c_uint64 * count)(*counters)
    where = [ctypes.addressof(each) for each in (name, places)] + [ctypes.addressof(counted) if any(counters) else 0, 0]
    attr = struct.pack("<IIIIQQQQIII", program, 0, UPROBE_MULTI, 0, *where, count, int(returns), 0)
    fd = bpf(_LINK_CREATE, attr)
    os.set_inheritable(fd, False)
    return fd


def perf_event(kind: int, config: int, cpu: int = 0, period: int = 1 << 30, *, hertz: bool = False) -> int:
    """A perf event of everything on a CPU, off as yet (struct perf_event_attr): a descriptor. The period is that of
    what is counted, or with `hertz` how often a second. Raises OSError."""
    return _opened(kind, config, (period, 0, 0, _DISABLED | (_FREQUENCY if hertz else 0)), cpu=cpu)


def uprobe_event(kind: int, path: str, offset: int, config: int) -> int:
    """A perf event of the uprobe PMU, whose number `kind` is: a descriptor. Raises OSError."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    return _opened(kind, config, (0, 0, 0, _DISABLED), (ctypes.addressof(name), offset))


def _opened(
    kind: int, config: int, period: tuple[int, int, int, int], more: tuple[int, int] = (0, 0), cpu: int = 0
) -> int:
    size = 112
    attr = struct.pack("<IIQQQQQIIQQ", kind, size, config, *period, 0, 0, *more).ljust(size, b"\0")
    fd = int(libc.syscall(SYS_PERF, ctypes.create_string_buffer(attr, size), -1, cpu, -1, 8))  # PERF_FLAG_FD_CLOEXEC
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd


def run_at(event: int, program: int) -> None:
    """Have a program run at a perf event, and switch it on. Raises OSError."""
    fcntl.ioctl(event, _SET_BPF, program)
    fcntl.ioctl(event, _ENABLE, 0)
