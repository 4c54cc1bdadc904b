"""profile: samples counted, functions named, processes that are gone included."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests import loads
from tests.kernel.ebtop import WAYS, Output, trace


def on_top(found: Output) -> Counter[str]:
    """Samples by innermost function."""
    counted: Counter[str] = Counter()
    for stack in found.of("stack"):
        counted[stack["frames"][-1] if stack["frames"] else ""] += stack["count"]
    return counted


@pytest.mark.native
@pytest.mark.parametrize("way", WAYS[:2])
def test_three_seconds_in_one_function(tmp_path: Path, way: str) -> None:
    found = trace(tmp_path, "profile", loads.command("burn", 3), way)
    counted = on_top(found)
    assert abs(counted.total() - 297) <= 30
    assert counted.most_common(1)[0][0] == "burn_here"
    assert counted["burn_here"] > 0.9 * counted.total()
    (hottest,) = [s for s in found.of("stack") if s["frames"][-1] == "burn_here" and s["count"] > 200]
    assert len(hottest["frames"]) > 1


@pytest.mark.native
def test_names_of_cplusplus(tmp_path: Path) -> None:
    found = trace(tmp_path, "profile", loads.command("burnxx", 1))
    name = on_top(found).most_common(1)[0][0]
    assert "::" in name
    assert "<" in name
    assert not name.startswith("_Z")


@pytest.mark.native
def test_another_frequency(tmp_path: Path) -> None:
    found = trace(tmp_path, "profile", loads.command("burn", 1), "--frequency=499")
    assert abs(on_top(found).total() - 499) <= 60


def test_processes_that_are_gone_before_the_tick(tmp_path: Path) -> None:
    burn = loads.build("burn")
    found = trace(tmp_path, "profile", ["sh", "-c", f"for i in $(seq 60); do {burn} 0.02 >/dev/null; done"])
    counted = on_top(found)
    assert counted["burn_here"] > 60


def sorting(found: Output) -> Counter[bool]:
    """Samples in what the C library calls: is the stack whole?"""
    counted: Counter[bool] = Counter()
    for stack in found.of("stack"):
        if "compared_here" in stack["frames"]:
            own = [f for f, m in zip(stack["frames"], stack["modules"], strict=True) if m.startswith("sorts")]
            ours = [f for f in own if f in {"main", "sorted_here", "compared_here"}]
            whole = stack["frames"][0] == "_start" and ours == ["main", "sorted_here", "compared_here"]
            counted[whole] += stack["count"]
    return counted


@pytest.mark.native
@pytest.mark.parametrize("built", ["frame pointers", "none"])
@pytest.mark.parametrize("way", WAYS[:2])
def test_through_libraries_without_frame_pointers(tmp_path: Path, way: str, built: str) -> None:
    found = trace(tmp_path, "profile", [str(loads.build("sorts", *loads.SORTS[built])), "1"], way)
    counted = sorting(found)
    assert counted.total() > 80
    assert counted[False] == 0


@pytest.mark.native
@pytest.mark.parametrize("built", ["none", "static"])
def test_the_same_of_processes_that_are_gone_before_the_tick(tmp_path: Path, built: str) -> None:
    """They are looked at while they are there; who is sampled just before the end may be gone by then."""
    sorts = loads.build("sorts", *loads.SORTS[built])
    found = trace(tmp_path, "profile", ["sh", "-c", f"for i in $(seq 60); do {sorts} 0.03 >/dev/null; done"])
    counted = sorting(found)
    assert counted.total() > 90
    assert counted[True] > 0.8 * counted.total()


@pytest.mark.native
def test_functions_of_a_perf_map(tmp_path: Path) -> None:
    """A program that makes code at run time names it in /tmp/perf-PID.map, as V8, the JVM and .NET do."""
    jit = tmp_path / "jit.c"
    jit.write_text(
        "#include <stdio.h>\n#include <string.h>\n#include <sys/mman.h>\n#include <unistd.h>\n"
        "int main(void) {\n"
        "  /* mov ecx, edi; 1: dec ecx; jnz 1b; ret */\n"
        "  unsigned char code[] = {0x89, 0xf9, 0xff, 0xc9, 0x75, 0xfc, 0xc3};\n"
        "  void *at = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);\n"
        "  memcpy(at, code, sizeof code);\n"
        '  char name[64]; sprintf(name, "/tmp/perf-%d.map", getpid());\n'
        '  FILE *map = fopen(name, "w"); fprintf(map, "%lx 40 hot_loop_made_at_run_time\\n", (long)at); fclose(map);\n'
        "  for (int i = 0; i < 15; i++) ((void (*)(int))at)(200000000);\n"
        "  unlink(name); return 0; }\n"
    )
    if os.uname().machine != "x86_64":
        pytest.skip("the code that it makes is x86-64")
    program = tmp_path / "jit"
    subprocess.run(["gcc", "-O1", "-o", str(program), str(jit)], check=True)
    found = trace(tmp_path, "profile", [program])
    assert on_top(found).most_common(1)[0][0] == "hot_loop_made_at_run_time"


def test_kernel_functions_have_names(tmp_path: Path) -> None:
    busy = "import os\nfor i in range(300000): os.stat('/proc/self/status')"
    found = trace(tmp_path, "profile", [sys.executable, "-S", "-c", busy])
    kernel = {f for s in found.of("stack") for f, m in zip(s["frames"], s["modules"], strict=True) if m == "kernel"}
    assert any("stat" in name or "path" in name or "syscall" in name for name in kernel)
