"""`ebtop record` without a kernel: tools that fail, options, and what is said."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from ebtop.commands import record
from ebtop.endings import SIGNALS
from ebtop.record.newfile import PlaceError
from ebtop.record.reader import Recording
from ebtop.record.writer import RecordingWriter
from ebtop.tick import Attempt, Focus, Gone, Load, Message, Phase, SetFocus, ToolState
from tests.ui import synthetic
from tests.ui.synthetic import Scripted
from tests.unit.recordings import TOOLS, ticks

MINUTE = 60 * 10**9


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """A session takes the signals that end a program."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def session(path: Path, messages: Sequence[Message]) -> tuple[int, Scripted]:
    """A recording of what a source says: the exit code."""
    source = Scripted(messages)
    writer = RecordingWriter(path, tools=TOOLS)
    made = record.Record(writer, cast("Any", source), None, None)
    return made.go(Focus(), {tool.name: {} for tool in TOOLS}, []), source


def failed(tool: str) -> ToolState:
    return ToolState(tool, Phase.FAILED, (), (Attempt("kprobe:x", "no kprobes"),), "it cannot be", "try another kernel")


def test_a_tool_that_fails_is_recorded_as_failed_and_the_others_go_on(tmp_path: Path, capsys: Any) -> None:
    states = [failed(TOOLS[0].name), *map(synthetic.running, TOOLS[1:])]
    said = ticks(2, 50, TOOLS[1:])
    code, source = session(tmp_path / "r", [*states, *said, synthetic.vitals(), Gone("")])
    lines = capsys.readouterr().err.splitlines()
    assert code == 0
    assert [type(command) for command in source.commands] == [SetFocus, *[Load] * len(TOOLS)]
    assert "it cannot be; tried kprobe:x: no kprobes (try another kernel)" in lines[0]
    assert "Ctrl+C ends it" in lines[1]
    events = sum(tick.event_count for tick in said)
    assert lines[2].startswith(f"ebtop: {events:,} events, 0 lost, ")
    with Recording(tmp_path / "r") as recording:
        assert recording.states[TOOLS[0].name] == failed(TOOLS[0].name)
        assert len(list(recording.ticks())) == len(said)
        assert recording.meta.closed


def test_when_none_can_run_there_is_no_file(tmp_path: Path, capsys: Any) -> None:
    code, _source = session(tmp_path / "r", [*(failed(tool.name) for tool in TOOLS), Gone("")])
    assert code == 4
    assert len(capsys.readouterr().err.splitlines()) == len(TOOLS)
    assert list(tmp_path.iterdir()) == []


def test_what_was_seen_stays_when_capture_dies(tmp_path: Path, capsys: Any) -> None:
    code, _source = session(tmp_path / "r", [*map(synthetic.running, TOOLS), *ticks(2), Gone("capture has ended")])
    assert code == 4
    assert "ebtop: capture has ended\n" in capsys.readouterr().err
    with Recording(tmp_path / "r") as recording:
        assert len(list(recording.ticks())) == 2 * len(TOOLS)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("90", 90 * 10**9), ("1.5s", 1_500_000_000), ("10m", 10 * MINUTE), ("2h", 120 * MINUTE), ("1 d", 1440 * MINUTE)],
)
def test_ages(text: str, wanted: int) -> None:
    assert record.age(text) == wanted


@pytest.mark.parametrize("text", ["", "0", "-1", "ten", "10x", "1e3", "9" * 40])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no time"):
        record.age(text)


def test_sizes() -> None:
    assert record.size("500MB") == 500_000_000
    assert record.size("2Gi") == 2 << 30
    for text in ("", "1kB", "-5M", "lots", "9" * 40):
        with pytest.raises(argparse.ArgumentTypeError, match="is no size of at least 1 MiB"):
            record.size(text)


def test_a_place_error_is_an_os_error() -> None:
    assert issubclass(PlaceError, OSError)


def test_replay_needs_nothing_of_capture() -> None:
    script = (
        "import sys; from ebtop.commands import replay; from ebtop.source import replay; from ebtop.ui import app; "
        "print([m for m in sys.modules if m.split('.')[0] == 'bcc' or m.startswith('ebtop.capture')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
