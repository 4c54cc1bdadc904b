"""The load programs do exactly what they report: counted by the load itself, and from outside where that is cheap."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests import loads
from tests.bench import processes


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_opens_shares_its_count_among_threads(tmp_path: Path, threads: int) -> None:
    target = tmp_path / "file"
    target.touch()
    report = loads.run("opens", target, 1009, threads)
    assert (report["count"], report["failed"], report["threads"]) == (1009, 0, threads)
    assert report["wall_ns"] > 0


def test_opens_counts_failures(tmp_path: Path) -> None:
    assert loads.run("opens", tmp_path / "missing", 17)["failed"] == 17


def test_opens_keeps_its_rate(tmp_path: Path) -> None:
    report = loads.run("opens", tmp_path, 500, 2, 2000)
    assert report["count"] == 500
    assert 0.24e9 < report["wall_ns"] < 1e9  # 0.25 s, later only where the machine is busy


def test_opens_for_a_time(tmp_path: Path) -> None:
    report = loads.run("opens", tmp_path, "1s", 1, 1000)
    assert 0.99e9 < report["wall_ns"] < 2e9
    assert 300 < report["count"] <= 1064


def test_opens_takes_many_paths_in_turn(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"p{number}").touch()
    assert loads.run("opens", tmp_path / "p", 300, 1, 0, 3)["failed"] == 0
    assert loads.run("opens", tmp_path / "p", 300, 1, 0, 4)["failed"] == 75


def test_execs_and_switches_for_a_time() -> None:
    for name, arguments in (("execs", ["1s"]), ("switches", ["pipes", "1s"])):
        report = loads.run(name, *arguments)
        assert 0.99e9 < report["wall_ns"] < 3e9
        assert report["count"] > 10


def test_sleepers_live_side_by_side_and_go_with_their_parent() -> None:
    with subprocess.Popen(loads.command("sleepers", 20, 100, 60), stdout=subprocess.PIPE) as process:
        for _ in range(500):
            if len(children := processes.tree(process.pid)[1:]) == 20:
                break
            time.sleep(0.01)
        process.kill()
    assert len(children) == 20
    for _ in range(500):
        if not any(Path(f"/proc/{pid}").exists() for pid in children):
            return
        time.sleep(0.01)
    pytest.fail("sleepers outlived their parent")


def test_sleepers_end_by_themselves() -> None:
    assert loads.run("sleepers", 5, 50, 1)["count"] == 5


def test_execs_runs_the_program_each_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert loads.run("execs", 7, "/bin/sh", "-c", f"echo x >> {log}")["failed"] == 0
    assert log.read_text() == "x\n" * 7


def test_execs_counts_failures() -> None:
    assert loads.run("execs", 3, "/no/such/program")["failed"] == 3


@pytest.mark.parametrize("mode", [[], ["nonblocking"]])
def test_connects_end_as_expected(mode: list[str]) -> None:
    report = loads.run("connects", 5, 3, 2, *mode)
    assert (report["count"], report["failed"]) == (10, 0)
    assert len({report["v4_port"], report["v6_port"], report["refused_port"], 0}) == 4


@pytest.mark.parametrize("kind", ["pipes", "futex"])
def test_switches_are_real(kind: str) -> None:
    with subprocess.Popen(loads.command("switches", kind, 2000), stdout=subprocess.DEVNULL) as process:
        assert process.wait(60) == 0
    assert loads.run("switches", kind, 2000)["count"] == 2000


@pytest.mark.parametrize("name", ["burn", "burnxx"])
def test_burn_uses_the_time_asked_for(name: str) -> None:
    assert 0.2e9 <= loads.run(name, 0.2)["cpu_ns"] < 0.25e9


def test_forks_and_contend_report() -> None:
    assert loads.run("forks", 20)["count"] == 20
    assert loads.run("switches", "contend", 3, 1)["count"] > 10


@pytest.mark.parametrize("name", ["opens", "execs", "connects", "switches", "burn", "burnxx", "forks", "sleepers"])
def test_wrong_usage_says_what_is_right(name: str) -> None:
    for arguments in ([], ["x", "y"]):
        done = subprocess.run(loads.command(name, *arguments), capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith(f"usage: {name} ")


def test_an_unknown_load_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="nonsense"):
        loads.build("nonsense")
