"""The machine's figures beside those of psutil."""

from __future__ import annotations

import time

import psutil
import pytest

from ebtop.capture.gauges import Gauges


def test_memory_and_load_are_those_that_psutil_finds() -> None:
    """A gigabyte may come or go between two looks at a busy machine."""
    found = Gauges().read()
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    assert found["memory_total"] == memory.total
    assert found["memory_used"] == pytest.approx(memory.total - memory.available, abs=1e9)
    assert found["swap_total"] == swap.total
    assert found["swap_used"] == pytest.approx(swap.used, abs=1e9)
    assert found["load15"] == pytest.approx(psutil.getloadavg()[2], abs=1.0)


def test_a_cpu_that_computes_is_busy() -> None:
    """Whichever it is; all of them are told of."""
    gauges = Gauges()
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        pass
    found = gauges.read()
    shares = [share for name, share in found.items() if name[:3] == "cpu"]
    assert len(shares) == psutil.cpu_count()
    assert max(shares) > 0.3
    assert all(0 <= share <= 1 for share in shares)
