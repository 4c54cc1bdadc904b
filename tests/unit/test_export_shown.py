"""What views show, written: the parts that the screen's tests cannot easily reach."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest

from ebtop.export import shown
from ebtop.model import sort as sorting
from ebtop.model.filter import parse
from ebtop.model.query import Query, StreamQuery
from ebtop.model.rows import Rows
from ebtop.model.snapshot import ToolSnapshot
from ebtop.model.stackcut import cut
from ebtop.model.stacktree import PROCESS, Shape
from ebtop.tick import Frame, Phase, Stack, Tick, ToolState
from ebtop.tool import Column, Kind, Tool, Type
from tests.ui import synthetic
from tests.ui.screen import OPENS
from tests.unit.stackcases import SAMPLES, SECOND, START, STATE
from tests.unit.test_export_json import breaches
from tests.unit.test_export_stacks import EVENTS, ROW

TICKS = tuple(synthetic.tick(OPENS, number, 3000) for number in range(8))
SNAPSHOT = ToolSnapshot(OPENS, synthetic.running(OPENS), TICKS, TICKS[0].names)


def written(export: shown.Export) -> tuple[int, list[dict]]:
    stream = io.BytesIO()
    count = export.write(stream)
    assert breaches(stream.getvalue()) == []
    return count, [json.loads(line) for line in stream.getvalue().splitlines()]


def as_listed(rows: Rows) -> list[tuple[int, int, str]]:
    events = [rows.event(rows.id(row)) for row in range(len(rows))]
    return [
        (int(e["ts"][0]) % SECOND, int(e["pid"][0]), e["path"][0].decode("utf-8", "surrogateescape")) for e in events
    ]


@pytest.mark.parametrize(
    "query",
    [
        Query(), Query(descending=True), Query(sort="latency_ns", descending=True), Query(sort="path"),
        Query(filter=parse(OPENS, "ret<0")), Query(filter=parse(OPENS, "comm~nginx"), descending=True),
        Query(filter=parse(OPENS, "path=nothing")),
    ],
    ids=["time", "newest", "latency", "path", "filter", "both", "none"],
)  # fmt: skip
def test_rows_are_written_as_they_are_listed(query: Query) -> None:
    """More rows than a portion, from several ticks, whose events are of two layouts."""
    rows = StreamQuery(OPENS).run(SNAPSHOT, query)
    assert isinstance(rows, Rows)
    count, objects = written(shown.rows(SNAPSHOT, rows)["json"])
    assert count == len(rows) == len(objects) - 1
    found = [(int(one["ts"][20:29]), one["pid"], one["path"]) for one in objects[:-1]]
    assert found == as_listed(rows)


def test_sorted_rows_that_are_not_all_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "SORTED", 1000)
    rows = StreamQuery(OPENS).run(SNAPSHOT, Query(sort="latency_ns"))
    assert isinstance(rows, Rows)
    export = shown.rows(SNAPSHOT, rows)["json"]
    assert export.what == f"of {rows.held:,} events, the newest"
    assert written(export)[0] == 1000


def test_what_was_lost_is_told() -> None:
    ticks = (*TICKS[:2], replace(TICKS[2], lost={"full": 5}))
    snapshot = replace(SNAPSHOT, ticks=ticks)
    rows = StreamQuery(OPENS).run(snapshot, Query())
    assert isinstance(rows, Rows)
    export = shown.rows(snapshot, rows)["json"]
    assert export.lost == 5
    assert written(export)[1][-1]["lost"] == 5


def test_a_stream_offers_stacks_where_its_events_carry_them() -> None:
    rows = np.array([(START, 1, b"a", b"main", b"read"), (START, 1, b"a", b"main", b"")], ROW)
    tick = Tick(EVENTS.name, START, START + SECOND, events=(rows,))
    off = ToolSnapshot(EVENTS, ToolState(EVENTS.name, Phase.RUNNING), (tick,))
    on = replace(off, state=replace(off.state, stacks=True))
    found = StreamQuery(EVENTS).run(on, Query())
    assert isinstance(found, Rows)
    assert set(shown.rows(off, found)) == {"json", "csv"}
    stream = io.BytesIO()
    assert shown.rows(on, found)["folded"].write(stream) == 2
    assert sorted(stream.getvalue().decode().splitlines()) == ["a;main 1", "a;main;read_[k] 1"]


def test_threads_stay_apart_in_json_alone() -> None:
    frames = (Frame("main", "", False),)
    ticks = tuple(
        Tick(SAMPLES.name, START + n, START + n + 1, stacks=(Stack(frames, 1, 7, 8, "x"), Stack(frames, 2, 7, 9, "x")))
        for n in range(3)
    )
    exports = shown.stacks(ToolSnapshot(SAMPLES, STATE, ticks), ticks, cut(Shape(), ()))
    count, objects = written(exports["json"])
    assert count == 2
    assert [(one["tid"], one["count"]) for one in objects[:-1]] == [(9, 6), (8, 3)]
    stream = io.BytesIO()
    assert exports["folded"].write(stream) == 9
    assert stream.getvalue() == b"x;main 9\n"


@pytest.mark.parametrize("name", ["folded", "speedscope", "pprof", "json"])
def test_no_stacks_are_a_valid_file(name: str) -> None:
    exports = shown.stacks(ToolSnapshot(SAMPLES, STATE), (), cut(Shape(), ()))
    stream = io.BytesIO()
    assert exports[name].write(stream) == 0


def test_a_zoom_into_an_inverted_graph_keeps_who_ends_there() -> None:
    read, main, idle = Frame("read", "kernel", True), Frame("main", "", False), Frame("idle", "", False)
    process = Frame("x", PROCESS, False)
    keep = cut(Shape(inverted=True), (read, main))
    assert keep(Stack((main, read), 1, 1, 1, "x")) == Stack((main, read), 1, 1, 1, "x")
    assert keep(Stack((idle, read), 1, 1, 1, "x")) is None
    assert cut(Shape(), (process, idle))(Stack((main, read), 1, 1, 1, "x")) is None
    assert cut(Shape(user=False), (process, read))(Stack((main, read), 1, 1, 1, "x")) == Stack((read,), 1, 1, 1, "x")


def test_rows_that_stand_alone_keep_their_order() -> None:
    layout = np.dtype([("pid", "u4"), ("opens", "u8")])
    tool = Tool("each", "1", Kind.PROCESSES, "", "", (), (
        Column("pid", "PID", Type.INT, ""), Column("opens", "OPENS", Type.COUNT, ""),
    ))  # fmt: skip
    rows = np.array([(3, 30), (1, 10), (2, 20)], layout)
    snapshot = ToolSnapshot(tool, ToolState("each", Phase.RUNNING), (Tick("each", START, START + SECOND, rows=rows),))
    count, objects = written(shown.table(snapshot, rows[[1, 0]])["json"])
    assert count == 2
    assert [(one["type"], one["pid"], one["opens"]) for one in objects[:-1]] == [("row", 1, 10), ("row", 3, 30)]
