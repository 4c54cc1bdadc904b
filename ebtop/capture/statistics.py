"""The kernel's BPF statistics, for who may not switch them on: whoever may sends a descriptor that keeps them on."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

from ebtop.capture.bpfsyscall import bpf

_ENABLE_STATS = 32
_ANSWER_S = 2.0


def hand_out(sock: socket.socket) -> bool:
    """Answer one message with a new descriptor, or with none where that is not possible; False: nobody is there."""
    try:
        if not sock.recv(16):
            return False
    except OSError:
        return False
    fds = []
    with contextlib.suppress(OSError):  # before Linux 5.8, or without CAP_SYS_ADMIN
        fds = [bpf(_ENABLE_STATS, struct.pack("<I", 0))]
    try:
        socket.send_fds(sock, [b"on" if fds else b"no"], fds)
    except OSError:
        return False
    finally:
        for fd in fds:
            os.close(fd)
    return True


def ask(sock: socket.socket) -> int:
    """A descriptor that keeps the statistics on. Raises OSError where there is none to be had."""
    sock.settimeout(_ANSWER_S)
    sock.send(b"?")
    _answer, fds, _flags, _address = socket.recv_fds(sock, 16, 1)
    if not fds:
        raise PermissionError("no BPF statistics")
    os.set_inheritable(fds[0], False)
    return fds[0]
