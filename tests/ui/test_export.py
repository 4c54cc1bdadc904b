"""`e`: what is shown goes into a file."""

from __future__ import annotations

import csv
import gzip
import json
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ebtop.config import Config
from ebtop.record.reader import Recording
from ebtop.source.replay import ReplaySource
from ebtop.tick import Phase
from ebtop.tool import Kind
from ebtop.ui.app import Dashboard
from ebtop.ui.saveas import SaveAs
from tests.ui import synthetic
from tests.ui.screen import EXECS, OPENS, TOOLS, dashboard, filled, lines, shown, started, table, ticks, until
from tests.ui.synthetic import Scripted

WAITS = next(t for t in TOOLS if t.kind is Kind.HISTOGRAM)
SAMPLES = next(t for t in TOOLS if t.kind is Kind.STACKS)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own asks for the user, who is made up here
        monkeypatch.chdir(folder)
        yield Path(folder)
        monkeypatch.undo()


def name(tool, suffix: str) -> str:
    return f"ebtop-{tool.name}-20261118-110643{suffix}"


async def export(pilot: Pilot, chosen: str, file: str = "") -> str:
    """Export in a format, under a name of its own where one is given; what the notice says."""
    await pilot.press("e")
    await until(pilot, lambda: isinstance(pilot.app.screen, SaveAs))
    box = pilot.app.screen
    while box._chosen() != chosen:
        await pilot.press("down")
    if file:
        await pilot.press("tab", "ctrl+u", *file)
    pilot.app.clear_notifications()
    await pilot.press("enter")
    await until(pilot, lambda: len(pilot.app._notifications))
    return list(pilot.app._notifications)[-1].message


def objects(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_the_events_that_a_filter_leaves(here):
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await pilot.press("slash", *"ret<0", "enter")
        await until(pilot, lambda: all(rows.model.value(r, "ret") < 0 for r in range(len(rows.model))))
        left = len(rows.model)
        assert await export(pilot, "json") == f"{name(OPENS, '.jsonl')}: {left} events"
        *events, summary = objects(here / name(OPENS, ".jsonl"))
        assert len(events) == left == summary["events"]
        assert all(one["ret"] < 0 for one in events)
        assert [one["ts"] for one in events] == sorted(one["ts"] for one in events)
        mode = (here / name(OPENS, ".jsonl")).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600


async def test_the_order_is_the_shown_one(here):
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        pilot.app.screen.view.sort_by("latency_ns")
        await until(pilot, lambda: rows.model.live_at_top)
        shown_ids = [rows.model.value(r, "ts") for r in range(len(rows.model))]
        await export(pilot, "csv", "sorted.csv")
        with (here / "sorted.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            found = list(csv.DictReader(file))
        waits = [int(row["latency_ns"]) for row in found]
        assert waits == sorted(waits, reverse=True)
        assert len(found) == len(shown_ids) == len({r["ts"] + r["tid"] + r["latency_ns"] for r in found})
        await pilot.press("r")
        await until(pilot, lambda: rows.model.value(0, "latency_ns") == min(waits))
        await export(pilot, "json", "turned.jsonl")
        assert [one["latency_ns"] for one in objects(here / "turned.jsonl")[:-1]] == sorted(waits)


async def test_newest_first(here):
    async with dashboard(Scripted(started(2))).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await pilot.press("r")
        await until(pilot, lambda: rows.model.rows.newest_first)
        await export(pilot, "json", "newest.jsonl")
        times = [one["ts"] for one in objects(here / "newest.jsonl")[:-1]]
        assert len(times) == len(rows.model)
        assert times == sorted(times, reverse=True)


async def test_what_became_known_later_is_there(here):
    async with dashboard(Scripted(started()), first=EXECS.name).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await export(pilot, "json", "execs.jsonl")
        events = objects(here / "execs.jsonl")[:-1]
        ended = [one for one in events if one["duration_ns"] is not None]
        assert 0 < len(ended) < len(events)
        assert all(one["exit_code"] == (1 if one["exec_id"] % 5 == 0 else 0) for one in ended)
        assert {one["type"] for one in events} == {"event"}


async def test_a_top(here):
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        every = len(rows.model)
        pilot.app.screen.view.group_by("comm")
        await until(pilot, lambda: len(table(pilot).model) < every)
        assert await export(pilot, "json", "top.jsonl") == f"top.jsonl: {len(table(pilot).model)} rows"
        *values, summary = objects(here / "top.jsonl")
        assert sum(one["count"] for one in values) == every
        assert [one["count"] for one in values] == sorted((one["count"] for one in values), reverse=True)
        assert (summary["type"], values[0]["type"], values[0]["comm"]) == ("summary", "row", "nginx")
        assert values[0]["max_ns"] >= values[0]["mean_ns"] > 0
        await export(pilot, "csv", "top.csv")
        with (here / "top.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            assert [row["count"] for row in csv.DictReader(file)] == [str(one["count"]) for one in values]


async def test_a_histogram_and_its_processes(here):
    source = Scripted(started(4))
    async with dashboard(source, first=WAITS.name).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "p99" in shown(pilot))
        assert await export(pilot, "json", "all.jsonl") == "all.jsonl: 1 histograms"
        said = [synthetic.tick(WAITS, n, 200) for n in range(4)]
        whole = sum(int(h.counts.sum()) for t in said for h in t.histograms if h.group == "all")
        assert objects(here / "all.jsonl")[0]["total"] == whole
        await pilot.press("b")
        await until(pilot, lambda: "9 processes" in shown(pilot) or "8 processes" in shown(pilot))
        await export(pilot, "json", "pids.jsonl")
        *found, summary = objects(here / "pids.jsonl")
        assert {one["group"] for one in found} == {"pid"}
        expected = sum(int(h.counts.sum()) for t in said for h in t.histograms if h.group == "pid")
        assert sum(one["total"] for one in found) == expected
        assert [one["p99"] for one in found] == sorted((one["p99"] for one in found), reverse=True)
        assert summary["duration_s"] == 4


async def test_stacks_in_every_format(here):
    async with dashboard(Scripted(started(4)), first=SAMPLES.name).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "samples" in shown(pilot))
        total = sum(s.count for n in range(4) for s in synthetic.tick(SAMPLES, n, 200).stacks)
        assert await export(pilot, "folded", "a.folded") == f"a.folded: {total} samples"
        folded = (here / "a.folded").read_text().splitlines()
        assert sum(int(line.rsplit(" ", 1)[1]) for line in folded) == total
        await export(pilot, "speedscope", "a.json")
        assert sum(json.loads((here / "a.json").read_text())["profiles"][0]["weights"]) == total
        await export(pilot, "pprof", "a.gz")
        assert gzip.decompress((here / "a.gz").read_bytes())
        await export(pilot, "json", "a.jsonl")
        assert sum(one.get("count", 0) for one in objects(here / "a.jsonl")) == total


async def test_the_zoom_is_what_is_written(here):
    async with dashboard(Scripted(started(4)), first=SAMPLES.name).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "samples" in shown(pilot))
        view = pilot.app.screen.view
        calls = view._calls
        node = next(n for n in range(1, len(calls.parent)) if calls.name(n).name == "ngx_worker_process_cycle")
        view._zoom(calls.path(node))
        await until(pilot, lambda: view._prepared.wanted.top == calls.path(node))
        await export(pilot, "folded", "a.folded")
        folded = (here / "a.folded").read_text().splitlines()
        assert all(line.startswith("nginx;_start;main;ngx_worker_process_cycle;") for line in folded)
        assert sum(int(line.rsplit(" ", 1)[1]) for line in folded) == calls.total[node]
        assert any("vfs_read_[k]" in line for line in folded)
        await pilot.press("k")
        await until(pilot, lambda: not view._prepared.wanted.shape.kernel)
        await export(pilot, "folded", "b.folded")
        assert "_[k]" not in (here / "b.folded").read_text()


async def test_the_moment_that_is_looked_at(here):
    source = Scripted(started(6))
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        every = len(rows.model)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: len(rows.model) < every)
        source.say(*ticks(1, tools=[OPENS]))
        await export(pilot, "json", "then.jsonl")
        *events, summary = objects(here / "then.jsonl")
        assert len(events) == len(rows.model) == summary["events"]
        assert summary["duration_s"] == 5
        assert "PAUSED" in lines(pilot)[0]


async def test_nothing_is_written_over(here):
    (here / "mine.csv").write_text("mine")
    os.symlink("elsewhere", here / "link.csv")
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        assert await export(pilot, "csv", "mine.csv") == "'mine.csv' is not written: there is a file of that name"
        assert (here / "mine.csv").read_text() == "mine"
        assert "there is a file" in await export(pilot, "csv", "link.csv")
        assert "No such file or directory" in await export(pilot, "csv", "no/such/folder.csv")
        assert "is not written" in await export(pilot, "csv", "~nobodyatall/x")
    assert sorted(os.listdir(here)) == ["link.csv", "mine.csv"]


async def test_what_cannot_be_written_whole_is_removed(here, monkeypatch):
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ebtop.export.json.JsonExporter.end", full)
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        assert "No space left on device" in await export(pilot, "json", "x.jsonl")
    assert os.listdir(here) == []


async def test_the_chooser(here):
    async with dashboard(Scripted(started()), first=SAMPLES.name).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "samples" in shown(pilot))
        await pilot.press("e")
        await until(pilot, lambda: "speedscope" in shown(pilot))
        assert name(SAMPLES, ".folded") in shown(pilot)
        await pilot.press("j")
        await until(pilot, lambda: name(SAMPLES, ".speedscope.json") in shown(pilot))
        await pilot.press("tab", "end", *"qjk")  # typed, and no keys of the list
        await until(pilot, lambda: name(SAMPLES, ".speedscope.jsonqjk") in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, SaveAs))
    assert os.listdir(here) == []


async def test_nothing_is_there_yet(here):
    async with dashboard(Scripted([synthetic.vitals()])).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pilot.app.screen.view)
        await pilot.press("e")
        await pilot.pause(0.2)
    assert os.listdir(here) == []


async def test_a_recording_of_all_that_is_held(here):
    async with dashboard(Scripted(started(5))).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        await pilot.press("slash", *"ret<0", "enter")
        said = await export(pilot, "recording", "all.ebtop")
    assert said == f"all.ebtop: {5 * len(TOOLS)} intervals of 5.0 s"
    expected = ticks(5)
    with Recording(here / "all.ebtop") as recording:
        assert recording.meta.closed
        assert (recording.meta.start, recording.meta.end) == (expected[0].start, expected[-1].end)
        found = list(recording.ticks())
        assert {state.phase for state in recording.states.values()} == {Phase.RUNNING}
        assert recording.latest("Vitals", recording.meta.end) == synthetic.vitals()
    assert len(found) == len(expected)
    for tool in TOOLS:
        pairs = zip(_of(found, tool), _of(expected, tool), strict=True)
        assert all(same(a, b) for a, b in pairs)
    assert os.listdir(here) == ["all.ebtop"]


def _of(all_: list, tool) -> list:
    return [tick for tick in all_ if tick.tool == tool.name]


def same(one, other) -> bool:
    """Ticks have arrays in them, which do not compare to one truth."""
    return (
        (one.start, one.end, one.stacks, dict(one.lost)) == (other.start, other.end, other.stacks, dict(other.lost))
        and [b.tobytes() for b in one.events] == [b.tobytes() for b in other.events]
        and [h.counts.tolist() for h in one.histograms] == [h.counts.tolist() for h in other.histograms]
        and {**one.names, **other.names} == one.names
    )


async def test_a_recording_of_the_past_ends_there(here):
    source = Scripted(started(6))
    async with dashboard(source).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        every = len(rows.model)
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(pilot, lambda: len(rows.model) < every * 5 / 6)
        await export(pilot, "recording", "past.ebtop")
        with Recording(here / "past.ebtop") as recording:
            assert sum(t.event_count for t in recording.ticks({OPENS.name})) == len(rows.model) == every * 4 // 6
        said = await export(pilot, "recording", "past.ebtop")
        assert said == "'past.ebtop' is not written: there is a file of that name"
        assert "is not written" in await export(pilot, "recording", "no/folder.ebtop")
    assert os.listdir(here) == ["past.ebtop"]


async def test_a_recording_has_the_names_that_older_ticks_told(here):
    nameless = [replace(tick, names={}) for tick in ticks(4, tools=[OPENS])]
    config = Config(history=60_000)
    first = synthetic.tick(OPENS, 0, 200)
    messages = [synthetic.vitals(), *map(synthetic.running, TOOLS), first, *nameless[1:]]
    async with dashboard(Scripted(messages), config=config).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await until(pilot, lambda: 0 < len(rows.model) < 600)  # the first tick is held no more
        await export(pilot, "recording", "x.ebtop")
    with Recording(here / "x.ebtop") as recording:
        held, *_ = recording.ticks()
        assert held.start > first.start
        assert held.names == first.names


async def test_a_recording_that_cannot_be_written_whole_is_removed(here, monkeypatch):
    def full(*_args: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("ebtop.record.writer.RecordingWriter.close", full)
    async with dashboard(Scripted(started())).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        assert "disk is full" in await export(pilot, "recording", "x.ebtop")
    assert os.listdir(here) == []


@pytest.mark.parametrize("tool", [OPENS, EXECS, WAITS, SAMPLES], ids=lambda t: t.name)
async def test_what_was_saved_is_shown_again(here, tool):
    screens = []
    async with dashboard(Scripted(started(3)), first=tool.name).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "[ back" in shown(pilot))
        await pilot.press("space")
        await pilot.pause(0.3)
        await export(pilot, "recording", "x.ebtop")
        pilot.app.clear_notifications()
        await pilot.pause(0.1)
        screens.append("\n".join(lines(pilot)[2:-2]))
    source = ReplaySource(Recording(here / "x.ebtop"), TOOLS)
    async with Dashboard(source, TOOLS, first=tool.name, clock=source.now).run_test(size=(120, 36)) as pilot:
        await pilot.press("end")
        await until(pilot, lambda: len(pilot.app.screen.moment.tools[tool.name].ticks) == 3)
        await pilot.press("space")
        await pilot.pause(0.4)
        screens.append("\n".join(lines(pilot)[2:-2]))
        await export(pilot, "json", "again.jsonl")
    assert screens[0] == screens[1]
    assert objects(here / "again.jsonl")[-1]["duration_s"] == 3


async def test_processes_as_they_are_listed(here):
    tool = next(t for t in TOOLS if t.kind is Kind.PROCESSES)
    async with dashboard(Scripted(started()), first=tool.name).run_test(size=(120, 36)) as pilot:
        rows = await filled(pilot)
        await until(pilot, lambda: len(rows.model) > 10)
        await export(pilot, "json", "processes.json")
        listed = [int(rows.model.found.row(line)["pid"][0]) for line in range(len(rows.model))]
    lines = [json.loads(line) for line in (here / "processes.json").read_text().splitlines()]
    assert [line["pid"] for line in lines if line["type"] == "row"] == listed
