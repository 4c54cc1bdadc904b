"""The bpf(2) system call itself, without NumPy for the process that stays small."""

from __future__ import annotations

import ctypes
import os
import platform

_NUMBERS = {"x86_64": (321, 298), "aarch64": (280, 241)}
SYS_BPF, SYS_PERF = _NUMBERS.get(platform.machine(), (0, 0))
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def bpf(command: int, attr: bytes | bytearray) -> int:
    """Its result, attr being a union bpf_attr. Raises OSError."""
    buffer = ctypes.create_string_buffer(bytes(attr), max(len(attr), 128))
    result = int(libc.syscall(SYS_BPF, command, buffer, len(buffer)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
