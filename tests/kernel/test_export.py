"""What was recorded of a load comes out with the same totals in every format."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from ebtop import registry
from ebtop.tool import Kind
from tests import loads
from tests.kernel.ebtop import Output, run

SAMPLES = next(tool.name for tool in registry.tools() if tool.kind is Kind.STACKS)
HZ = 199


def test_samples_of_a_known_load_in_every_format(tmp_path: Path) -> None:
    file = tmp_path / "x.ebtop"
    burn = list(map(str, loads.command("burn", 2)))
    done = run("record", SAMPLES, "-o", str(file), "--frequency", str(HZ), "--", *burn)
    assert done.returncode == 0, done.stderr
    found = Output(run("export", str(file), "--format", "json").stdout.splitlines())
    total = sum(stack["count"] for stack in found.of("stack"))
    assert abs(total - 2 * HZ) <= HZ / 5
    folded = run("export", str(file), "--format", "folded").stdout.splitlines()
    assert sum(int(line.rsplit(" ", 1)[1]) for line in folded) == total
    assert max(folded, key=lambda line: int(line.rsplit(" ", 1)[1])).rsplit(" ", 1)[0].endswith(";burn_here")
    (chart,) = json.loads(run("export", str(file), "--format", "speedscope").stdout)["profiles"]
    assert (chart["unit"], chart["endValue"]) == ("nanoseconds", total * round(1e9 / HZ))  # it knows how often
    assert run("export", str(file), "--format", "pprof", "-o", str(tmp_path / "x.pb.gz")).returncode == 0
    assert b"burn_here" in gzip.decompress((tmp_path / "x.pb.gz").read_bytes())
