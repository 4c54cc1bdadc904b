"""The files of stacks in the programs that they are for: speedscope's importer, and `go tool pprof`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from ebtop.export.formats import SUFFIXES
from ebtop.export.stackcounts import StackCounter, StackCounts
from tests.ui.aggregates import STACKS, profiled
from tests.unit.stackcases import PERIOD, counted, hostile, write

SPEEDSCOPE = "speedscope@1.25.0"
READER = Path(__file__).with_name("speedscope.cjs")


def believable(period: int = PERIOD) -> StackCounts:
    counter = StackCounter(STACKS, period)
    for tick in profiled():
        counter.add(tick, {})
    return counter.counts()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """speedscope's script, as npm has it."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("speedscope's own importer needs node and npm")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", SPEEDSCOPE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry does not answer")
    if done.returncode:
        pytest.skip(f"npm cannot install {SPEEDSCOPE}: {done.stderr.strip().splitlines()[-1:]}")
    (script,) = (folder / "node_modules/speedscope/dist/release").glob("speedscope-*.js")
    return script


def imported(bundle: Path, file: Path) -> dict:
    done = subprocess.run(["node", READER, bundle, file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-1000:]
    (chart,) = json.loads(done.stdout)
    return chart


def paths(counts: StackCounts) -> Counter[tuple[tuple[str, str | None], ...]]:
    """What speedscope is to show: names and files."""
    found: Counter[tuple[tuple[str, str | None], ...]] = Counter()
    for stack in counts.stacks:
        frames = [(f.name, "[kernel]" if f.kernel else f.module or None) for f in stack.frames]
        found[(stack.comm, None), *frames] += stack.count * (counts.period_ns or 1)
    return found


@pytest.mark.parametrize("counts", [believable(), believable(0), counted(*hostile())], ids=["time", "count", "hostile"])
def test_speedscope_imports_its_own_format(bundle: Path, tmp_path: Path, counts: StackCounts) -> None:
    chart = imported(bundle, write(counts, "speedscope", tmp_path / f"x{SUFFIXES['speedscope']}"))
    assert chart["total"] == counts.total * (counts.period_ns or 1)
    assert chart["unit"] == ("nanoseconds" if counts.period_ns else "none")
    found: Counter[tuple[tuple[str, str | None], ...]] = Counter()
    for path, weight in chart["stacks"]:
        found[tuple((name, file) for name, file in path)] += weight
    assert found == paths(counts)


@pytest.mark.parametrize("counts", [believable(), counted(*hostile())], ids=["believable", "hostile"])
@pytest.mark.parametrize("name", ["folded", "pprof"])
def test_speedscope_imports_the_others(bundle: Path, tmp_path: Path, counts: StackCounts, name: str) -> None:
    chart = imported(bundle, write(counts, name, tmp_path / f"x{SUFFIXES[name]}"))
    assert chart["total"] == counts.total * (counts.period_ns if name == "pprof" and counts.period_ns else 1)
    assert sorted(len(path) for path, _ in chart["stacks"]) == sorted(
        len(stack.frames) + (name == "folded") for stack in counts.stacks
    )


def pprof(tmp_path: Path, file: Path, *arguments: str) -> str:
    go = shutil.which("go")
    if go is None:
        pytest.skip("needs go (Debian: golang-go), for `go tool pprof`")
    environment = {"HOME": str(tmp_path), "PATH": f"{Path(go).parent}:/usr/bin:/bin"}
    command = [go, "tool", "pprof", "-symbolize=none", *arguments, str(file)]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode("utf-8")


@pytest.mark.parametrize("counts", [believable(), counted(*hostile())], ids=["believable", "hostile"])
def test_go_tool_pprof_counts_the_same(tmp_path: Path, counts: StackCounts) -> None:
    file = write(counts, "pprof", tmp_path / "x.pb.gz")
    raw = pprof(tmp_path, file, "-raw")
    samples = raw.split("Samples:\n")[1].split("Locations\n")[0]
    rows = re.findall(r"^ +(\d+)(?: +(\d+))?: ", samples, re.MULTILINE)
    assert sorted(int(count) for count, _ in rows) == sorted(stack.count for stack in counts.stacks)
    if counts.period_ns:
        assert f"Period: {counts.period_ns}\n" in raw
        assert sum(int(time) for _, time in rows) == counts.total * counts.period_ns
    assert samples.count("comm:[") == samples.count("pid:[") == len(counts.stacks)
    assert "[kernel]" in raw.split("Mappings\n")[1]


def test_go_tool_pprof_ranks_functions_as_the_stacks_have_them(tmp_path: Path) -> None:
    counts = believable()
    table = pprof(tmp_path, write(counts, "pprof", tmp_path / "x.pb.gz"), "-top", "-sample_index=samples")
    assert f"Total samples = {counts.total} " in table
    own: Counter[str] = Counter()
    for stack in counts.stacks:
        own[stack.frames[-1].name] += stack.count
    found = re.findall(r"^ +(\d+) +[\d.]+% +[\d.]+% +\d+ +[\d.]+%  (.+)$", table, re.MULTILINE)
    rows = {name: int(flat) for flat, name in found}
    top, times = own.most_common(1)[0]
    assert rows[top] == times == max(rows.values())
    assert sum(rows.values()) == counts.total
