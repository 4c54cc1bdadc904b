"""The bpf(2) system call itself, without NumPy for the process that stays small."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

_NUMBERS = {"x86_64": (321, 298), "aarch64": (280, 241)}
SYS_BPF, SYS_PERF = _NUMBERS.get(platform.machine(), (0, 0))
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


_PROG_LOAD, _RAW_TRACEPOINT_OPEN, _LINK_CREATE, _ITER_CREATE = 5, 17, 28, 33
_TRACING = 26  # enum bpf_prog_type
RAW_TP, FENTRY, ITER = 23, 24, 28
"""Of enum bpf_attach_type: where a typed program can run."""
_LOG = 1 << 18


def bpf(command: int, attr: bytes | bytearray) -> int:
    """Its result, attr being a union bpf_attr. Raises OSError."""
    buffer = ctypes.create_string_buffer(bytes(attr), max(len(attr), 128))
    result = int(libc.syscall(SYS_BPF, command, buffer, len(buffer)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def load_typed(
    name: str, instructions: bytes, licence: bytes, type_id: int, where: int = RAW_TP, *, told: bool = True
) -> int:
    """Load a program for the tracepoint, the iterator or the function of that type id: its descriptor. Raises OSError,
    the verifier's words being on stderr if they are to be `told`."""
    code, words = ctypes.create_string_buffer(instructions, len(instructions)), ctypes.create_string_buffer(licence)
    log = ctypes.create_string_buffer(_LOG)
    for level in (0, 1) if told else (0,):  # the log costs, and is wanted only when it fails
        logs = (level, _LOG if level else 0, ctypes.addressof(log) if level else 0)
        attr = struct.pack("<IIQQIIQII16sII", _TRACING, len(instructions) // 8, ctypes.addressof(code),
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


def perf_event(kind: int, config: int, cpu: int = 0, period: int = 1 << 30) -> int:
    """A perf event of everything on a CPU, off as yet (struct perf_event_attr): a descriptor. Raises OSError."""
    size, disabled = 112, 1
    attr = struct.pack("<IIQQQQQ", kind, size, config, period, 0, 0, disabled).ljust(size, b"\0")
    fd = int(libc.syscall(SYS_PERF, ctypes.create_string_buffer(attr, size), -1, cpu, -1, 8))  # PERF_FLAG_FD_CLOEXEC
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd
