"""`ebtop probes` on this kernel, beside what the kernel and bpftrace list."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ebtop.resolve.binaryname import path_of
from tests import loads
from tests.kernel.ebtop import EBTOP, run


def listed(*arguments: str) -> list[dict[str, Any]]:
    """Attach points, as JSON."""
    found = run("probes", "--format", "json", *arguments)
    assert found.returncode == 0, found.stderr
    return [json.loads(line) for line in found.stdout.splitlines()]


def test_the_same_tracepoints_as_bpftrace() -> None:
    if not shutil.which("bpftrace"):
        pytest.skip("bpftrace is not installed")
    theirs = subprocess.run(["bpftrace", "-l", "tracepoint:*"], capture_output=True, text=True, check=True).stdout
    ours = run("probes", "tracepoint:*").stdout
    assert Counter(ours.splitlines()) == Counter(theirs.splitlines())


@pytest.mark.native
@pytest.mark.parametrize("kind", ["uprobe", "usdt"])
@pytest.mark.parametrize("program", ["calls", "libc", "bash"])
def test_the_same_points_of_programs_as_bpftrace(kind: str, program: str) -> None:
    """But for versions of symbols, and for pieces of functions, which are entered by jumps."""
    if not shutil.which("bpftrace"):
        pytest.skip("bpftrace is not installed")
    path = path_of(program) if program != "calls" else loads.build("calls")
    pattern = f"{kind}:{path}:*"
    theirs = subprocess.run(["bpftrace", "-l", pattern], capture_output=True, text=True, check=False).stdout.split()
    ours = run("probes", pattern).stdout.splitlines()
    wanted = {name.partition("@")[0] for name in theirs}
    assert set(ours) <= wanted
    assert {name for name in wanted - set(ours) if ".cold" not in name} == set()
    assert ours or (kind == "usdt" and program != "calls")


def test_everything_is_listed_once_and_the_stable_first() -> None:
    found = listed()
    assert len(found) == len({one["probe"] for one in found})
    kinds = list(dict.fromkeys(one["kind"] for one in found))
    assert kinds == [k for k in ("tracepoint", "usdt", "software", "hardware", "profile", "interval",
                                 "raw_tracepoint", "fentry", "kprobe", "uprobe") if k in kinds]  # fmt: skip
    assert all(one["attachable"] == (one["reason"] == "") for one in found)
    assert {"tracepoint", "software", "profile", "interval", "raw_tracepoint", "kprobe"} <= set(kinds)


def test_arguments_of_a_tracepoint() -> None:
    (found,) = listed("-v", "tracepoint:syscalls:sys_enter_openat")
    assert found["attachable"]
    assert {"name": "filename", "type": "const char *"} in found["arguments"]


def test_what_this_kernel_cannot_attach_says_why() -> None:
    kprobe, fentry = (listed(f"{kind}:tcp_connect")[0] for kind in ("kprobe", "fentry"))
    there = Path("/sys/bus/event_source/devices/kprobe").exists()
    assert kprobe["attachable"] is there
    assert fentry["attachable"] is (run("run", "tcpconnect", "--attach=fentry", "--duration", "0.01").returncode == 0)
    assert there or "CONFIG_KPROBES" in kprobe["reason"]


def test_nothing_that_matches() -> None:
    found = run("probes", "tracepoint:nobody:has_this")
    assert (found.returncode, found.stdout) == (2, "")
    assert len(found.stderr.splitlines()) == 1


def test_a_reader_that_goes_away() -> None:
    with subprocess.Popen([*EBTOP, "probes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline().startswith("tracepoint:")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_as_one_who_may_not() -> None:
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    argv = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *EBTOP, "probes"]
    found = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert found.returncode == 3
    assert len(found.stderr.splitlines()) == 1
