"""Stacks of events that go through the C library, which has no frame pointers, in programs with and without them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from itertools import dropwhile
from pathlib import Path

import pytest

from tests import loads
from tests.kernel.ebtop import Output, started, trace
from tests.kernel.test_stacks import below_main, counted, listener, ways, with_stacks

BUILT = {"frame pointers": loads.THROUGH_LIBC, "none": loads.WITHOUT_FRAME_POINTERS}
FIRST, SECOND = ["main", "first_way", "do_it"], ["main", "second_way", "deeper", "do_it"]
"""Of tests/loads/paths.c."""


def command(built: str, *arguments: object) -> list[str]:
    """The load, built that way."""
    return [str(loads.build("paths", *BUILT[built])), *map(str, arguments)]


def alike(stacks: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    """C libraries call the function behind open() as they like."""
    named: Counter[tuple[str, ...]] = Counter()
    for stack, count in stacks.items():
        last = re.sub(r"^(__)?(libc_)?(open|connect|execve)(64)?(_nocancel)?$", r"\3", stack[-1]) if stack else ""
        named[(*stack[:-1], last)] += count
    return named


def expected(first: int, second: int, *inner: str) -> Counter[tuple[str, ...]]:
    """What `paths` does."""
    return Counter({(*FIRST, *inner): first, (*SECOND, *inner): second})


@pytest.mark.parametrize("built", BUILT)
@pytest.mark.parametrize("way", ways("opensnoop"))
def test_opens(tmp_path: Path, way: str, built: str) -> None:
    target = tmp_path / "target"
    target.touch()
    found = with_stacks(tmp_path, "opensnoop", command(built, "open", target, 1009, 503), way)
    assert alike(counted(found.where(path=str(target)))) == expected(1009, 503, "open_it", "open")
    assert found.summary["lost"] == 0
    assert all(event["stack"][0] == "_start" for event in found.where(path=str(target)))


@pytest.mark.native
@pytest.mark.parametrize("built", BUILT)
@pytest.mark.parametrize("way", ways("execsnoop"))
def test_execs(tmp_path: Path, way: str, built: str) -> None:
    """Those that succeed leave nothing of their stack behind."""
    missing = tmp_path / "missing"
    both = [*command(built, "exec", "/bin/true", 53, 31), ";", *command(built, "exec", missing, 11, 3)]
    found = with_stacks(tmp_path, "execsnoop", ["sh", "-c", " ".join(both)], way)
    done, failed = found.where(path="/bin/true", ret=0), found.where(path=str(missing), ret=-2)
    assert alike(counted(done)) == expected(53, 31, "exec_it", "execve")
    assert alike(counted(failed)) == expected(11, 3, "exec_it", "execve")
    assert found.summary["lost"] == 0


@pytest.mark.native
@pytest.mark.parametrize("built", BUILT)
@pytest.mark.parametrize("way", ways("tcpconnect"))
def test_connects(tmp_path: Path, way: str, built: str) -> None:
    with listener() as port:
        found = with_stacks(tmp_path, "tcpconnect", command(built, "connect", port, 101, 43), way)
    assert alike(counted(found.where(dport=port, ret=0))) == expected(101, 43, "connect_it", "connect")
    assert found.lost_in(way) == 0


@pytest.mark.native
@pytest.mark.parametrize("built", BUILT)
def test_processes_that_are_gone_before_the_tick(tmp_path: Path, built: str) -> None:
    """Nobody else runs that program, and only the C library is named by the kernel."""
    target, program = tmp_path / "target", tmp_path / "short"
    target.touch()
    shutil.copy(command(built)[0], program)
    loop = f"for i in $(seq 61); do {program} open {target} 2 1; done"
    found = trace(tmp_path, "opensnoop", ["sh", "-c", loop], "--stacks")
    assert alike(counted(found.where(path=str(target)))) == expected(122, 61, "open_it", "open")


@pytest.mark.native
def test_a_process_that_is_another_program_at_the_tick(tmp_path: Path) -> None:
    """Its memory holds other files by then, whose functions were not called."""
    target = tmp_path / "target"
    target.touch()
    script = f"exec 3< {target}; exec 3<&-; exec sleep 2"
    found = trace(tmp_path, "opensnoop", ["sh", "-c", script], "--stacks")
    (event,) = found.where(path=str(target))
    assert not any("sleep" in frame for frame in event["stack"])
    assert re.fullmatch("(__)?(libc_)?open(64)?(_nocancel)?", event["stack"][-1])
    assert len(event["stack"]) > 3


@pytest.mark.native
@pytest.mark.parametrize("built", BUILT)
def test_in_the_handler_of_a_signal(tmp_path: Path, built: str) -> None:
    """What was interrupted led to it."""
    target = tmp_path / "target"
    target.touch()
    found = trace(tmp_path, "opensnoop", command(built, "signal", target, 7, 5), "--stacks")
    stacks = counted(found.where(path=str(target)))
    outer: Counter[tuple[str, ...]] = Counter()
    for stack, count in stacks.items():
        assert stack[-3:-1] == ("handler", "open_it")
        outer[stack[: stack.index("do_it") + 1]] += count
    assert outer == Counter({tuple(FIRST): 7, tuple(SECOND): 5})


@pytest.mark.native
@pytest.mark.parametrize("built", BUILT)
@pytest.mark.parametrize("kind", ["deep", "wide"])
def test_what_lies_beyond_the_copied_piece_is_cut_and_says_so(tmp_path: Path, kind: str, built: str) -> None:
    target = tmp_path / "target"
    target.touch()
    found = trace(tmp_path, "opensnoop", command(built, kind, target, 7, 5), "--stacks")
    events = found.where(path=str(target))
    assert len(events) == 12
    for event in events:
        function = "go_down" if kind == "deep" else "be_wide"
        assert event["stack"][:2] == ["[cut]", function]
        assert event["stack"][-2] == "open_it"
        assert set(event["stack"][1:-2]) == {function}
        assert kind == "wide" or len(event["stack"]) > 100


def stack_by_gdb(program: list[str], function: str) -> list[str]:
    """The functions, root first, as the program comes to one."""
    script = ["set confirm off", "set breakpoint pending on", f"break {function}", "run", "bt", "kill"]
    argv = ["gdb", "-q", "-nx", "-batch", *(part for line in script for part in ("-ex", line)), "--args", *program]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False).stdout
    return re.findall(r"^#\d+\s+(?:0x\w+ in )?(\w+)", said, re.MULTILINE)[::-1]


@pytest.mark.native
@pytest.mark.parametrize("built", BUILT)
def test_the_same_stack_as_gdb(tmp_path: Path, built: str) -> None:
    if shutil.which("gdb") is None:
        pytest.skip("gdb is not installed: there is no second opinion")
    argv = command(built, "open", "/nonexistent", 1, 0)
    theirs = stack_by_gdb(argv, "open_it")
    if "main" not in theirs:
        pytest.skip("gdb could not stop in the program")
    (event,) = trace(tmp_path, "opensnoop", argv, "--stacks").where(path="/nonexistent")
    ours = event["stack"]
    assert below_main(ours)[:-1] == below_main(theirs)


def by_perf(folder: Path, argv: list[str]) -> Counter[tuple[str, ...]]:
    """The stacks of its opens of that path, root first, as perf unwinds them."""
    data = folder / "perf.data"
    record = [
        "perf",
        "record",
        "-q",
        "-e",
        "syscalls:sys_enter_openat",
        "--call-graph",
        "dwarf",
        "-o",
        str(data),
        "--",
        *argv,
    ]
    done = subprocess.run(record, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"perf cannot record: {done.stderr.strip()[-200:]}")
    said = subprocess.run(
        ["perf", "script", "-i", str(data), "-F", "ip,sym"], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    parts = (re.findall(r"^\s+[0-9a-f]+ (\S+)", part, re.MULTILINE)[::-1] for part in said.split("\n\n"))
    return Counter(below_main(stack) for stack in parts if "open_it" in stack)


@pytest.mark.native
@pytest.mark.parametrize("built", BUILT)
def test_the_same_stacks_as_perf(tmp_path: Path, built: str) -> None:
    if shutil.which("perf") is None:
        pytest.skip("perf is not installed: there is no second opinion")
    argv = command(built, "open", "/nonexistent", 13, 7)
    theirs = alike(by_perf(tmp_path, argv))
    if not theirs:
        pytest.skip("perf has recorded no stacks")
    found: Output = trace(tmp_path, "opensnoop", argv, "--stacks")
    assert alike(counted(found.where(path="/nonexistent"))) == theirs == expected(13, 7, "open_it", "open")


@pytest.mark.native
def test_a_process_that_goes_on_for_long(tmp_path: Path) -> None:
    """It is named by what it has in memory."""
    target = tmp_path / "target"
    target.touch()
    # For longer than it takes ebtop to begin and to end: one that has gone has no memory to ask.
    load = started(command("none", "open", target, 3000, 3000, 20), stdout=subprocess.DEVNULL)
    found = trace(tmp_path, "opensnoop", ["sleep", "2"], "--stacks", "--pid", str(load.pid))
    events = found.where(path=str(target))
    taken = list(dropwhile(lambda event: event["stack"] is None, events))  # on only when the probes are attached
    assert len(taken) > len(events) // 2
    assert set(alike(counted(taken))) == set(expected(1, 1, "open_it", "open"))
