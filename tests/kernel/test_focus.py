"""The focus: whose events are seen, and that no one else's are."""

from __future__ import annotations

import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebtop.resolve.cgroup import find_mount
from tests import loads
from tests.kernel.ebtop import Background

COUNT = 1009


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A control group of our own, with one below it."""
    mount = find_mount()
    if not mount:
        pytest.skip("there is no cgroup2 file system here")
    place = Path(mount, "ebtop-test")
    (place / "below").mkdir(parents=True)
    yield place
    (place / "below").rmdir()
    place.rmdir()


def _opens(target: Path, *before: str) -> None:
    target.touch()
    target.parent.chmod(0o755)
    script = " && ".join([*before, f"exec '{loads.build('opens')}' '{target}' {COUNT}"])
    subprocess.run(["sh", "-c", script], check=True, stdout=subprocess.DEVNULL)


def _seen(tracing: Background) -> set[tuple[str, int]]:
    counts: dict[str, int] = {}
    for event in tracing.stop().events:
        name = Path(event["path"]).name
        counts[name] = counts.get(name, 0) + 1
    return {(name, counts.get(name, 0)) for name in ("mine", "theirs")}


def test_a_control_group_and_those_below_it(tmp_path: Path, cgroup: Path) -> None:
    tracing = Background(tmp_path / "out.json", "opensnoop", "--cgroup", "/ebtop-test")
    join = f"echo $$ > '{cgroup}/below/cgroup.procs'"
    tracing.wait_until_it_sees("sh", "-c", f"{join} && cat /dev/null")
    _opens(tmp_path / "theirs")
    _opens(tmp_path / "mine", join)
    assert _seen(tracing) == {("mine", COUNT), ("theirs", 0)}


def test_a_user(tmp_path: Path) -> None:
    user = pwd.getpwnam("nobody")
    tracing = Background(tmp_path / "out.json", "opensnoop", "--uid", "nobody")
    become = [
        sys.executable,
        "-S",
        "-c",
        f"import os, sys; os.setuid({user.pw_uid}); os.execv(sys.argv[1], sys.argv[1:])",
    ]
    tracing.wait_until_it_sees(*become, "/bin/cat", "/dev/null")
    _opens(tmp_path / "theirs")
    (tmp_path / "mine").touch()
    for place in [tmp_path, *tmp_path.parents[:2]]:
        place.chmod(0o755)
    subprocess.run([*become, *loads.command("opens", tmp_path / "mine", COUNT)], check=True, stdout=subprocess.DEVNULL)
    assert _seen(tracing) == {("mine", COUNT), ("theirs", 0)}
