"""tracefs: where tracepoints have their ids. Root mounts it when nobody has."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

PLACES = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))


def found() -> Path | None:
    """Where tracefs is mounted, None when it is not (or may not be read)."""
    return next((place for place in PLACES if os.access(place / "events", os.R_OK)), None)


def ensure() -> str:
    """Mount tracefs unless it is there: "" when it is there now, else why not."""
    if found():
        return ""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tracefs", str(PLACES[0]).encode(), b"tracefs", 0, None):
        return f"tracefs is not mounted, and mounting it at {PLACES[0]} failed: {os.strerror(ctypes.get_errno())}"
    return "" if found() else f"tracefs at {PLACES[0]} has no events"
