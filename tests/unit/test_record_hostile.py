"""Files that anyone may have made: one line says what is wrong, nothing in them is run, and they take no memory."""

from __future__ import annotations

import os
import random
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ebtop.record.reader import Recording, RecordingError
from ebtop.record.schema import VERSION
from ebtop.record.writer import RecordingWriter
from ebtop.source.replay import ReplaySource
from ebtop.tick import Gone, Load, Past
from tests.ui import synthetic
from tests.unit.recordings import OPENS, SAMPLES, TOOLS, WAITS, read, record, ticks

EBTOP = [sys.executable, "-m", "ebtop"]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    said = [synthetic.running(t) for t in TOOLS]
    return record(tmp_path / "good", [*said, *ticks(3, 100), synthetic.vitals()])


def changed(path: Path, *statements: str) -> Path:
    """The recording after some SQL."""
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()
    return path


def look_at_all(path: Path) -> None:
    """Everything that a replay reads."""
    with Recording(path) as recording:
        list(recording.ticks())
        _ = (recording.states, recording.tools, recording.latest("Vitals", 1 << 62))
        for tool in recording.tools:
            recording.moments(tool)
            recording.names(tool, 1 << 62, 10)
            recording.totals(tool, 1 << 62)
            recording.size(tool, 0, 1 << 62)
        recording.messages(0, 1 << 62)


def _foreign(path: Path) -> None:
    changed(path, "CREATE TABLE t (a)")


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _path: None, "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "a folder": (lambda path: path.mkdir(), "folder"),
    "a FIFO": (os.mkfifo, "no regular file"),
    "text": (lambda path: path.write_text("hello " * 100), "no recording"),
    "only the magic": (lambda path: path.write_bytes(b"SQLite format 3\0"), "no recording"),
    "another's database": (_foreign, "no recording of ebtop"),
}


@pytest.mark.parametrize("kind", FILES)
def test_what_is_no_recording_is_said_in_one_line(tmp_path: Path, kind: str) -> None:
    make, said = FILES[kind]
    make(tmp_path / "f")
    with pytest.raises(RecordingError, match=said) as error:
        Recording(tmp_path / "f")
    assert "\n" not in str(error.value)


def test_replay_ends_with_5_and_one_line(tmp_path: Path, good: Path) -> None:
    (tmp_path / "cut").write_bytes(good.read_bytes()[:30_000])
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("x" * 1000)
    for name in ("cut", "folder", "text", "none", "\x1b[31mred"):
        done = subprocess.run(
            [*EBTOP, "replay", str(tmp_path / name)], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (5, ""), name
        assert len(done.stderr.splitlines()) == 1
        assert "\x1b" not in done.stderr
    for wrong in (["replay"], ["replay", str(good), "--speed", "3"], ["replay", str(good), "--", "true"]):
        assert subprocess.run([*EBTOP, *wrong], capture_output=True, timeout=60, check=False).returncode == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_may_not_be_read(good: Path) -> None:
    good.chmod(0)
    with pytest.raises(RecordingError, match="permission"):
        Recording(good)


def test_a_newer_schema_is_named(good: Path) -> None:
    changed(good, f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(RecordingError, match=f"newer ebtop made it: schema {VERSION + 1}"):
        Recording(good)


def test_tables_must_be_tables(tmp_path: Path) -> None:
    run = "(SELECT 1 AS key, writefile('/tmp/x', 'x') AS value)"
    for statement in (
        f"CREATE VIEW meta AS SELECT key, value FROM {run}",
        "CREATE VIRTUAL TABLE meta USING fts5(key, value)",
        "CREATE TABLE meta (key TEXT, value AS (hex(key)))",
    ):
        path = record(tmp_path / "r", ticks(1))
        changed(path, "DROP TABLE meta", statement)
        with pytest.raises(RecordingError):
            Recording(path)
    changed(record(tmp_path / "r", ticks(1)), f"DROP TABLE {OPENS.name}_batch",
            f"CREATE VIEW {OPENS.name}_batch AS SELECT 1")  # fmt: skip
    found = [tick for tick in read(tmp_path / "r") if tick.tool == OPENS.name]
    assert [tick.events for tick in found] == [()]  # as if it were not there


def test_triggers_are_never_run(good: Path) -> None:
    changed(good, "CREATE TRIGGER t AFTER UPDATE ON meta BEGIN DELETE FROM tick; END")
    assert len(read(good)) == 3 * len(TOOLS)


BAD_VALUES = [
    f"UPDATE {OPENS.name}_batch SET \"event count\" = 1 << 40",
    f"UPDATE {OPENS.name}_batch SET \"event count\" = -1",
    f"UPDATE {OPENS.name}_batch SET \"event count\" = 'many'",
    f"UPDATE {OPENS.name}_batch SET \"event values\" = '[[1,2],[3]]'",
    f"UPDATE {OPENS.name}_batch SET \"event values\" = replace(\"event values\", '1', 'x')",
    f"UPDATE {OPENS.name}_batch SET \"event values\" = NULL",
    f"UPDATE {OPENS.name}_batch SET \"ts at\" = '$[99]'",
    f"UPDATE {OPENS.name}_batch SET \"ts at\" = '$[-1]'",
    f"UPDATE {OPENS.name}_batch SET \"ts\" = 1.5",
    f"UPDATE {OPENS.name}_batch SET \"path\" = 123456789, \"path at\" = NULL",
    f"UPDATE {OPENS.name}_batch SET \"record layout\" = 1 << 50",
    f"UPDATE {OPENS.name}_batch SET \"batch no\" = 0, \"part no\" = \"part no\" + 5",
    f'ALTER TABLE {OPENS.name}_batch RENAME COLUMN path TO way',
    "UPDATE text SET value = 7.5",
    "UPDATE text SET value = NULL",
    "DELETE FROM text",
    "UPDATE text SET value = '[8,[[\"ts\",\"|O8\",[],0]]]' WHERE value LIKE '[%'",
    "UPDATE text SET value = '[4000000,[[\"ts\",\"<u8\",[400000],0]]]' WHERE value LIKE '[%'",
    "UPDATE tick SET \"end\" = 'never'",
    "UPDATE tick SET start = NULL",
    "UPDATE tick SET run_ns = 'x'",
    "UPDATE tick SET size = 'x'",
    "UPDATE tick SET amount = 'x'",
    "UPDATE histogram SET buckets = 1 << 40",
    "UPDATE histogram SET counts = '[[1,'",
    "UPDATE histogram SET counts = '[[-1,1]]'",
    "UPDATE histogram SET counts = '[[0,-1]]'",
    "UPDATE histogram SET counts = '[[0,1e999]]'",
    "UPDATE histogram SET counts = '7'",
    "UPDATE stack SET frames = 1 << 50",
    "UPDATE stack SET frames = comm",
    "UPDATE stack SET pid = 'x'",
    "UPDATE message SET body = '{'",
    "UPDATE message SET body = '{}'",
    "UPDATE message SET body = NULL",
    "UPDATE name SET id = 'x' || id",
    "UPDATE name SET value = 1.5",
    "UPDATE meta SET value = 7.5",
    "DELETE FROM meta",
    "DROP TABLE lost",
]  # fmt: skip


@pytest.mark.parametrize("statement", BAD_VALUES)
def test_values_that_cannot_be_are_refused(good: Path, statement: str) -> None:
    changed(good, statement)
    with pytest.raises(RecordingError) as error:
        look_at_all(good)
    assert "\n" not in str(error.value)


def test_any_damage_is_an_error_or_nothing(tmp_path: Path, good: Path) -> None:
    raw = good.read_bytes()
    chance = random.Random(7)
    refused = 0
    for number in range(60):
        damaged = bytearray(raw)
        for _ in range(chance.choice([1, 5, 50])):
            damaged[chance.randrange(100 if number % 3 else 0, len(damaged))] = chance.randrange(256)
        if number % 4 == 0:
            del damaged[chance.randrange(100, len(damaged)) :]
        (tmp_path / "bad").write_bytes(damaged)
        try:
            look_at_all(tmp_path / "bad")
        except RecordingError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 30


def test_claims_take_no_memory(good: Path) -> None:
    layout = '[4000000,[["ts","<u8",[],0],["big","|S3000000",[],8]]]'
    changed(good, f"UPDATE text SET value = '{layout}' WHERE value LIKE '[%itemsize%' OR value LIKE '[%<u8%'")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RecordingError, match=r"holds more than can be|missing"):
        look_at_all(good)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700 << 10


def test_what_does_not_fit_a_tool_ends_the_replay(tmp_path: Path) -> None:
    wrong = synthetic.tick(WAITS, 0, 10)
    path = record(tmp_path / "r", [synthetic.running(OPENS)])
    writer = RecordingWriter(path, force=True, tools=TOOLS)
    object.__setattr__(wrong, "tool", SAMPLES.name)  # histograms of a tool that has none
    writer.add(wrong)
    writer.close()
    source = ReplaySource(Recording(path), TOOLS, steady=iter(range(0, 10**9, 10)).__next__)
    said = list(source.messages())
    assert isinstance(said[-1], Gone)
    assert "histogram" in said[-1].reason


def test_what_goes_back_is_held_against_the_tools_too(tmp_path: Path) -> None:
    path = record(tmp_path / "r", ticks(3, 20))
    changed(path, f"UPDATE name SET value = 7 WHERE tool = '{OPENS.name}'")
    source = ReplaySource(Recording(path), TOOLS, steady=lambda: 0.0)
    source.stand(synthetic.START + 3 * synthetic.SECOND)
    said = list(source.messages())
    assert not [m for m in said if isinstance(m, Past)]
    assert isinstance(said[-1], Gone)


def test_tools_that_are_not_known_are_left_out(tmp_path: Path) -> None:
    path = record(tmp_path / "r", ticks(2, 20))
    source = ReplaySource(Recording(path), [OPENS], steady=iter(range(0, 10**9, 10)).__next__)
    source.send(Load(OPENS.name))
    said = source.messages()
    assert {next(said).tool for _ in range(3)} == {OPENS.name}
    source.close()
