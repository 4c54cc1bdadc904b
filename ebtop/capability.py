"""What ebtop may do beyond its user: which capabilities, for what, what is lost without each, and giving up the rest.

The names are those of capabilities(7). Numbers: include/uapi/linux/capability.h.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

BPF, PERFMON, SYS_ADMIN = "CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN"
_PTRACE, _SEARCH, _SYSLOG = "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_SYSLOG"
_RESTORE, _LOCK = "CAP_CHECKPOINT_RESTORE", "CAP_IPC_LOCK"


class Capability(NamedTuple):
    """One capability: what it is used for, and what is not there without it."""

    name: str
    number: int
    purpose: str
    without: str


TABLE = (
    Capability(BPF, 39, "loading programs, reading maps", "nothing can be traced"),
    Capability(PERFMON, 38, "attaching programs, reading kernel memory from them", "nothing can be traced"),
    Capability(
        _PTRACE, 19, "/proc/PID/maps, exe, cwd and map_files of other users' processes",
        "no names of functions in other users' programs, nor where these lie and run",
    ),
    Capability(
        _SEARCH, 2, "tracefs, and files that only their owners may read",
        "no plain tracepoints (raw ones take their place), no symbols of private files, control groups named later",
    ),
    Capability(_SYSLOG, 34, "addresses in /proc/kallsyms", "no names of kernel functions"),
    Capability(
        _RESTORE, 40, "files behind /proc/PID/map_files", "no symbols of files that were replaced or deleted since",
    ),
    Capability(
        _LOCK, 14, "perf buffers larger than a user may lock",
        "no --perf-buffer for tools with many events (nor, before Linux 5.8, those tools)",
    ),
    Capability(
        SYS_ADMIN, 21, "mounting tracefs, switching BPF statistics on; before Linux 5.8 everything",
        "no figures of what the programs cost; tracefs has to be mounted already",
    ),
)  # fmt: skip
EVERY = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip
"""All that Linux 6.18 knows, by number, without their CAP_."""

_SETPCAP = "CAP_SETPCAP"  # for the bounding set only
NUMBERS = {capability.name: capability.number for capability in TABLE} | {_SETPCAP: 8}

LOADER = (BPF, PERFMON, _SEARCH)
"""What compiling, loading and attaching take."""
CAPTURE = (*LOADER, _PTRACE, _SYSLOG, _RESTORE, _LOCK)
"""Capture's own, and what it hands on to the loader."""
KEEPER = (*CAPTURE, SYS_ADMIN, _SETPCAP)
"""The keeper hands capture its own (and bounds it to them), mounts tracefs and opens the statistics for it."""

_NO_NEW_PRIVS, _BOUNDING_DROP, _AMBIENT = 38, 24, 47  # prctl(2): PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, PR_CAP_AMBIENT
_RAISE, _CLEAR_ALL = 2, 4
_VERSION_3 = 0x20080522
_NEWEST_BEFORE_BPF = 37


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def mask(kind: str = "CapEff") -> int:
    """One of this process's capability sets (a line of /proc/self/status), as a bit mask."""
    for line in Path("/proc/self/status").read_bytes().split(b"\n"):  # our own name may be any bytes
        if line.startswith(kind.encode() + b":"):
            return int(line.split()[1], 16)
    return 0


def has(name: str) -> bool:
    """Is the capability in effect?"""
    return bool(mask() >> NUMBERS[name] & 1)


def newest() -> int:
    """The highest number that this kernel knows: 37 before Linux 5.8, which brought CAP_PERFMON and CAP_BPF."""
    try:
        return int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    except (OSError, ValueError):
        return _NEWEST_BEFORE_BPF


def missing() -> list[str]:
    """The capabilities without which nothing can be traced; CAP_SYS_ADMIN stands for both, and for older kernels is
    the only way."""
    if has(SYS_ADMIN):
        return []
    return [SYS_ADMIN] if newest() < NUMBERS[BPF] else [name for name in (BPF, PERFMON) if not has(name)]


PARANOID = 2
"""kernel.perf_event_paranoid above it, which Debian's kernels know and have by default, lets CAP_SYS_ADMIN alone open
perf events, whatever else one has."""


def paranoid() -> int:
    """kernel.perf_event_paranoid; the kernel's default where it cannot be read."""
    try:
        return int(Path("/proc/sys/kernel/perf_event_paranoid").read_text())
    except (OSError, ValueError):
        return PARANOID


def perf_refusal(paranoia: int) -> str:
    """Why perf events, which sampling stacks and plain tracepoints take, cannot be opened; "" when they can."""
    needed = SYS_ADMIN if paranoia > PARANOID else PERFMON
    if has(needed) or has(SYS_ADMIN):
        return ""
    return f"perf events take {needed} (kernel.perf_event_paranoid is {paranoia})"


def to_keep(names: Iterable[str], held: int, last: int, paranoia: int = PARANOID) -> int:
    """The mask of `names` as far as they are held. Where CAP_SYS_ADMIN does the work of newer ones, it stays."""
    wanted = sum(1 << NUMBERS[name] for name in names)
    newer = sum(1 << NUMBERS[name] for name in (BPF, PERFMON))
    if wanted & newer & ~held or (wanted & newer and (last < NUMBERS[BPF] or paranoia > PARANOID)):
        wanted |= 1 << NUMBERS[SYS_ADMIN]
    return wanted & held


def keep(names: Iterable[str], *, new_privileges: bool = False) -> None:
    """Give all other capabilities up for good, and (unless `new_privileges`) whatever a program that is started could
    bring, as setuid ones do. Capabilities belong to threads: call it before there is a second one. Raises OSError.

    Programs that are started have at most what is kept: root's by the bounding set, another user's as ambient ones.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    last = newest()
    kept = to_keep(names, mask("CapPrm"), last, paranoid())
    if not new_privileges:
        _prctl(libc, _NO_NEW_PRIVS, 1)
        if has(_SETPCAP):  # without it nothing can be dropped there, and nothing be gained either
            for number in range(last + 1):
                if not kept >> number & 1:
                    _prctl(libc, _BOUNDING_DROP, number)
    _prctl(libc, _AMBIENT, _CLEAR_ALL)
    _capset(libc, kept)
    if os.geteuid() != 0:
        for number in range(last + 1):
            if kept >> number & 1:
                _prctl(libc, _AMBIENT, _RAISE, number)


def _prctl(libc: Any, option: int, argument: int, number: int = 0) -> None:
    if libc.prctl(option, *(ctypes.c_ulong(value) for value in (argument, number, 0, 0))):
        raise OSError(ctypes.get_errno(), f"prctl {option} {argument}: {os.strerror(ctypes.get_errno())}")


def _capset(libc: Any, kept: int) -> None:
    halves = [kept & 0xFFFFFFFF, kept >> 32]
    data = (_Data * 2)(*(_Data(half, half, half) for half in halves))
    if libc.capset(ctypes.byref(_Header(_VERSION_3, 0)), data):
        raise OSError(ctypes.get_errno(), f"capset: {os.strerror(ctypes.get_errno())}")
