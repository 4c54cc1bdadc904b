"""Attach points of the user's choice, on loads of exactly known counts, and beside bpftrace."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ebtop.capture.points.btffunctions import Functions
from ebtop.capture.points.functions import KernelFunctions
from tests import loads
from tests.kernel.bpftrace import Counting
from tests.kernel.ebtop import Output, run, started, trace

OPENAT = "tracepoint:syscalls:sys_enter_openat"
COUNT, DEPTH = 101, 13


def opens(tmp_path: Path, count: int) -> list[str]:
    (tmp_path / "target").touch()
    return loads.command("opens", tmp_path / "target", count)


def calls(*what: object) -> list[str]:
    return loads.command("calls", *(what or (COUNT, DEPTH)))


def function(name: str, kind: str = "uprobe") -> str:
    return f"{kind}:{loads.build('calls')}:{name}"


def traced(tmp_path: Path, command: list[str], *options: str) -> Output:
    return trace(tmp_path, "probe", command, *options)


def rows(found: Output) -> dict[str, int]:
    counted = {row["probe"]: row["count"] for row in found.of("row")}
    assert len(counted) == len(found.of("row"))
    return counted


def total(found: Output, probe: str) -> int:
    return sum(one["total"] for one in found.of("histogram") if one["probe"] == probe)


def bucket_of(found: Output, value: int) -> int:
    return sum(n for one in found.of("histogram") for low, high, n in one["buckets"] if low <= value < high)


# The kernel's


@pytest.mark.parametrize("way", ["", "--perf-buffer"])
def test_each_hit_of_a_tracepoint_is_an_event_with_its_arguments(tmp_path: Path, way: str) -> None:
    found = traced(tmp_path, opens(tmp_path, 10007), "-p", OPENAT, way)
    mine = found.where(filename=str(tmp_path / "target"))
    assert len(mine) == 10007
    assert found.summary["lost"] <= sum(e["filename"] is None for e in found.events)
    first = mine[0]
    assert (first["probe"], first["comm"], first["dfd"], first["flags"]) == (OPENAT, "opens", -100, 0o2000000)
    assert first["pid"] < first["tid"]  # opens does it in a thread
    assert first["uid"] == 0


def test_a_filter_is_part_of_the_program(tmp_path: Path) -> None:
    target = tmp_path / "target"
    found = traced(tmp_path, opens(tmp_path, 1009), "-p", OPENAT, "--filter", f'filename == "{target}" && uid == 0')
    assert len(found.events) == 1009
    assert {e["filename"] for e in found.events} == {str(target)}
    none = traced(tmp_path, opens(tmp_path, 1009), "-p", OPENAT, "--filter", f'filename == "{target}" && pid < 2')
    assert none.events == []
    other = traced(
        tmp_path, opens(tmp_path, 1009), "-p", OPENAT, "--filter", f'!(filename != "{target}") && dfd == -100'
    )
    assert len(other.events) == 1009


def test_bits_in_a_filter(tmp_path: Path) -> None:
    mine = f'filename == "{tmp_path / "target"}"'
    for bits, count in (("flags & 0x80000", 53), ("flags & 0x80000 == 0", 0), ("dfd & flags & 0x80000 != 0", 53)):
        found = traced(tmp_path, opens(tmp_path, 53), "-p", OPENAT, "--filter", f"{bits} && {mine}")
        assert len(found.events) == count, bits


def test_counts_of_several_points(tmp_path: Path) -> None:
    command = opens(tmp_path, 10007)
    points = ["-p", OPENAT, "-p", "tracepoint:syscalls:sys_exit_openat", "-p", "raw_tracepoint:sched_process_exec"]
    found = rows(traced(tmp_path, command, *points, "--mode", "count", "--filter", 'comm == "opens"'))
    assert found["raw_tracepoint:sched_process_exec"] == 1
    assert found[OPENAT] == found["tracepoint:syscalls:sys_exit_openat"] > 10007


def test_counts_are_those_of_bpftrace(tmp_path: Path) -> None:
    counting = Counting("tracepoint:syscalls:sys_enter_openat /comm == \"opens\"/ { @n[1] = count(); }"
                        "tracepoint:syscalls:sys_exit_openat /comm == \"opens\"/ { @n[2] = count(); }")  # fmt: skip
    points = ["-p", OPENAT, "-p", "tracepoint:syscalls:sys_exit_openat", "--mode", "count"]
    found = rows(traced(tmp_path, opens(tmp_path, 10007), *points, "--comm", "opens"))
    theirs = counting.stop()
    assert [found[OPENAT], found["tracepoint:syscalls:sys_exit_openat"]] == [theirs[1], theirs[2]]


def test_latency_of_a_system_call(tmp_path: Path) -> None:
    filter_ = ["--filter", f'filename == "{tmp_path / "target"}"']
    found = traced(tmp_path, opens(tmp_path, 10007), "-p", OPENAT, "--mode", "latency", *filter_)
    (one,) = found.of("histogram")
    assert (one["unit"], one["probe"], one["group"]) == ("ns", OPENAT, "probe")
    # The name cannot be read at the entry of the very first call: its page has not been touched yet.
    assert one["total"] in {10006, 10007} and 100 < one["p50"] < 100_000
    by_pid = traced(tmp_path, opens(tmp_path, 101), "-p", OPENAT, "--mode", "latency", "--by=pid")
    (process,) = by_pid.of("histogram")
    assert process["group"] == "pid" and process["total"] >= 101


def test_what_a_call_gives_back(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    missing = loads.command("opens", tmp_path / "missing", 53)
    found = traced(tmp_path, missing, "-p", OPENAT, "--mode", "dist", "--value", "retval", "--comm", "opens")
    assert bucket_of(found, -2) >= 53  # ENOENT
    filtered = traced(tmp_path, missing, "-p", OPENAT, "--mode", "dist", "--value", "retval",
                      "--filter", f'filename == "{tmp_path}/missing" && retval < 0')  # fmt: skip
    assert total(filtered, OPENAT) == bucket_of(filtered, -2) == 53


def test_slow_calls_become_events(tmp_path: Path) -> None:
    sleep = "tracepoint:syscalls:sys_enter_clock_nanosleep"
    found = traced(tmp_path, calls(), "-p", sleep, "--slower-than", "2ms", "--filter", 'comm == "calls"')
    assert len(found.events) == 11
    assert all(e["latency_ns"] > 3_000_000 and e["retval"] == 0 for e in found.events)


@pytest.mark.skipif(not Path("/sys/bus/event_source/devices/kprobe").exists(), reason="this kernel has no kprobes")
def test_functions_of_the_kernel(tmp_path: Path) -> None:
    probe = "kprobe:do_sys_openat2"
    command = opens(tmp_path, 1009)
    events = traced(tmp_path, command, "-p", probe, "--comm", "opens")
    assert sum(e["filename"] == str(tmp_path / "target") for e in events.events) == 1009
    assert {e["dfd"] for e in events.events} == {-100}
    counted = rows(traced(tmp_path, command, "-p", probe, "-p", "kretprobe:do_sys_openat2", "-p", OPENAT,
                          "--mode", "count", "--comm", "opens"))  # fmt: skip
    assert counted[probe] == counted["kretprobe:do_sys_openat2"] == counted[OPENAT] >= 1009
    latency = traced(tmp_path, command, "-p", probe, "--mode", "latency", "--comm", "opens")
    assert total(latency, probe) == counted[probe]
    given = traced(tmp_path, command, "-p", probe, "--mode", "dist", "--value", "retval", "--comm", "opens")
    assert total(given, probe) == counted[probe] and bucket_of(given, 3) >= 1009


def test_functions_of_the_kernel_by_trampolines(tmp_path: Path) -> None:
    refusal = KernelFunctions(Functions(), None).fentry_refusal
    if refusal:
        pytest.skip(refusal)
    probe = "fentry:do_sys_openat2"
    command = opens(tmp_path, 1009)
    events = traced(tmp_path, command, "-p", probe, "-p", "fexit:do_sys_openat2", "--comm", "opens")
    mine = Counter(e["probe"] for e in events.events if e["filename"] == str(tmp_path / "target"))
    assert mine == {probe: 1009, "fexit:do_sys_openat2": 1009}
    assert {e["retval"] for e in events.events if e["filename"] == str(tmp_path / "target")} == {3, None}
    latency = traced(tmp_path, command, "-p", probe, "--mode", "latency", "--comm", "opens")
    assert total(latency, probe) >= 1009


@pytest.mark.parametrize("kind", ["kprobe", "kretprobe", "fentry", "fexit"])
def test_functions_that_this_kernel_cannot_attach_to(kind: str) -> None:
    traced_by_trampolines = kind in {"fentry", "fexit"}
    if traced_by_trampolines and not KernelFunctions(Functions(), None).fentry_refusal:
        pytest.skip("this kernel has trampolines")
    if not traced_by_trampolines and Path("/sys/bus/event_source/devices/kprobe").exists():
        pytest.skip("this kernel has kprobes")
    done = run("run", "probe", "-p", f"{kind}:tcp_*", "--duration", "1")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)
    assert ("refuses fentry programs" if traced_by_trampolines else "no kprobes") in done.stderr


# Programs'


@pytest.mark.parametrize("way", ["", "--perf-buffer"])
def test_each_call_of_a_function_with_its_arguments(tmp_path: Path, way: str) -> None:
    found = traced(tmp_path, calls(), "-p", function("calls_add"), way)
    assert [e["a"] for e in found.events] == [i - 50 for i in range(COUNT)]
    assert [e["b"] for e in found.events] == [i % 7 for i in range(COUNT)]
    read = [e["text"] for e in found.events]
    # Strings that the program has not touched yet are not in memory, and the kernel does not wait for them there.
    assert read[10:] == ["odd" if i % 2 else "even" for i in range(10, COUNT)]
    assert found.summary["lost"] == read.count(None) <= 2


def test_main_is_probed_before_its_first_instruction(tmp_path: Path) -> None:
    found = rows(traced(tmp_path, calls(), "-p", function("main"), "-p", function("calls_*"), "--mode", "count"))
    assert found == {
        function("main"): 1,
        function("calls_add"): COUNT,
        function("calls_slow"): COUNT,
        function("calls_deep"): DEPTH + 1,
    }


def test_functions_of_a_library(tmp_path: Path) -> None:
    code = "import ctypes\nlibc = ctypes.CDLL(None)\nfor _ in range(53): libc.abs(-7)"
    found = rows(traced(tmp_path, [sys.executable, "-S", "-c", code], "-p", "uprobe:libc:abs", "--mode", "count"))
    assert list(found.values()) == [53]


def test_counts_of_functions_are_those_of_bpftrace(tmp_path: Path) -> None:
    program = loads.build("calls")
    counting = Counting(
        f"uprobe:{program}:calls_add {{ @n[1] = count(); }} uprobe:{program}:calls_deep {{ @n[2] = count(); }}"
    )
    found = rows(traced(tmp_path, calls(10007, 211), "-p", function("calls_add"), "-p", function("calls_deep"),
                        "--mode", "count"))  # fmt: skip
    assert counting.stop() == {1: found[function("calls_add")], 2: found[function("calls_deep")]} == {1: 10007, 2: 212}


def test_a_function_that_calls_itself_is_timed_by_each_call(tmp_path: Path) -> None:
    found = traced(tmp_path, calls(), "-p", function("calls_deep"), "--mode", "latency")
    assert total(found, function("calls_deep")) == DEPTH + 1
    slow = traced(tmp_path, calls(), "-p", function("calls_deep"), "--slower-than", "1ns")
    assert sorted((e["left"], e["retval"]) for e in slow.events) == [(n, n + 1) for n in range(DEPTH + 1)]


def test_slow_calls_of_a_function(tmp_path: Path) -> None:
    found = traced(tmp_path, calls(), "-p", function("calls_slow"), "--slower-than", "2ms")
    assert [e["which"] for e in found.events] == list(range(0, COUNT, 10))
    assert all(e["latency_ns"] >= 3_000_000 and e["retval"] == 0 for e in found.events)


def test_the_distribution_of_an_argument_and_of_what_is_returned(tmp_path: Path) -> None:
    add = function("calls_add")
    found = traced(tmp_path, calls(), "-p", add, "--mode", "dist", "--value", "a")
    assert total(found, add) == COUNT
    assert [bucket_of(found, value) for value in (-3, -2, -1, 0, 1, 2, 3)] == [1] * 7
    given = traced(tmp_path, calls(), "-p", add, "--mode", "dist", "--value", "retval")
    assert (total(given, add), bucket_of(given, -1)) == (COUNT, 50)
    late = traced(tmp_path, calls(), "-p", add, "--mode", "dist", "--value", "a", "--filter", "a >= 0 && a < 8")
    assert total(late, add) == 8


def test_returns_alone(tmp_path: Path) -> None:
    found = traced(tmp_path, calls(), "-p", function("calls_add", "uretprobe"), "--filter", "retval == -1")
    assert len(found.events) == 50
    assert {e["retval"] for e in found.events} == {-1}


def test_stacks_that_lead_to_a_function(tmp_path: Path) -> None:
    found = traced(tmp_path, calls(), "-p", function("calls_slow"), "--mode", "stack")
    (stack,) = found.of("stack")
    assert (stack["count"], stack["frames"][-2:], stack["kernel_frames"]) == (COUNT, ["main", "calls_slow"], 0)
    with_stacks = traced(tmp_path, calls(), "-p", function("calls_slow"), "--stacks")
    assert {tuple(e["stack"][-2:]) for e in with_stacks.events} == {("main", "calls_slow")}


def usdt(name: str) -> str:
    if not list(Path("/usr/include").glob("**/sys/sdt.h")):
        pytest.skip("needs sys/sdt.h (systemtap-sdt-dev)")
    return f"usdt:{loads.build('calls')}:ebtop:{name}"


def test_usdt_probes_with_and_without_a_semaphore(tmp_path: Path) -> None:
    plain, armed = usdt("plain"), usdt("armed")
    found = traced(tmp_path, calls(), "-p", plain, "-p", armed, "--string", "arg1")
    of_plain, of_armed = found.where(probe=plain), found.where(probe=armed)
    assert [e["arg0"] for e in of_plain] == [i - 50 for i in range(COUNT)]
    assert [e["arg1"] for e in of_plain][10:] == ["odd" if i % 2 else "even" for i in range(10, COUNT)]
    assert [e["arg0"] for e in of_armed] == list(range(COUNT))
    counted = rows(traced(tmp_path, calls(), "-p", f"usdt:{loads.build('calls')}", "--mode", "count"))
    assert counted == {plain: COUNT, armed: COUNT}
    program = loads.build("calls")
    counting = Counting(f"usdt:{program}:ebtop:plain {{ @n[1] = count(); }}")
    again = rows(traced(tmp_path, calls(), "-p", plain, "--mode", "count"))
    assert counting.stop() == {1: again[plain]}


# What is counted, and the clock


def test_page_faults_and_the_clock(tmp_path: Path) -> None:
    code = "import mmap\nm = mmap.mmap(-1, 4096 * 1009)\nfor i in range(1009): m[4096 * i] = 1"
    command = [sys.executable, "-S", "-c", code]
    found = rows(traced(tmp_path, command, "-p", "software:page-faults:10", "--mode", "count"))
    assert 50 < found["software:page-faults:10"] < 1000  # huge pages would be fewer; Python has some of its own
    ticks = rows(traced(tmp_path, loads.command("burn", 1), "-p", "profile:hz:49", "--mode", "count"))
    assert 20 < ticks["profile:hz:49"] < 80


# Who counts, and what is wrong


def test_the_focus_holds(tmp_path: Path) -> None:
    quiet = subprocess.run(calls(), capture_output=True, check=True)
    assert quiet.returncode == 0
    both = ["sh", "-c", f"'{loads.build('calls')}' 53; exec -a other '{loads.build('calls')}' 31"]
    everyone = rows(traced(tmp_path, ["bash", *both[1:]], "-p", function("calls_add"), "--mode", "count"))
    assert everyone == {function("calls_add"): 84}
    nobody = rows(traced(tmp_path, calls(), "-p", function("calls_add"), "--mode", "count", "--comm", "nobody"))
    assert nobody == {}


WRONG = {
    "no attach point 'x:y'": ["-p", "x:y"],
    "-p KIND:NAME": [],
    "no attach point matches": ["-p", "tracepoint:syscalls:sys_enter_opnat"],
    "at most 128": ["-p", "tracepoint:syscalls:*"],
    "column 7: ": ["-p", OPENAT, "--filter", "flags =! 3"],
    "did you mean filename": ["-p", OPENAT, "--filter", 'filenam == "x"'],
    "is a string": ["-p", OPENAT, "--filter", "filename == 3"],
    "it has no return": ["-p", "tracepoint:sched:sched_switch", "--mode", "latency"],
    "needs --value": ["-p", OPENAT, "--mode", "dist"],
    "no library has that name": ["-p", "uprobe:no-such-program:main"],
    "no function 'mian'": ["-p", f"uprobe:{sys.executable}:mian"],
    "2 can be held": [
        "-p",
        "tracepoint:syscalls:sys_enter_mount",
        "--mode",
        "count",
        "--filter",
        "dev_name == 'a' && dir_name == 'b' && arg_type == 'c'",
    ],
    "cpu-clocks": ["-p", "software:cpu-clocks"],
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_is_said_in_one_line(words: str) -> None:
    done = run("run", "probe", *WRONG[words], "--duration", "1")
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, ""), done
    assert words.removeprefix("no attach point 'x:y'") in done.stderr


@pytest.mark.native
def test_what_is_hit_too_often_is_said_before_it_is_attached(tmp_path: Path) -> None:
    load = started(loads.command("opens", tmp_path, "30s", 2), stdout=subprocess.DEVNULL)
    words = ["run", "probe", "-p", "raw_tracepoint:sys_enter", "--duration", "0.5", "-o", str(tmp_path / "x")]
    refused = run(*words)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused
    assert "raw_tracepoint:sys_enter is hit " in refused.stderr and "--hot to go on" in refused.stderr
    assert run(*words, "--hot").returncode == 0
    load.kill()
