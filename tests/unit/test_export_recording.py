"""`ebtop export`: what was recorded comes out in every format, and what is wrong is said in one line."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ebtop.arguments import UsageError
from ebtop.commands.times import time_of
from ebtop.export.exporter import Exporter
from ebtop.export.formats import FORMATS
from ebtop.export.summary import Tally
from ebtop.record.writer import RecordingWriter
from ebtop.tick import Message, Stack, Tick
from ebtop.tool import Kind
from tests.ui import synthetic
from tests.ui.screen import EXECS, OPENS, TOOLS, started
from tests.ui.synthetic import SECOND, START
from tests.unit.test_export_json import breaches

SAMPLES = next(t for t in TOOLS if t.kind is Kind.STACKS)
WAITS = next(t for t in TOOLS if t.kind is Kind.HISTOGRAM)


def record(path: Path, messages: Sequence[Message]) -> Path:
    with RecordingWriter(path, tools=TOOLS) as writer:
        for message in messages:
            writer.add(message)
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recording") / "x.ebtop", started(6))


def ticks(tool, count: int = 6) -> list[Tick]:
    return [synthetic.tick(tool, number, 200) for number in range(count)]


def export(*arguments: object, code: int = 0) -> tuple[bytes, str]:
    """What it writes; its exit code is looked at."""
    done = subprocess.run(
        [sys.executable, "-m", "ebtop", "export", *map(str, arguments)], capture_output=True, timeout=120, check=False
    )
    said = done.stderr.decode()
    assert done.returncode == code, said
    assert "Traceback" not in said
    return done.stdout, said


def refused(code: int, *arguments: object) -> str:
    """The one line that says why."""
    out, said = export(*arguments, code=code)
    assert out == b""
    assert said.count("\n") == 1
    return said.removeprefix("ebtop: ").rstrip()


def test_all_tools_as_one_stream_with_one_summary(recording: Path) -> None:
    out, said = export(recording, "--format", "json")
    assert (breaches(out), said) == ([], "")
    objects = [json.loads(line) for line in out.splitlines()]
    events = Counter(one["tool"] for one in objects if one["type"] == "event")
    assert events == {t.name: sum(x.event_count for x in ticks(t)) for t in TOOLS if t.kind is Kind.EVENTS}
    summary = objects[-1]
    assert summary["tool"] == ",".join(t.name for t in TOOLS)
    assert (summary["duration_s"], summary["ts"]) == (6, "2026-11-18T11:06:46.000000000Z")
    assert sum(one["count"] for one in objects if one["type"] == "stack") == _samples()
    (histogram,) = [one for one in objects if one["type"] == "histogram"]
    whole = sum(int(h.counts.sum()) for t in ticks(WAITS) for h in t.histograms if h.group == "all")
    assert histogram["total"] == whole


def _samples() -> int:
    return sum(stack.count for tick in ticks(SAMPLES) for stack in tick.stacks)


@pytest.mark.parametrize("format_", ["json", "csv"])
@pytest.mark.parametrize("tool", [OPENS, EXECS], ids=lambda t: t.name)
def test_events_come_out_as_run_would_have_written_them(recording: Path, tool, format_: str) -> None:
    out, _ = export(recording, "--format", format_, "--tool", tool.name)
    stream = io.BytesIO()
    exporter: Exporter = FORMATS[format_](stream)
    exporter.begin(tool, ())
    tally = Tally(tool.name)
    for tick in ticks(tool):
        tally.add(tick)
        exporter.tick(tool, tick, tick.names)
    written = stream.getvalue().splitlines()
    assert out.splitlines()[: len(written)] == written
    if format_ == "json":
        assert json.loads(out.splitlines()[-1])["events"] == tally.events


def test_histograms_by_interval_and_by_process(recording: Path) -> None:
    out, _ = export(recording, "--format", "json", "--tool", WAITS.name, "--interval", 2, "--by", "pid")
    *histograms, _summary = [json.loads(line) for line in out.splitlines()]
    assert len({one["ts"] for one in histograms}) == 3
    assert {one["group"] for one in histograms} == {"pid"}
    expected = sum(int(h.counts.sum()) for t in ticks(WAITS) for h in t.histograms if h.group == "pid")
    assert sum(one["total"] for one in histograms) == expected


def test_stacks_need_no_tool_where_one_alone_has_some(recording: Path, tmp_path: Path) -> None:
    out, _ = export(recording, "--format", "folded")
    assert sum(int(line.rsplit(b" ", 1)[1]) for line in out.splitlines()) == _samples()
    file = tmp_path / "x.speedscope.json"
    export(recording, "--format", "speedscope", "--tool", SAMPLES.name, "-o", file)
    assert sum(json.loads(file.read_text())["profiles"][0]["weights"]) == _samples()
    out, _ = export(recording, "--format", "pprof")
    assert out[:2] == b"\x1f\x8b"


def test_time_is_told_where_the_frequency_was_recorded(tmp_path: Path) -> None:
    state = replace(synthetic.running(SAMPLES), options={"frequency": 100})
    file = record(tmp_path / "x.ebtop", [state, *ticks(SAMPLES)])
    (chart,) = json.loads(export(file, "--format", "speedscope")[0])["profiles"]
    assert (chart["unit"], chart["endValue"]) == ("nanoseconds", _samples() * 10_000_000)


def test_a_part_of_the_time(recording: Path) -> None:
    span = ("--from", "2026-11-18T11:06:42Z", "--to", "2026-11-18T11:06:43.5+00:00")
    out, _ = export(recording, "--format", "json", "--tool", OPENS.name, *span)
    summary = json.loads(out.splitlines()[-1])
    assert summary["events"] == sum(tick.event_count for tick in ticks(OPENS)[1:3])
    names = [tick.names["dir"] for tick in ticks(OPENS)]
    assert json.loads(out.splitlines()[0])["abspath"].startswith("/")
    assert names[0]


def test_names_from_before_the_part_are_known(tmp_path: Path) -> None:
    told, *untold = ticks(OPENS)
    file = record(tmp_path / "x.ebtop", [synthetic.running(OPENS), told, *(replace(t, names={}) for t in untold)])
    whole, _ = export(file, "--format", "json")
    part, _ = export(file, "--format", "json", "--from", "2026-11-18T11:06:44Z")
    wanted = len(part.splitlines()) - 1
    assert part.splitlines()[:wanted] == whole.splitlines()[-wanted - 1 : -1]
    assert all(json.loads(line)["cgroup"] for line in part.splitlines()[:wanted])


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("11:06:41", START + SECOND), ("11:06:41.5", START + SECOND * 3 // 2), ("2026-11-18T11:06:41Z", START + SECOND),
        ("2026-11-18 11:06:41", START + SECOND), ("12:06:41+01:00", START + SECOND),
        ("2026-11-18", START - 40_000 * SECOND),
    ],
)  # fmt: skip
def test_times_as_people_type_them(monkeypatch: pytest.MonkeyPatch, text: str, ns: int) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert time_of(text, START, START + 6 * SECOND) == ns


def test_a_time_of_day_may_be_that_of_the_next_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert time_of("00:30", START, START + 86_400 * SECOND) == START + (12 * 3600 + 53 * 60 + 20 + 30 * 60) * SECOND


@pytest.mark.parametrize("text", ["", "noon", "25:00", "9999-12-31T23:59:59-23:00", "0001-01-01", "\0"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="is no time such as"):
        time_of(text, START, START)


def test_wrong_usage_is_told_in_one_line(recording: Path, tmp_path: Path) -> None:
    names = [t.name for t in TOOLS]
    assert "invalid choice: 'parquet' (choose from 'json', 'csv'" in refused(2, recording, "--format", "parquet")
    said = refused(2, recording, "--format", "json", "--tool", "nosuch")
    assert all(name in said for name in names)
    assert f"--tool {' or '.join(names)}" in refused(2, recording, "--format", "csv")
    said = refused(2, recording, "--format", "pprof", "--tool", WAITS.name)
    assert said == f"pprof is for stacks, of which {WAITS.name} has none; --tool {SAMPLES.name} has some"
    assert "events carries a stack" in refused(2, recording, "--format", "pprof", "--tool", OPENS.name)
    only = record(tmp_path / "opens.ebtop", [synthetic.running(OPENS), *ticks(OPENS)])
    said = refused(2, only, "--format", "folded")
    assert said == "folded is for stacks, of which the recording has none; json and csv fit every tool"
    assert "there are no stacks" in refused(2, recording, "--format", "folded", "--to", "2020-01-01")
    assert "starts no command" in refused(2, recording, "--format", "json", "--", "true")
    assert "is no time" in refused(2, recording, "--format", "json", "--from", "noon")
    assert "--interval needs" in refused(2, recording, "--format", "json", "--interval", "0")


def test_the_recording_is_not_written_over(recording: Path) -> None:
    before = recording.read_bytes()
    assert "is the recording itself" in refused(2, recording, "--format", "json", "-o", recording)
    assert recording.read_bytes() == before


def test_what_is_no_recording_is_told_in_one_line(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello\n" * 100)
    (tmp_path / "short").write_bytes(recording.read_bytes()[:5000])
    for name in ("", "missing", "empty", "text", "short"):
        assert refused(5, tmp_path / name, "--format", "json").startswith(f"{str(tmp_path / name)!r}: ")


def test_counts_that_cannot_be_are_refused(tmp_path: Path) -> None:
    bad = replace(ticks(SAMPLES)[0], stacks=(Stack((), -5, 1, 1, "x"),))
    file = record(tmp_path / "x.ebtop", [synthetic.running(SAMPLES), bad])
    assert "what cannot be" in refused(5, file, "--format", "pprof")


def test_one_that_was_not_closed_says_so(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "x.ebtop", tools=TOOLS)
    for message in started(2):
        writer.add(message)
    writer.commit()
    writer.add(synthetic.tick(OPENS, 2, 200))
    out, said = export(tmp_path / "x.ebtop", "--format", "json")
    assert "was not closed" in said
    assert json.loads(out.splitlines()[-1])["duration_s"] == 2
    writer.close()


def test_a_full_disk_and_a_reader_that_goes_away(recording: Path) -> None:
    _, said = export(recording, "--format", "json", "-o", "/dev/full", code=1)
    assert said == "ebtop: cannot write the output: No space left on device\n"
    with subprocess.Popen(
        [sys.executable, "-m", "ebtop", "export", recording, "--format", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_csv_has_every_event(recording: Path) -> None:
    out, said = export(recording, "--format", "csv", "--tool", OPENS.name)
    rows = list(csv.DictReader(io.StringIO(out.decode("utf-8", "surrogateescape"), newline="")))
    assert len(rows) == sum(tick.event_count for tick in ticks(OPENS))
    assert said.startswith(f"{OPENS.name}: {len(rows):,} events")
