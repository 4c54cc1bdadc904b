"""runqlat beside libbpf-tools' on the same contended load."""

from __future__ import annotations

import math
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import loads
from tests.kernel.ebtop import started, trace
from tests.leftovers import held_by

Bucket = tuple[float, float, int]


def quantile(buckets: list[Bucket], share: float) -> float:
    """The value below which a share of the samples lies, inside its bucket by even spread."""
    rest = share * sum(count for _low, _high, count in buckets)
    for low, high, count in buckets:
        if rest <= count:
            return low + (high - low) * rest / count
        rest -= count
    raise AssertionError("empty histogram")


def peer_buckets(text: str, pid: int) -> list[Bucket]:
    """bcc's histogram of a process, in us: `4 -> 7 : 123 |***|`."""
    (found,) = re.findall(rf"^pid = {pid} .*\n((?s:.*?))(?=^pid = |\Z)", text, re.MULTILINE)
    rows = re.findall(r"^\s*(\d+) -> (\d+)\s*: (\d+)", found, re.MULTILINE)
    return [(float(low), float(high) + 1, int(count)) for low, high, count in rows if int(count)]


def our_buckets(found: dict[str, object]) -> list[Bucket]:
    buckets = found["buckets"]
    assert isinstance(buckets, list)
    return [(low / 1000, high / 1000, count) for low, high, count in buckets]


@pytest.mark.native
def test_beside_libbpf_tools(tmp_path: Path) -> None:
    """Both see one process from its first instruction to its end: the same waits, so nothing depends on the moment."""
    peer = next(
        (p for p in ("/usr/sbin/runqlat", "/usr/bin/runqlat", "/usr/sbin/libbpf-runqlat") if shutil.which(p)), ""
    )
    if not peer:
        pytest.skip("libbpf-tools is not installed: there is no second opinion")
    theirs = started([peer, "--pids"], stdout=subprocess.PIPE, text=True)
    wait_for_links(theirs.pid, 3)
    ours = trace(tmp_path, "runqlat", loads.command("switches", "contend", 6, 4), "--by=pid")
    theirs.send_signal(signal.SIGINT)
    (histogram,) = [found for found in ours.of("histogram") if found["label"].startswith("switches")]
    peers = peer_buckets(theirs.communicate(timeout=60)[0], histogram["pid"])
    assert histogram["total"] == pytest.approx(sum(count for _low, _high, count in peers), rel=0.02)
    for share in (0.5, 0.99):
        apart = math.log2(quantile(our_buckets(histogram), share) / quantile(peers, share))
        assert abs(apart) <= 1, f"p{share:.0%} is {apart} buckets from libbpf-tools'"


def wait_for_links(pid: int, count: int) -> None:
    """Until a tracer's programs are attached."""
    deadline = time.monotonic() + 30
    while sum(held.startswith("link ") for held in held_by([pid])) < count:
        assert time.monotonic() < deadline, f"{pid} has not attached {count} programs"
        time.sleep(0.05)


def test_a_contended_program_waits_and_is_told_by_process(tmp_path: Path) -> None:
    found = trace(tmp_path, "runqlat", loads.command("switches", "contend", 6, 2), "--by=pid")
    mine = [h for h in found.of("histogram") if h["label"].startswith("switches")]
    assert mine
    assert sum(h["total"] for h in mine) > 100
    assert max(h["p99"] for h in mine) > 1_000_000
    for histogram in found.of("histogram"):
        assert histogram["unit"] == "ns"
        assert histogram["total"] == sum(count for _low, _high, count in histogram["buckets"])


def test_by_cgroup(tmp_path: Path) -> None:
    found = trace(tmp_path, "runqlat", loads.command("switches", "pipes", 2000), "--by=cgroup")
    assert sum(h["total"] for h in found.of("histogram")) > 1000
    assert found.summary["lost"] == 0
