"""runqlat beside libbpf-tools' on the same contended load."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests import loads
from tests.kernel.ebtop import run, started, trace

Bucket = tuple[float, float, int]


def quantile(buckets: list[Bucket], share: float) -> float:
    """The value below which a share of the samples lies, inside its bucket by even spread."""
    rest = share * sum(count for _low, _high, count in buckets)
    for low, high, count in buckets:
        if rest <= count:
            return low + (high - low) * rest / count
        rest -= count
    raise AssertionError("empty histogram")


def peer_buckets(text: str) -> list[Bucket]:
    """bcc's histogram lines, in us: `4 -> 7 : 123 |***|`."""
    rows = re.findall(r"^\s*(\d+) -> (\d+)\s*: (\d+)", text, re.MULTILINE)
    return [(float(low), float(high) + 1, int(count)) for low, high, count in rows if int(count)]


def our_buckets(found: dict[str, object]) -> list[Bucket]:
    buckets = found["buckets"]
    assert isinstance(buckets, list)
    return [(low / 1000, high / 1000, count) for low, high, count in buckets]


@pytest.mark.native
def test_beside_libbpf_tools(tmp_path: Path) -> None:
    peer = next(
        (p for p in ("/usr/sbin/runqlat", "/usr/bin/runqlat", "/usr/sbin/libbpf-runqlat") if shutil.which(p)), ""
    )
    if not peer:
        pytest.skip("libbpf-tools is not installed: there is no second opinion")
    for _attempt in range(3):
        load = started(loads.command("switches", "contend", 6, 7), stdout=subprocess.DEVNULL)
        time.sleep(0.5)
        theirs = started([peer, "4", "1"], stdout=subprocess.PIPE, text=True)
        ours = run("run", "runqlat", "--duration", "4", "--format", "json")
        text = theirs.communicate(timeout=60)[0]
        load.kill()
        load.wait()
        (histogram,) = [line for line in __import__("json").loads(f"[{','.join(ours.stdout.splitlines())}]")
                        if line["type"] == "histogram"]  # fmt: skip
        apart = [
            abs(math.log2(quantile(our_buckets(histogram), share) / quantile(peer_buckets(text), share)))
            for share in (0.5, 0.99)
        ]
        # The two windows are not the same to the millisecond; what must hold is the distance of one of its buckets.
        if max(apart) <= 1:
            return
    raise AssertionError(f"p50 and p99 are {apart} buckets from libbpf-tools'")


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
