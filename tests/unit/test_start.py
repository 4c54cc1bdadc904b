"""What a start waits for: capture is asked for before anything is imported that only the screen needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = ("numpy", "textual", "rich", "asyncio", "logging", "ebtop.tick", "ebtop.registry")


@pytest.mark.parametrize("verb", ["dashboard", "run", "record"])
def test_nothing_slow_is_imported_before_the_keeper_runs(verb: str) -> None:
    code = f"import sys, ebtop.cli, ebtop.commands.{verb}; print(*(set(sys.modules) & set({SLOW!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
