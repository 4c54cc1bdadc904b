"""tracefs: where tracepoints have their ids. Root mounts it when nobody has."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

PLACES = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))


def found() -> Path | None:
    """Where tracefs is mounted, None when it is not (or may not be read)."""
    return next((place for place in PLACES if _readable(place / "events")), None)


def _readable(folder: Path) -> bool:
    """By trying: access(2) asks for the real user, who may have less than this process's capabilities."""
    try:
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def mounted(place: Path) -> bool:
    """Is it mounted there, be it readable or not?"""
    return any(
        line.split(" ")[1:3] == [str(place), "tracefs"] for line in Path("/proc/self/mounts").read_text().splitlines()
    )


def ensure() -> str:
    """Mount tracefs unless it is there: "" when it is there now, else why not."""
    if found():
        return ""
    if mounted(PLACES[0]):
        return f"{PLACES[0]} may not be read (CAP_DAC_READ_SEARCH)"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tracefs", str(PLACES[0]).encode(), b"tracefs", 0, None):
        return f"tracefs is not mounted, and mounting it at {PLACES[0]} failed: {os.strerror(ctypes.get_errno())}"
    return "" if found() else f"tracefs at {PLACES[0]} has no events"
