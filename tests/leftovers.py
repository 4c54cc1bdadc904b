"""BPF objects and processes: who holds which, and what is left when somebody has gone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

_IDS = re.compile(r"^(prog|map|link)_id:\s*(\d+)", re.MULTILINE)


def _listed(kind: str) -> list[dict[str, Any]]:
    out = subprocess.run(["bpftool", "-j", kind, "list"], capture_output=True, text=True, check=False).stdout
    entries: list[dict[str, Any]] = json.loads(out or "[]")
    return entries


def on_the_machine() -> set[str]:
    """All BPF programs, maps and links, as bpftool lists them: "prog 12"."""
    return {f"{kind} {entry['id']}" for kind in ("prog", "map", "link") for entry in _listed(kind)}


def held_by(pids: Iterable[int]) -> set[str]:
    """The BPF objects that processes hold open, from /proc/PID/fdinfo; nothing of those that have gone."""
    found = set()
    for pid in pids:
        try:
            texts = [path.read_text() for path in Path(f"/proc/{pid}/fdinfo").iterdir()]
        except OSError:
            continue
        found |= {f"{kind} {number}" for text in texts for kind, number in _IDS.findall(text)}
    return found


def held_by_nobody(known: set[str], patience_s: float = 5.0) -> set[str]:
    """Objects that are not in `known` and that no process holds open, nor a program that one holds.

    The kernel frees maps after a grace period, and a descriptor may be on its way from one process to another: what
    was loose at every look is left behind.
    """
    deadline, loose = time.monotonic() + patience_s, on_the_machine() - known
    while loose and time.monotonic() < deadline:
        held = held_by(int(entry) for entry in os.listdir("/proc") if entry.isdigit())
        programs = [entry for entry in _listed("prog") if f"prog {entry['id']}" in held]
        held |= {f"map {number}" for entry in programs for number in entry.get("map_ids", [])}
        loose &= on_the_machine() - held
        time.sleep(0.2)
    return loose


def family(pid: int) -> list[int]:
    """A process and those below it: the screen's side, the keeper, capture."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def gone(pids: Iterable[int], patience_s: float = 5.0) -> bool:
    """Wait for processes to end."""
    deadline, left = time.monotonic() + patience_s, list(pids)
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [pid for pid in left if psutil.pid_exists(pid)]
    return not left
