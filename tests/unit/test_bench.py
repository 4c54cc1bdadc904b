"""What the benches rest on: the accounting of process trees, terminals that are really read, ratios and goals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests import loads
from tests.bench import machine, phases, plan, plot, processes, report, running, tracers, wholecost
from tests.bench.running import shown_number
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


def test_a_peer_that_was_below_the_noise_gives_no_ratio() -> None:
    figure = report.Figure("k", "Title", "ns", baseline="peer")
    for mine, theirs in [(10.0, -5.0), (10.0, 0.0), (10.0, 40.0)]:
        figure.add("mine", mine)
        figure.add("peer", theirs)
    assert figure.ratios("mine") == [0.25]


def _curve() -> report.Curve:
    curve = report.Curve("open_cpu", "CPU <each>", "s", "opens a second", "libbpf-tools", 1)
    curve.goals = {("ebtop run", "flat out"): 0.5}
    for point, mine, theirs in [("1,000", 8.0, 4.0), ("flat out", 1.0, 5.0), ("flat out", 2.0, 5.0)]:
        curve.add(point, "ebtop run", mine)
        curve.add(point, "libbpf-tools", theirs)
    curve.missing(["1,000"], "bpftrace", ValueError("no BTF"))
    return curve


def test_a_curve_is_a_figure_at_each_point() -> None:
    curve = _curve()
    assert [curve.at(point).met("ebtop run") for point in curve.points] == [None, True]
    lines = curve.markdown().splitlines()
    assert "| 1,000 | ebtop run | 8.0 | 8.0 | 8.0 | 2.000 / 2.000 / 2.000 |  |" in lines
    assert "| flat out | ebtop run | 1.0 | 1.5 | 2.0 | 0.200 / 0.300 / 0.400 | ≤ 0.5 met |" in lines
    assert lines[-1] == "- bpftrace not measured: no BTF"
    assert curve.summary()["points"]["flat out"]["ratios"] == {"ebtop run": [0.2, 0.4]}


def test_results_are_written_as_markdown_and_json(tmp_path: Path) -> None:
    figure = report.Figure("k", "Title", "s", digits=1, goals={"mine": 1.5})
    figure.add("mine", 1.25)
    written = report.write([figure, _curve()], machine.describe(), tmp_path / "made")
    assert "### Title (s)" in (tmp_path / "made" / "bench.md").read_text()
    data = json.loads((tmp_path / "made" / "bench.json").read_text())
    assert data == written
    assert data["figures"][0]["samples"] == {"mine": [1.25]}
    assert data["figures"][0]["met"] == {"mine": True}
    assert data["machine"]["kernel"]


def test_the_plot_draws_what_was_measured(tmp_path: Path) -> None:
    added = report.Figure("open_added", "Added", "ns", baseline="libbpf-tools")
    for tracer, value in (("ebtop run", 10.0), ("ebtop, dashboard", 20.0), ("libbpf-tools", 100.0), ("perf", 300.0)):
        added.add(tracer, value)
    data = report.write([added, _curve()], machine.describe(), tmp_path)
    drawn = ET.fromstring(plot.draw(data))  # noqa: S314  our own text
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"added to each open, ebtop run", "0.1 ×", "0.2 ×", "CPU <each> (s)", "flat out"} <= set(texts)
    assert "added to each open, perf" not in texts
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}polyline"))) == 2


def test_the_plot_of_nothing_is_a_picture_too() -> None:
    empty = report.Figure("open_added", "Added", "ns", baseline="libbpf-tools")
    empty.add("ebtop run", None)
    ET.fromstring(plot.draw({"machine": machine.describe(), "figures": [empty.summary()]}))  # noqa: S314  our own text


STRACE = """\
10 100.000000 execve(".venv/bin/ebtop", [".venv/bin/ebtop", "run"], 0x7ff /* 39 vars */) = 0
10 100.050000 recvmsg(3, {msg_name=0x7ff}, 0) = 7
11 100.300000 bpf(BPF_MAP_CREATE, {map_type=BPF_MAP_TYPE_ARRAY}, 128) = 3
12 100.310000 execve("/usr/bin/python", ["python", "-m", "ebtop.capture.loader"], 0x342) = 0
12 100.400000 recvmsg(5, <unfinished ...>
12 100.410000 <... recvmsg resumed>{msg_name=0x7ffc}, 0) = 900
12 100.600000 bpf(BPF_PROG_LOAD, {prog_type=BPF_PROG_TYPE_RAW_TRACEPOINT}, 128) = 18
12 100.650000 bpf(BPF_RAW_TRACEPOINT_OPEN, {raw_tracepoint={name="sys_enter", prog_fd=18}}, 16) = 19
11 100.700000 perf_event_open({type=PERF_TYPE_SOFTWARE, config=PERF_COUNT_SW_BPF_OUTPUT}, -1, 0, -1, 8) = 20
12 101.700000 recvmsg(5, {msg_name=0x7ffc}, 0) = 0
"""


def test_a_start_is_split_at_its_system_calls() -> None:
    made = phases.calls(STRACE)
    assert [call.name for call in made].count("recvmsg") == 3
    found = phases.phases(made, 100.75)
    assert found == pytest.approx((0.4, 0.2, 0.05, 0.1))
    with pytest.raises(tracers.UnavailableError, match="nothing attached"):
        phases.phases(made[:3], 101)


def test_what_is_paid_for_has_its_idle_part_beside_it() -> None:
    cost = running.Cost({"count": 500_000}, wall_s=6, screen_s=0.1, others_s=0.4, idle_share=0.01)
    assert cost.cpu_s == pytest.approx(0.5)
    assert cost.per(cost.cpu_s) == pytest.approx(1.0)
    assert cost.per(cost.idle_s) == pytest.approx(0.12)


def test_losses_are_read_from_complaints() -> None:
    text = "Lost 12 events on CPU #0!\nnothing\nlost 3 events on CPU #1!\n"
    assert running.lost_by_complaints(text) == 15
    assert running.lost_by_complaints("") == 0


def test_orphans_are_paid_for_too() -> None:
    burn = " ".join(loads.command("burn", "0.2"))
    assert 0.2 <= wholecost.measure(["sh", "-c", f"({burn} >/dev/null &)"]) < 0.5
    with pytest.raises(tracers.UnavailableError):
        wholecost.measure(["sh", "-c", "exit 3"])


def test_a_plan_says_how_long_and_how_often(capsys: pytest.CaptureFixture[str]) -> None:
    small = plan.Plan(count=3, scale=0.1, wait_s=0)
    assert (small.scaled(1000), small.seconds(5), small.lasting(30)) == (100, 1.0, "3s")
    assert list(small.rounds()) == [1, 2, 3]
    assert list(small.rounds(warm_up=True, most=2)) == [0, 1, 2]
    assert "round 2 of 2" in capsys.readouterr().err


def test_cpu_is_counted_finer_than_a_clock_tick() -> None:
    with subprocess.Popen(loads.command("burn", "60"), stdout=subprocess.DEVNULL) as process:
        seen = set()
        while len(seen) < 20:
            seen.add(processes.cpu_s(process.pid))
        process.kill()
    assert any(round(value, 2) != value for value in seen)


@pytest.mark.parametrize(("shown", "number"), [("0", 0), ("1,204", 1204), ("1.2 k", 1200), ("3M", 3e6)])
def test_numbers_are_read_as_the_screen_scales_them(shown: str, number: float) -> None:
    assert shown_number(shown) == number
