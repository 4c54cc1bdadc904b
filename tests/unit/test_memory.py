"""What is given back of what was freed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ebtop.memory import Trimmer

BLOCK, BLOCKS = 100_000, 640


def resident() -> int:
    """Bytes of this process that are in memory."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) << 10


def full_of_holes() -> list[bytes]:
    """Memory of which a fiftieth is in use; the caller keeps it."""
    blocks = [bytes([1]) * BLOCK for _ in range(BLOCKS)]
    return blocks[::50]


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells")
def test_holes_are_given_back_now_and_then() -> None:
    trimmer = Trimmer(0)
    held = full_of_holes()
    before = resident()
    trimmer.now_and_then()
    assert resident() < before - BLOCK * BLOCKS // 2
    more = full_of_holes()
    before = resident()
    trimmer.now_and_then()  # not so soon again
    assert resident() > before - BLOCK * BLOCKS // 4
    assert len(held) == len(more)
