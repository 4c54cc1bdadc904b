"""ebtop with less than root: as another user who was granted some capabilities."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.ebtop import EBTOP

USER = "nobody"


def for_others() -> pwd.struct_passwd:
    """The other user; skips where this Python cannot be run by anyone but root."""
    user = pwd.getpwnam(USER)
    command = [sys.executable, "-c", "import unicodedata, ebtop.cli, textual"]
    try:
        subprocess.run(command, capture_output=True, check=True, user=user.pw_uid, group=user.pw_gid)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("this Python, or ebtop, lies where only root may look")
    return user


def granted(capabilities: str, *arguments: str, **environment: str) -> list[str]:
    """A command line: ebtop as that user with these capabilities ("bpf,perfmon") and no others."""
    user = for_others()
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv (util-linux)")
    given = ",".join(["-all", *(f"+{name}" for name in capabilities.split(","))])
    sets = [f"--inh-caps={given}", f"--ambient-caps={given}", f"--bounding-set={given}"]
    who = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    variables = ["env", "-u", "XDG_RUNTIME_DIR", *(f"{name}={value}" for name, value in environment.items())]
    return ["setpriv", *who, *sets, *variables, *EBTOP, *arguments]


def status(pid: int) -> dict[str, int]:
    """CapInh, CapPrm, CapEff, CapBnd, CapAmb and NoNewPrivs of a process, as numbers; of all its threads alike."""
    texts = [Path(f"/proc/{pid}/task/{tid}/status").read_text() for tid in os.listdir(f"/proc/{pid}/task")]
    pattern = re.compile(r"^(Cap\w+|NoNewPrivs):\s*([0-9a-f]+)$", re.MULTILINE)
    found = [{name: int(value, 16) for name, value in pattern.findall(text)} for text in texts]
    assert all(one == found[0] for one in found)
    return found[0]
