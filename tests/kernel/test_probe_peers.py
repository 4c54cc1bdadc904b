"""Counts, latencies, distributions and events of the CPU beside what bpftrace and perf make of the same load."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests import loads
from tests.kernel.bpftrace import Histograms
from tests.kernel.ebtop import Output, run, trace

pytestmark = pytest.mark.native
COUNT, DEPTH = 503, 211


def function(name: str) -> str:
    return f"uprobe:{loads.build('calls')}:{name}"


def calls(*what: object) -> list[str]:
    return loads.command("calls", *(what or (COUNT, DEPTH)))


def powers(found: Output) -> dict[int, int]:
    """The only histogram, by the powers of two that its finer buckets are in; what is below zero is in -1."""
    (histogram,) = found.of("histogram")
    counted: Counter[int] = Counter()
    for low, high, count in histogram["buckets"]:
        whole = -1 if low < 0 else 0 if low < 1 else 1 << (int(low).bit_length() - 1)
        assert low < 0 or high <= max(1, 2 * whole), (low, high)  # in one of theirs
        counted[whole] += count
    assert counted.total() == histogram["total"]
    return {low: count for low, count in counted.items() if count}


def middle(histogram: dict[int, int]) -> int:
    """Which power of two the median is in."""
    values = sorted(Counter(histogram).elements())
    return (values[len(values) // 2]).bit_length()


def test_the_distribution_of_an_argument(tmp_path: Path) -> None:
    add = function("calls_add")
    theirs = Histograms(f"{add} {{ @a = hist((int32)arg0); }}")
    found = trace(tmp_path, "probe", calls(), "-p", add, "--mode", "dist", "--value", "a")
    wanted = theirs.stop()
    assert {"@a": powers(found)} == wanted
    assert sum(wanted["@a"].values()) == COUNT and wanted["@a"][-1] == 50


def test_how_long_calls_take(tmp_path: Path) -> None:
    slow = function("calls_slow")
    theirs = Histograms(
        f"{slow} {{ @began[tid] = nsecs; }} uret{slow[1:]} /@began[tid]/ "
        "{ @ns = hist(nsecs - @began[tid]); delete(@began[tid]); }"
    )
    found = trace(tmp_path, "probe", calls(), "-p", slow, "--mode", "latency")
    wanted, ours = theirs.stop()["@ns"], powers(found)
    assert sum(ours.values()) == sum(wanted.values()) == COUNT
    assert abs(middle(ours) - middle(wanted)) <= 1
    long = [sum(count for low, count in each.items() if low >= 1 << 21) for each in (ours, wanted)]
    assert min(long) >= 51  # those that sleep 3 ms, and whom the CPU was taken from


# Events of the kernel's counters


def perf(*words: str) -> str:
    if shutil.which("perf") is None:
        pytest.skip("perf is not installed (linux-perf)")
    done = subprocess.run(["perf", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"perf: {done.stderr[-200:]}")
    return done.stdout


def test_the_kernels_counters_as_perf_lists_them() -> None:
    listed = re.findall(r"^ +(\S+) .*\[Software event\]$", perf("list", "sw"), re.MULTILINE)
    nothing = {"bpf-output", "dummy"}  # what programs and tools use them for; they count nothing
    ours = {line.removeprefix("software:") for line in run("probes", "software:*").stdout.split()}
    assert ours == set(listed) - nothing


def test_the_kernels_counters_count_as_perf_does(tmp_path: Path) -> None:
    """Both in the same run: what has that name is the program from its exec on, for both."""
    names = ["page-faults", "minor-faults", "context-switches"]
    perf("stat", "true")
    told = tmp_path / "perf.csv"
    command = ["perf", "stat", "-x,", "-o", str(told), "-e", ",".join(names), *calls()]
    points = [word for name in names for word in ("-p", f"software:{name}:1")]
    found = trace(tmp_path, "probe", command, *points, "--mode", "count", "--filter", 'comm == "calls"')
    theirs = {row[2]: int(row[0]) for line in told.read_text().splitlines() if len(row := line.split(",")) > 3}
    ours = {row["probe"].split(":")[1]: row["count"] for row in found.of("row")}
    assert ours == {name: theirs[name] for name in names}
    assert ours["context-switches"] >= 51


def test_clocks_tick_as_often_as_they_are_asked_to() -> None:
    wanted = {"interval:ms:50": 20, "interval:hz:40": 40, "interval:us:20000": 50}
    words = [word for point in wanted for word in ("-p", point)]
    done = run("run", "probe", *words, "--mode", "count", "--duration", "2", "--format", "json")
    found = Output(done.stdout.splitlines())
    counts = {row["probe"]: row["count"] for row in found.of("row")}
    assert counts.keys() == wanted.keys()
    for point, rate in wanted.items():
        assert 0.8 < counts[point] / (rate * found.summary["duration_s"]) < 1.1, counts


def test_the_cpus_counters_or_why_not() -> None:
    there = json.loads(run("probes", "hardware:cpu-cycles", "--format", "json").stdout)["attachable"]
    done = run("run", "probe", "-p", "hardware:cpu-cycles:100000", "--mode", "count", "--duration", "1")
    if there:
        assert done.returncode == 0 and "hardware:cpu-cycles:100000" in done.stdout
    else:
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)
        assert "hardware:cpu-cycles:100000: this machine has no such counter" in done.stderr
