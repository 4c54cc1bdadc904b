"""execsnoop: every exec with its whole argv, in order, and how it ended."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests import loads
from tests.kernel.bpftrace import Counting
from tests.kernel.ebtop import WAYS, trace

TRUE = "/bin/true"


def executed(tmp_path: Path, *argvs: list[bytes], way: str = "", path: str = TRUE) -> list[dict[str, object]]:
    """The events of a program that forks and execs each argv in turn."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        f"for argv in {argvs!r}:\n"
        "    pid = os.fork()\n"
        f"    if not pid:\n        try: os.execv({path!r}, argv)\n        finally: os._exit(1)\n"
        "    os.waitpid(pid, 0)\n"
    )
    found = trace(tmp_path, "execsnoop", [sys.executable, "-S", str(script)], way)
    assert found.summary["lost"] == 0
    return found.where(path=path)


def as_bytes(event: dict[str, object]) -> list[bytes]:
    argv = event["argv"]
    assert isinstance(argv, list)
    return [os.fsencode(argument) for argument in argv]


@pytest.mark.native
@pytest.mark.parametrize("way", WAYS)
def test_a_shell_loop_in_order(tmp_path: Path, way: str) -> None:
    loop = f'for i in $(seq 101); do {TRUE} "$i" "number $i"; done'
    found = trace(tmp_path, "execsnoop", ["sh", "-c", loop], way)
    events = found.where(path=TRUE)
    assert [e["argv"] for e in events] == [[TRUE, str(i), f"number {i}"] for i in range(1, 102)]
    assert {(e["comm"], e["ret"], e["truncated"]) for e in events} == {("true", 0, False)}
    assert len({e["pid"] for e in events}) == 101
    ended = {row["exec_id"]: row for row in found.of("row")}
    assert all(ended[e["exec_id"]]["exit_code"] == 0 for e in events)
    assert all(0 < ended[e["exec_id"]]["duration_ns"] < 5e9 for e in events)


@pytest.mark.native
def test_the_same_numbers_as_bpftrace(tmp_path: Path) -> None:
    program = tmp_path / "counted"
    shutil.copy(TRUE, program)
    peer = Counting('tracepoint:sched:sched_process_exec /comm == "counted"/ { @n[1] = count(); }')
    found = trace(tmp_path, "execsnoop", loads.command("execs", 1009, program))
    assert found.summary["lost"] == 0
    assert peer.stop() == {1: 1009}
    assert len(found.where(path=str(program), comm="counted", ret=0)) == 1009


def test_arguments_come_whole(tmp_path: Path) -> None:
    argvs = [
        [b"true", *(b"%d" % i for i in range(299))],
        [b"true", b"x" * 102400],
        [b"true", *[b"y" * 1000] * 128],
        [b"true", b"line\nline", "grüße".encode(), b"", b"\x1b]0;title\x07", b"\xff\xfe", b""],
        [b"true", b"z" * 131071],
    ]
    events = executed(tmp_path, *argvs)
    assert [as_bytes(e) for e in events] == argvs
    assert not any(e["truncated"] for e in events)


def test_at_the_edges_of_records(tmp_path: Path) -> None:
    """Records come in four sizes, by the path's and the arguments' length."""
    argvs = [[b"t", b"z" * (size - 3)] for edge in (104, 384, 8192) for size in (edge - 1, edge, edge + 1)]
    assert [as_bytes(e) for e in executed(tmp_path, *argvs)] == argvs
    paths = ["/bin" + "/" * (size - len("/bintrue")) + "true" for edge in (48, 128) for size in (edge - 2, edge - 1)]
    found = trace(tmp_path, "execsnoop", ["sh", "-c", "; ".join(paths)])
    assert [e["path"] for e in found.events if e["comm"] == "true"] == paths


def test_what_does_not_fit_is_said_to_be_cut(tmp_path: Path) -> None:
    argv = [b"true", *[b"y" * 100_000] * 4]
    (event,) = executed(tmp_path, argv)
    assert event["truncated"] is True
    kept = as_bytes(event)
    assert sum(map(len, kept)) > 200_000
    assert b"\0".join(argv).startswith(b"\0".join(kept))


@pytest.mark.parametrize("way", ["", "--attach=raw_tracepoint"])
def test_failed_ones_with_their_arguments(tmp_path: Path, way: str) -> None:
    missing = str(tmp_path / "missing")
    argvs = [[b"a", b"b c", b"", b"\xff"], [b"w" * 5000], [b"%d" % i for i in range(300)], [b"v" * 120_000]]
    events = executed(tmp_path, *argvs, way=way, path=missing)
    assert [e["ret"] for e in events] == [-2] * 4
    assert [as_bytes(e) for e in events] == argvs


def test_execveat(tmp_path: Path) -> None:
    script = (
        "import ctypes, os\n"
        "fd = os.open('/bin', os.O_RDONLY)\n"
        "argv = (ctypes.c_char_p * 3)(b'true', b'at', None)\n"
        f"ctypes.CDLL(None).syscall({322 if os.uname().machine == 'x86_64' else 281}, fd, b'true', argv, None, 0)\n"
    )
    found = trace(tmp_path, "execsnoop", [sys.executable, "-S", "-c", script])
    assert [e["argv"] for e in found.events if e["comm"] == "true"] == [["true", "at"]]


def test_how_it_ended(tmp_path: Path) -> None:
    found = trace(tmp_path, "execsnoop", ["sh", "-c", "sh -c 'exit 7'; sh -c 'kill -9 $$'; sleep 0.2; true"])
    ends = {row["exec_id"]: row for row in found.of("row")}
    by_argv = {" ".join(e["argv"][2:] or e["argv"]): ends[e["exec_id"]] for e in found.events if e["exec_id"] in ends}
    assert (by_argv["exit 7"]["exit_code"], by_argv["exit 7"]["signal"]) == (7, 0)
    assert (by_argv["kill -9 $$"]["exit_code"], by_argv["kill -9 $$"]["signal"]) == (137, 9)
    assert 0.2e9 < by_argv["sleep 0.2"]["duration_ns"] < 2e9


@pytest.mark.native
def test_parallel_execs_do_not_mix(tmp_path: Path) -> None:
    loop = f"for i in $(seq 53); do {TRUE} $1 $i $1-$i; done"
    shells = " & ".join(f"sh -c '{loop}' sh {letter}" for letter in "abcd")
    found = trace(tmp_path, "execsnoop", ["sh", "-c", f"{shells} & wait"])
    argvs = [e["argv"][1:] for e in found.where(path=TRUE)]
    assert sorted(argvs) == sorted([letter, str(i), f"{letter}-{i}"] for letter in "abcd" for i in range(1, 54))


@pytest.mark.native
def test_many_short_processes(tmp_path: Path) -> None:
    found = trace(tmp_path, "execsnoop", loads.command("execs", 1009, TRUE, "x"))
    assert (len(found.where(path=TRUE)), found.summary["lost"]) == (1009, 0)
    ids = {e["exec_id"] for e in found.where(path=TRUE)}
    assert len(ids & {row["exec_id"] for row in found.of("row")}) == 1009
