"""User probes in programs of many layouts, in libraries that come late, in Go programs: each call once, none missed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.ebtop import Output, run, trace
from tests.unit.elfprograms import SERVER
from tests.unit.goprograms import go_program

MAIN = "Envoy::MainCommon::main"
SEPARATE = ("-Wl,-z,separate-code", "-Wl,-z,noseparate-code")
LINKERS = {"bfd": SEPARATE, "gold": ("",), "lld": SEPARATE, "mold": SEPARATE}
"""With what they know of it: gold never separates code from data that is only read."""
KINDS = {"pie": ("-fPIE", "-pie"), "not pie": ("-fno-pie", "-no-pie")}
LAYOUTS = {
    f"{linker} {kind} {code.rpartition(',')[2]}".strip(): (kind, f"-fuse-ld={linker}", code)
    for linker, codes in LINKERS.items() for kind in KINDS for code in codes
}  # fmt: skip


@dataclass
class Servers:
    """The programs by layout, or why there is none; what was seen when each had run, with one argument more than the
    one before it."""

    paths: dict[str, Path]
    missing: dict[str, str]
    seen: Output


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Servers:
    """The server of the seed's experiment, linked in every way, all traced at once."""
    if not shutil.which("g++"):
        pytest.skip("needs g++")
    folder = tmp_path_factory.mktemp("servers")
    (folder / "server.cc").write_text(SERVER)
    paths, missing = {}, {}
    for kind, (compile_, _link) in KINDS.items():
        command = ["g++", "-g", "-O1", compile_, "-c", "server.cc", "-o", f"{kind}.o"]
        subprocess.run(command, cwd=folder, check=True)
    for number, (layout, (kind, *flags)) in enumerate(LAYOUTS.items()):
        path = folder / f"server{number}"
        command = ["g++", KINDS[kind][1], *filter(None, flags), f"{kind}.o", "-o", str(path)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            missing[layout] = done.stderr[-200:]
        else:
            paths[layout] = path
    points = [word for path in paths.values() for word in ("-p", f"uprobe:{path}:{MAIN}")]
    starts = "; ".join(" ".join(map(str, [path, *range(n)])) for n, path in enumerate(paths.values()))
    return Servers(paths, missing, trace(folder, "probe", ["sh", "-c", starts], *points))


@pytest.mark.native
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_seeds_own_experiment(servers: Servers, layout: str) -> None:
    if layout in servers.missing:
        pytest.skip(servers.missing[layout])
    path = servers.paths[layout]
    name = f"uprobe:{path}:{MAIN}(int, char**, std::function<void (Envoy::Server::Instance&)>)"
    (hit,) = [event for event in servers.seen.events if event["probe"].startswith(f"uprobe:{path}:")]
    assert (hit["probe"], hit["comm"], hit["argc"]) == (name, path.name, list(servers.paths).index(layout) + 1)
    assert servers.seen.summary["lost"] == 0
    assert len(servers.seen.events) == len(servers.paths)


@pytest.mark.native
def test_a_program_that_nobody_here_built(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    found = trace(
        tmp_path, "probe", ["sh", "-c", "for n in 1 2 3; do node -e $n; done"], "-p", "uprobe:node:node::Start"
    )
    assert [event["arg0"] for event in found.events] == [3, 3, 3]
    assert len({event["pid"] for event in found.events}) == 3
    assert found.summary["lost"] == 0


LATE = "int late_add(int a, int b) { return a + b; }\n"


def test_a_library_that_is_mapped_late_is_probed_from_the_first_call(tmp_path: Path) -> None:
    (tmp_path / "late.c").write_text(LATE)
    library = tmp_path / "late.so"
    subprocess.run(["gcc", "-g", "-O2", "-shared", "-fPIC", "late.c", "-o", library], cwd=tmp_path, check=True)
    code = (f"import ctypes\nassert 'late.so' not in open('/proc/self/maps').read()\n"
            f"late = ctypes.CDLL('{library}')\nfor n in range(53): late.late_add(n, -n)")  # fmt: skip
    found = trace(tmp_path, "probe", [sys.executable, "-S", "-c", code], "-p", f"uprobe:{library}:late_add")
    assert [(event["a"], event["b"]) for event in found.events] == [(n, -n) for n in range(53)]
    assert found.summary["lost"] == 0


GROWING = """
package main
import ("os"; "strconv")
//go:noinline
func down(left int, pad [64]int) int {
	if left == 0 { return pad[3] }
	pad[left % 64]++
	return down(left - 1, pad) + 1
}
func main() {
	depth, _ := strconv.Atoi(os.Args[1])
	for n := 0; n < 3; n++ {
		done := make(chan int)
		go func() { done <- down(depth, [64]int{}) }()
		<-done
	}
}
"""


@pytest.mark.native
@pytest.mark.parametrize("flags", [(), ("-ldflags=-s -w",), ("-buildmode=pie",)], ids=["plain", "stripped", "pie"])
def test_each_call_of_a_go_function_counts_once_though_its_stack_grows(tmp_path: Path, flags: tuple[str, ...]) -> None:
    program = go_program(tmp_path, *flags, source=GROWING)
    found = trace(tmp_path, "probe", [program, "1009"], "-p", f"uprobe:{program}:main.down", "--filter", "tid > 0")
    column = "left" if "left" in found.events[0] else "arg0"
    assert Counter(event[column] for event in found.events) == dict.fromkeys(range(1010), 3)


@pytest.mark.native
def test_go_functions_have_no_return_probes(tmp_path: Path) -> None:
    program = go_program(tmp_path)
    cold = f"uprobe:{program}:main.cold"
    found = trace(tmp_path, "probe", [program], "-p", cold, "-p", f"uprobe:{program}:main.(*Cart).Add")
    assert [(event["probe"], event["price"], event["x"]) for event in found.events] == [
        (f"uprobe:{program}:main.(*Cart).Add", 1, None), (cold, None, 1)]  # fmt: skip
    for words in (["-p", f"uretprobe:{program}:main.cold"], ["-p", cold, "--mode", "latency"]):
        done = run("run", "probe", *words, "--duration", "1")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "Go moves its stacks" in done.stderr and "only entries can be probed" in done.stderr
