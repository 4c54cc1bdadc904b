"""overview: what processes did, those of five milliseconds included, against the kernel's own accounts."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests import loads
from tests.kernel.ebtop import Background, Output, trace

Row = dict[str, Any]


def _sum(rows: list[Row], key: str) -> int:
    return sum(row[key] for row in rows)


def _named(found: Output, comm: str) -> list[Row]:
    return [row for row in found.of("row") if row["comm"] == comm]


def _unreaped(rows: list[Row]) -> int:
    """How many were zombies at the end."""
    ended = {row["id"] for row in rows if row["state"] == "X"}
    return len({row["id"] for row in rows if row["state"] == "Z"} - ended)


@pytest.mark.native
def test_processes_of_five_milliseconds_add_up(tmp_path: Path) -> None:
    """Each in its own row, or put together with its like; the CPU time is what wait(2) says of them."""
    found = trace(tmp_path, "overview", loads.command("brief", 1009, 5000), timeout=200)
    mine = _named(found, "brief")
    assert _sum(mine, "exits") + _unreaped(mine) == 1009 + 1  # with their parent, which has the same name
    assert _sum(mine, "failed_exits") == -(-1009 // 7)
    assert _sum(mine, "forks") == 1009
    used = 1009 * 5_000_000
    assert used <= _sum(mine, "cpu_ns") < 1.5 * used
    assert found.summary["lost"] == 0


def test_cpu_is_what_the_kernel_accounts_for(tmp_path: Path) -> None:
    tracing = Background(tmp_path / "out.json", "overview")
    tracing.wait_until_it_sees("true")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(loads.command("brief", 211, 5000), check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    accounted = 1e9 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    time.sleep(1.2)
    mine = _named(tracing.stop(), "brief")
    assert abs(_sum(mine, "cpu_ns") / accounted - 1) < 0.03


def test_counts_are_exact(tmp_path: Path) -> None:
    """Opens, those that failed, execs, forks and connects of one program, over all its rows."""
    missing = tmp_path / "missing"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"""
import os, socket, sys
for i in range(503): os.close(os.open(os.devnull, os.O_RDONLY))
for i in range(101):
    try: os.open({str(missing)!r}, os.O_RDONLY)
    except FileNotFoundError: continue
for i in range(13):
    with socket.socket() as s: s.connect(("127.0.0.1", {port}))
for i in range(7):
    if not os.fork(): os._exit(0)
    os.wait()
"""
        file = tmp_path / "script.py"
        file.write_text(script)
        link = tmp_path / "counted"
        link.symlink_to("/usr/bin/python3")
        found = trace(tmp_path, "overview", [link, "-I", "-S", file])
    mine = [row for row in found.of("row") if row["comm"] == "counted"]
    bare = trace(tmp_path, "overview", [link, "-I", "-S", "-c", ""])
    base = [row for row in bare.of("row") if row["comm"] == "counted"]
    assert _sum(mine, "forks") == 7
    assert _sum(mine, "connects") == 13
    assert _sum(mine, "execs") == 1
    assert _sum(mine, "exits") + _unreaped(mine) == 8
    assert _sum(mine, "failed_opens") - _sum(base, "failed_opens") >= 101
    assert _sum(mine, "opens") >= 503 + 101


@pytest.mark.native
def test_exits_are_told_with_their_code_and_signal(tmp_path: Path) -> None:
    found = trace(tmp_path, "overview", ["sh", "-c", "sleep 9 & sleep 1.5; kill -9 $!; wait $!; exit 3"])
    ended = {(row["comm"], row["exit_code"]) for row in found.of("row") if row["state"] == "X"}
    assert ended >= {("sh", 3), ("sleep", 0), ("sleep", 128 + 9)}


@pytest.mark.native
def test_who_waits_for_a_cpu(tmp_path: Path) -> None:
    found = trace(tmp_path, "overview", loads.command("switches", "contend", 6, 3))
    mine = _named(found, "switches")
    assert _sum(mine, "wait_ns") > 1e9
    assert _sum(mine, "involuntary") > 50
    assert max(row["wait_p99_ns"] or 0 for row in mine) > 1_000_000


def _processes() -> set[int]:
    """All that /proc has, but those that have rights which root here lacks: the kernel shows them to no iterator."""
    found = set()
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        try:
            os.readlink(f"/proc/{pid}/exe")
        except PermissionError:
            continue
        except FileNotFoundError:  # a kernel thread, or gone
            pass
        found.add(pid)
    return found


def test_everyone_is_there_at_the_start(tmp_path: Path) -> None:
    """The first tick has all processes, ebtop itself and kernel threads among them, as /proc does."""
    before = _processes()
    tracing = Background(tmp_path / "out.json", "overview")
    tracing.wait_until_it_sees("true")
    found = tracing.stop()
    after = _processes()
    rows = found.of("row")
    assert before & after <= {row["pid"] for row in rows}
    assert Counter(row["ts"] for row in rows).most_common(1)[0][1] >= len(before & after)
    (shell,) = {tuple(row["argv"]) for row in rows if row["pid"] == os.getpid()}
    assert shell == tuple(Path("/proc/self/cmdline").read_text().rstrip("\0").split("\0"))[: len(shell)]


def test_a_block_device_is_told_of_who_read_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(8 << 20))
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    device = os.stat(file).st_dev
    if os.major(device) == 0:
        pytest.skip(f"{tmp_path} is on no block device")
    found = trace(tmp_path, "overview", ["dd", f"if={file}", "of=/dev/null", "bs=1M", "iflag=direct"])
    mine = _named(found, "dd")
    assert 8 << 20 <= _sum(mine, "read_bytes") < 9 << 20  # and what of dd itself was not in memory
    assert _sum(mine, "ios") >= 8
    assert all(row["io_latency_ns"] > 0 for row in mine if row["ios"])
