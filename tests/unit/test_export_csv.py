"""`--format csv`."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ebtop.export.csv import CsvExporter
from ebtop.export.exporter import Summary
from ebtop.tick import Frame, Histogram, Stack, Tick
from ebtop.tool import Batch, Buckets, Column, Kind, Names, Tool, Type, Value, named

T0 = 1_795_241_645_123_456_789
EVENT = np.dtype([("ts", "<u8"), ("id", "<u8"), ("pid", "<u4"), ("cut", "<u4"), ("path", "S32")])


def argv(batch: Batch, _names: Names) -> Sequence[Value]:
    return [[os.fsdecode(raw), "b c"] for raw in batch["path"].tolist()]


EVENTS = Tool(
    name="sample", key="9", kind=Kind.EVENTS, title="", help="", slots=(), row_key="id",
    columns=(
        Column("ts", "TIME", Type.TIME, ""),
        Column("pid", "PID", Type.INT, ""),
        Column("path", "PATH", Type.PATH, "", hidden=True),
        Column("argv", "ARGV", Type.ARGV, "", derive=argv),
        Column("cut", "CUT", Type.BOOL, ""),
        Column("exit_code", "EXIT", Type.INT, "", late=True, derive=named("exit_code", "id")),
        Column("id", "ID", Type.INT, ""),
    ),
)  # fmt: skip


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def written(tool: Tool, *ticks: Tick, stream: io.BytesIO | None = None, notes: io.StringIO | None = None) -> bytes:
    stream = stream or io.BytesIO()
    exporter = CsvExporter(stream, notes or io.StringIO())
    exporter.begin(tool, ("probe:a",))
    for tick in ticks:
        exporter.tick(tool, tick, {"exit_code": {1: 5}})
    exporter.end(Summary(tool.name, T0, 3, 1, 1.5, ("probe:a",)))
    return stream.getvalue()


def event(path: bytes, **fields: int) -> Batch:
    one = np.zeros(1, EVENT)
    for name, value in ({"ts": T0, "pid": 12, "id": 1} | fields).items():
        one[name] = value
    one["path"] = path
    return one


def test_to_the_letter() -> None:
    rows = np.zeros(1, np.dtype([("id", "<u8"), ("exit_code", "<u4")]))
    rows["id"], rows["exit_code"] = 1, 7
    tick = Tick("sample", 1, T0 + 1, events=(event(b'a,"b"\n', cut=1),), rows=rows)
    assert written(EVENTS, tick) == (
        b"tool,type,ts,pid,path,argv,cut,exit_code,id\r\n"
        b"sample,event,2026-11-21T06:14:05.123456789Z,12,"
        b'"a,""b""\n","[""a,\\""b\\""\\n"",""b c""]",true,,1\r\n'
        b"sample,row,2026-11-21T06:14:05.123456790Z,,,,,7,1\r\n"
    )


def test_losses_and_the_summary_are_notes() -> None:
    notes = io.StringIO()
    written(EVENTS, Tick("sample", 1, T0, lost={"full": 3, "cut": 0}), notes=notes)
    assert notes.getvalue() == "sample: lost 3 (full)\nsample: 3 events, 1.5 s, lost 1; probe:a\n"


def test_histograms_and_stacks() -> None:
    waits = Tool("waits", "8", Kind.HISTOGRAM, "", "", (), buckets=Buckets("ns", np.array([0, 10, 20], np.uint64)))
    tick = Tick("waits", 1, T0, histograms=(Histogram("pid", 7, "sh", np.array([4, 6], np.uint64)),))
    (row,) = csv.DictReader(io.StringIO(written(waits, tick).decode(), newline=""))
    assert (row["pid"], row["cgroup"], row["total"]) == ("7", "", "10")
    assert json.loads(row["buckets"]) == [[0, 10, 4], [10, 20, 6]]
    stacks = Tool("stacks", "8", Kind.STACKS, "", "", ())
    tick = Tick("stacks", 1, T0, stacks=(Stack((Frame("a,b", "", False), Frame("c", "", True)), 3, 1, 2, "sh"),))
    (row,) = csv.DictReader(io.StringIO(written(stacks, tick).decode(), newline=""))
    assert (json.loads(row["frames"]), row["kernel_frames"], row["count"]) == (["a,b", "c"], "1", "3")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=30).map(lambda raw: raw.rstrip(b"\0")), min_size=1, max_size=4))
def test_every_byte_comes_back(paths: list[bytes]) -> None:
    raw = written(EVENTS, Tick("sample", 1, T0, events=(np.concatenate([event(path) for path in paths]),)))
    text = raw.decode("utf-8", "surrogateescape")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [os.fsencode(row["path"]) for row in rows] == paths
    assert [os.fsencode(json.loads(row["argv"])[0]) for row in rows] == paths


def test_text_is_sanitised_when_a_person_looks_at_it() -> None:
    raw = written(EVENTS, Tick("sample", 1, T0, events=(event(b"\x1b]0;x\x07\n\xff"),)), stream=Terminal())
    assert b"\\x1b]0;x\\x07\\n\\xff" in raw
    assert not set(raw) & (set(range(0x20)) | {0x7F, 0xFF}) - {0x0A, 0x0D}


def test_a_surrogate_that_stands_for_no_byte_is_written_all_the_same() -> None:
    tool = Tool("stacks", "8", Kind.STACKS, "", "", ())
    assert b"\\ud800" in written(tool, Tick("stacks", 1, T0, stacks=(Stack((), 1, 1, 1, "\ud800"),)))
