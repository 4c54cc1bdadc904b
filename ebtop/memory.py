"""How much memory processes hold."""

from __future__ import annotations


def pss(pid: int) -> int:
    """Bytes of a process's memory, pages that are shared counted in part; 0 where the kernel does not say."""
    import psutil  # here: asked for every few seconds, while starting is to be quick

    try:
        return int(psutil.Process(pid).memory_full_info().pss)
    except (psutil.Error, OSError):
        return 0
