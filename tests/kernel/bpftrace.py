"""A second opinion: bpftrace counts the same events."""

from __future__ import annotations

import re
import shutil
import subprocess
import time

import pytest

from tests.kernel.ebtop import started

_COUNT = re.compile(r"^@n\[(-?\d+)\]: (\d+)$", re.MULTILINE)


class Counting:
    """A bpftrace program that counts in a map `@n[NUMBER]`; it counts when this returns."""

    def __init__(self, script: str) -> None:
        if shutil.which("bpftrace") is None:
            pytest.skip("bpftrace is not installed: there is no second opinion")
        self._process = started(["bpftrace", "-e", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._process.stdout is not None
        assert any("Attaching" in line for line in iter(self._process.stdout.readline, ""))
        time.sleep(1)  # it says so before it does

    def stop(self) -> dict[int, int]:
        """How often each number came."""
        self._process.send_signal(2)
        said = self._process.communicate(timeout=30)[0]
        return {int(number): int(count) for number, count in _COUNT.findall(said)}
