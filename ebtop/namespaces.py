"""Is this the host's pid namespace? The kernel's programs know processes by the host's numbers only."""

from __future__ import annotations

from pathlib import Path

_HOST = 0xEFFFFFFC
"""PROC_PID_INIT_INO of the kernel's proc_ns.h: the inode number of the first pid namespace."""

NESTED = "this is a pid namespace of its own, and events carry the host's process ids"


def nested_pids() -> bool:
    """Are the process ids here others than the host's? Where /proc does not say, no."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino != _HOST
    except OSError:
        return False
