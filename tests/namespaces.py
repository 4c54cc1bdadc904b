"""Whether this machine lets tests make namespaces: a chroot that is no mount point does not, nor do some containers."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache

import pytest


@cache
def refusal() -> str:
    """Why there can be no mount namespace, "" where there can."""
    if shutil.which("unshare") is None:
        return "needs unshare, for a mount namespace"
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return f"no mount namespaces here: {done.stderr.strip()}" if done.returncode else ""


def need_mounts() -> None:
    """Skip the test that cannot have a mount namespace."""
    if why := refusal():
        pytest.skip(why)
