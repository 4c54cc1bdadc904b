"""What the figures were measured on, and with which peers."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.bench import processes

PACKAGES = ("libbpf-tools", "bpfcc-tools", "bpftrace", "linux-perf", "python3-bpfcc")


def _output(*command: str) -> str:
    """What a command says, "" when there is no such command."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


def _version(package: str) -> str:
    return _output("dpkg-query", "-W", "-f", "${Version}", package)


def _virtual() -> str:
    """The hypervisor, "none" on bare metal."""
    return _output("systemd-detect-virt") or _first("/sys/hypervisor/type", "") or _flag("hypervisor")


def _flag(name: str) -> str:
    return "unknown" if name in _first("/proc/cpuinfo", "flags").split() else "none"


def _first(path: str, start: str) -> str:
    """What follows `start` in the first line of a file that begins with it."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.removeprefix(start).strip(" \t:=\"'") for line in lines if line.startswith(start)), "")


def describe() -> dict[str, Any]:
    """The machine, the versions of what is compared, and how busy it was before."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": _first("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "virtual": _virtual(),
        "distribution": _first("/etc/os-release", "PRETTY_NAME"),
        "python": platform.python_version(),
        "ebtop": _output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"),
        "packages": {package: version for package in PACKAGES if (version := _version(package))},
        "load_before": os.getloadavg()[0],
        "other_tracers": processes.tracing(),
    }
