"""opensnoop: every open counted, whichever way it is read; paths, flags and results as they were."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests import loads
from tests.kernel.bpftrace import Counting
from tests.kernel.ebtop import WAYS, Background, run, started, trace


@pytest.mark.native
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("count", [1009, 200003, 1000003])
def test_flat_out_every_open_is_there(tmp_path: Path, count: int, threads: int) -> None:
    target, out = tmp_path / "target", tmp_path / "out.json"
    target.touch()
    done = run(
        "run", "opensnoop", "--format", "json", "-o", str(out), "--", *loads.command("opens", target, count, threads)
    )
    assert done.returncode == 0, done.stderr
    lines = out.read_bytes().splitlines()
    # Not json.loads: of millions of lines that takes longer than all the rest, and others look at the form.
    opened = [line for line in lines if b'"path":"%s"' % bytes(target) in line]
    per_thread = Counter(re.search(rb'"tid":(\d+)', line)[1] for line in opened)
    assert (len(opened), len(per_thread)) == (count, threads)
    summary = json.loads(lines[-1])
    assert (summary["lost"], summary["exit_code"]) == (0, 0)


@pytest.mark.native
@pytest.mark.parametrize("way", WAYS)
def test_each_way_counts_the_same(tmp_path: Path, way: str) -> None:
    target = tmp_path / "target"
    target.touch()
    found = trace(tmp_path, "opensnoop", loads.command("opens", target, 10007), way)
    events = found.where(path=str(target))
    assert (len(events), found.summary["lost"]) == (10007, 0)
    assert all(
        (e["ret"] >= 0 and e["latency_ns"] > 0 and e["flags"] == ["RDONLY"]) or "CLOEXEC" in e["flags"] for e in events
    )
    if way.startswith("--attach"):
        open_probes = [probe for probe in found.summary["probes"] if "sys_" in probe]
        assert open_probes
        assert all(probe.startswith(way.removeprefix("--attach=")) for probe in open_probes)


CALLS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
os.chdir({base!r})
os.mkdir("deep"); os.chdir("deep")
fd = os.open("..", os.O_RDONLY | os.O_DIRECTORY)
os.close(os.open("made", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o640))
os.close(os.open("./made", os.O_RDONLY))
os.close(os.open("deep/made", os.O_RDONLY, dir_fd=fd))
libc.syscall(85, b"by-creat", 0o600)
libc.syscall(2, b"by-open", os.O_RDWR | os.O_CREAT, 0o604)
how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 0)
libc.syscall(437, -100, b"made", how, 24)
try: os.open("missing", os.O_RDONLY)
except OSError: pass
try: os.open(b"odd-\\xff\\x1b]0;x\\x07-name", os.O_RDONLY)
except OSError: pass
try: os.open("x/" * 1500 + "end", os.O_RDONLY)
except OSError: pass
"""


def test_what_a_call_was(tmp_path: Path) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("open and creat by number: x86-64 only")
    found = trace(tmp_path, "opensnoop", [sys.executable, "-c", CALLS.format(base=str(tmp_path))])
    deep = f"{tmp_path}/deep"
    made = found.where(path="made")
    assert [(e["flags"], oct(e["mode"]), e["abspath"]) for e in made] == [
        (["WRONLY", "CREAT", "EXCL", "CLOEXEC"], "0o640", f"{deep}/made"),
        (["RDONLY"], "0o0", f"{deep}/made"),
    ]
    assert [e["abspath"] for e in found.where(path="./made")] == [f"{deep}/made"]
    assert [e["abspath"] for e in found.where(path="deep/made")] == [f"{deep}/made"]
    (creat,) = found.where(path="by-creat")
    assert (creat["flags"], oct(creat["mode"])) == (["WRONLY", "CREAT", "TRUNC"], "0o600")
    (opened,) = found.where(path="by-open")
    assert (opened["flags"], oct(opened["mode"])) == (["RDWR", "CREAT"], "0o604")
    (missing,) = found.where(path="missing")
    assert (missing["ret"], missing["abspath"]) == (-2, f"{deep}/missing")
    (odd,) = [e for e in found.events if e["path"].startswith("odd-")]
    assert os.fsencode(odd["path"]) == b"odd-\xff\x1b]0;x\x07-name"
    assert [e["abspath"] for e in found.events if len(e["path"]) == 3003] == [f"{deep}/" + "x/" * 1500 + "end"]


def test_the_directory_of_a_process_that_is_gone(tmp_path: Path) -> None:
    inside = tmp_path / "a b" / "ü"
    inside.mkdir(parents=True)
    (inside / "file").touch()
    found = trace(tmp_path, "opensnoop", ["sh", "-c", f"cd '{inside}' && for i in $(seq 31); do cat file; done"])
    assert [e["abspath"] for e in found.where(path="file")] == [f"{inside}/file"] * 31


def test_focus_on_a_name(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    command = ["sh", "-c", f"cat {target}; {loads.build('opens')} {target} 101"]
    found = trace(tmp_path, "opensnoop", command, "--comm", "opens")
    assert len(found.where(path=str(target), comm="opens")) == 101
    assert {e["comm"] for e in found.events} == {"opens"}


@pytest.mark.native
def test_focus_on_one_process_of_a_busy_machine(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("mine", "other")]
    for file in files:
        file.touch()
    mine, other = (started(loads.command("opens", file, "9s"), stdout=subprocess.DEVNULL) for file in files)
    out = run("run", "opensnoop", "--pid", str(mine.pid), "--duration", "1", "--format", "json").stdout
    assert f'"pid":{mine.pid},' in out
    assert f'"pid":{other.pid},' not in out
    pids = {line.split('"pid":')[1].split(",")[0] for line in out.splitlines() if '"type":"event"' in line}
    assert pids == {str(mine.pid)}


@pytest.mark.native
def test_the_same_numbers_as_bpftrace(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    peer = Counting('tracepoint:syscalls:sys_exit_openat /comm == "opens"/ { @n[args->ret >= 0] = count(); }')
    tracing = Background(tmp_path / "ours.json", "opensnoop", "--comm", "opens")
    tracing.wait_until_it_sees(*loads.command("opens", target, 1))
    loads.run("opens", target, 30011)
    time.sleep(0.3)
    ours = tracing.stop()
    counted = peer.stop()
    # bpftrace was attached first and also counts the loads that told when ebtop was.
    seen = len([event for event in ours.events if event["ret"] >= 0])
    assert ours.summary["lost"] == 0
    assert 0 <= counted[1] - seen <= 400
    pid = ours.events[-1]["pid"]
    assert len(ours.where(path=str(target), pid=pid)) == 30011


@contextmanager
def standing_still(tracing: Background) -> Iterator[None]:
    """The reader of the rings does nothing for as long as this lasts."""
    time.sleep(1)
    capture = psutil.Process(tracing.process.pid).children(recursive=True)[1]
    capture.suspend()
    try:
        yield
    finally:
        capture.resume()
    time.sleep(1)


@pytest.mark.native
def test_a_walk_through_many_directories(tmp_path: Path) -> None:
    """Each open begins in a directory that was not seen before, and for a while nobody reads what is told of them."""
    if shutil.which("find") is None:
        pytest.skip("needs find")
    made = [tmp_path / "tree" / str(upper) / str(lower) for upper in range(101) for lower in range(103)]
    for directory in made:
        (directory / "inner").mkdir(parents=True)
    tracing = Background(tmp_path / "out.json", "opensnoop", "--comm", "find")
    tracing.wait_until_it_sees("find", tmp_path / "tree", "-maxdepth", "0")
    with standing_still(tracing):
        walk = started(["find", tmp_path / "tree"], stdout=subprocess.DEVNULL)
        walk.wait(timeout=60)
    found = tracing.stop()
    assert found.summary["lost"] == 0
    assert {f"{directory}/inner" for directory in made} <= {event["abspath"] for event in found.where(pid=walk.pid)}


@pytest.mark.native
@pytest.mark.parametrize("way", WAYS[:2])
def test_what_does_not_fit_is_counted_exactly(tmp_path: Path, way: str) -> None:
    """The reader stands still while more is made than the ring holds: seen + lost = made."""
    target = tmp_path / "target"
    target.touch()
    tracing = Background(tmp_path / "out.json", "opensnoop", "--comm", "opens", *way.split())
    tracing.wait_until_it_sees(*loads.command("opens", target, 1))
    whole = started(loads.command("opens", target, 1), stdout=subprocess.DEVNULL)
    whole.wait(timeout=60)
    with standing_still(tracing):
        load = started(loads.command("opens", target, 500009), stdout=subprocess.DEVNULL)
        load.wait(timeout=60)
    found = tracing.stop()
    seen = len(found.where(pid=load.pid))
    # The load opens its libraries too: as many as in a run that lost nothing.
    others = len(found.where(pid=whole.pid)) - 1
    assert found.summary["lost"] > 0
    assert seen + found.summary["lost"] == 500009 + others
