"""A second opinion: bpftrace counts the same events."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time

import pytest

from tests.kernel.ebtop import started

_COUNT = re.compile(r"^@n\[(-?\d+)\]: (\d+)$", re.MULTILINE)


class Peer:
    """A bpftrace program; it is attached when this returns. Strings are read up to `length` bytes."""

    def __init__(self, script: str, *options: str, length: int = 64) -> None:
        if shutil.which("bpftrace") is None:
            pytest.skip("bpftrace is not installed: there is no second opinion")
        self._process = started(["bpftrace", *options, "-e", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, env=os.environ | {"BPFTRACE_STRLEN": str(length)})  # fmt: skip
        assert self._process.stdout is not None
        assert any(re.search("Attaching|attached_probes", line) for line in iter(self._process.stdout.readline, ""))
        time.sleep(1)  # it says so before it does

    def said(self) -> str:
        """All that it said, once it has been ended."""
        self._process.send_signal(2)
        return str(self._process.communicate(timeout=30)[0])


class Counting(Peer):
    """A bpftrace program that counts in a map `@n[NUMBER]`; it counts when this returns."""

    def stop(self) -> dict[int, int]:
        """How often each number came."""
        return {int(number): int(count) for number, count in _COUNT.findall(self.said())}


class Histograms(Peer):
    """A bpftrace program that makes histograms of powers of two."""

    def __init__(self, script: str) -> None:
        super().__init__(script, "-f", "json")

    def stop(self) -> dict[str, dict[int, int]]:
        """Of each map: how many values were in the power of two that begins there; what is below zero has none, and is
        in -1."""
        lines = [json.loads(line) for line in self.said().splitlines() if line.startswith('{"type": "hist"')]
        found = {name: buckets for line in lines for name, buckets in line["data"].items()}
        return {name: {b.get("min", -1): b["count"] for b in buckets if b["count"]} for name, buckets in found.items()}
