"""What the benches rest on: the accounting of process trees, terminals that are really read, ratios and goals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import loads
from tests.bench import processes, report, tracers
from tests.bench.figures_opens import shown_number
from tests.bench.terminal import Terminal


def test_cpu_of_a_tree_counts_children_that_have_ended() -> None:
    burn = loads.command("burn", "0.2")
    script = f"import subprocess, time; subprocess.run({burn}); print('done', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        assert lines[1] == "done\n", lines
        used = processes.cpu_s(process.pid)
        process.kill()
    assert 0.2 <= used < 0.5


def test_the_tree_holds_living_descendants_and_their_memory() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        tree = processes.tree(process.pid)
        assert len(tree) == 2
        assert processes.pss_bytes(process.pid) > 0
        for pid in tree:
            os.kill(pid, signal.SIGKILL)


def test_a_process_without_probes_is_not_attached() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        with pytest.raises(TimeoutError):
            processes.wait_attached(process.pid, timeout=0.1)
        process.kill()
        with pytest.raises(ProcessLookupError):
            processes.wait_attached(process.pid, timeout=5)


def test_a_terminal_is_read_and_typed_into() -> None:
    terminal = Terminal(["sh", "-c", r"stty size; printf '\033[1mre\033[0mady\n'; read x; echo got-$x"], 91, 17)
    assert terminal.wait_for("ready", 5) < 5
    assert terminal.text().splitlines()[:2] == ["17 91", "ready"]
    assert terminal.screen().buffer[1][0].bold
    terminal.type("abc\n")
    terminal.wait_for("got-abc", 5)
    assert terminal.process.wait(5) == 0
    terminal.close()


def test_a_tracer_that_ends_says_why() -> None:
    broken = tracers.Tracer("broken", ("/bin/sh", "-c", "echo 'no such kernel' >&2; exit 1"))
    with pytest.raises(tracers.UnavailableError, match="no such kernel"), tracers.attached(broken):
        pass
    with (
        pytest.raises(tracers.UnavailableError, match="not installed"),
        tracers.attached(tracers.Tracer("x", ("/no/x",))),
    ):
        pass


def test_ratios_pair_the_values_of_a_round() -> None:
    figure = report.Figure("k", "Title", "ns", baseline="peer", goals={"mine": 0.5})
    for mine, theirs in [(10.0, 100.0), (30.0, 50.0), (20.0, 100.0)]:
        figure.add("mine", mine)
        figure.add("peer", theirs)
    assert figure.ratios("mine") == [0.1, 0.6, 0.2]
    assert figure.met("mine") is True
    assert "| mine | 10 | 20 | 30 | 0.100 / 0.200 / 0.600 | ≤ 0.5 met |" in figure.markdown()


def test_a_missing_sample_spoils_no_other_pair() -> None:
    figure = report.Figure("k", "Title", "ns", baseline="peer", goals={"mine": 0.5})
    for mine, theirs in [(None, 100.0), (80.0, 100.0)]:
        figure.add("mine", mine)
        figure.add("peer", theirs)
    assert figure.ratios("mine") == [0.8]
    assert figure.met("mine") is False
    assert "MISSED" in figure.markdown()


def test_results_are_written_as_markdown_and_json(tmp_path: Path) -> None:
    figure = report.Figure("k", "Title", "s", digits=1, goals={"mine": 1.5})
    figure.add("mine", 1.25)
    text = report.write([figure], report.machine(), tmp_path)
    assert (tmp_path / "bench.md").read_text() == text
    data = json.loads((tmp_path / "bench.json").read_text())
    assert data["figures"][0]["samples"] == {"mine": [1.25]}
    assert data["figures"][0]["met"] == {"mine": True}
    assert data["machine"]["kernel"]


@pytest.mark.parametrize(("shown", "number"), [("0", 0), ("1,204", 1204), ("1.2 k", 1200), ("3M", 3e6)])
def test_numbers_are_read_as_the_screen_scales_them(shown: str, number: float) -> None:
    assert shown_number(shown) == number
