"""`--format table`."""

from __future__ import annotations

import io
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebtop import eventstack
from ebtop.export.columns_text import Layout, cut, fitting, shown_width
from ebtop.export.exporter import Summary
from ebtop.export.table import TableExporter
from ebtop.export.text_blocks import bars
from ebtop.tick import Frame, Histogram, Stack, Tick
from ebtop.tool import Batch, Buckets, Column, Kind, Names, Tool, Type, Value, log_buckets, named

T0 = 1_795_241_645_123_456_789
EVENT = np.dtype([("ts", "<u8"), ("id", "<u8"), ("took_ns", "<u8"), ("pid", "<u4"), ("comm", "S16"), ("path", "S32")])


def argv(batch: Batch, _names: Names) -> Sequence[Value]:
    return [[raw.decode("utf-8", "surrogateescape")] for raw in batch["path"].tolist()]


EVENTS = Tool(
    name="sample", key="9", kind=Kind.EVENTS, title="", help="", slots=(), row_key="id",
    columns=(
        Column("ts", "TIME", Type.TIME, "", 12, rank=2),
        Column("pid", "PID", Type.INT, "", 6, rank=1),
        Column("comm", "COMM", Type.TEXT, "", 6, rank=3),
        Column("took_ns", "TOOK", Type.DURATION, "", 7, rank=7),
        Column("exit_code", "EXIT", Type.INT, "", 4, late=True, derive=named("exit_code", "id")),
        Column("argv", "ARGV", Type.ARGV, "", 10, rank=1, derive=argv),
        Column("path", "PATH", Type.PATH, "", hidden=True),
    ),
)  # fmt: skip


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def event(**fields: object) -> Batch:
    one = np.zeros(1, EVENT)
    for name, value in ({"ts": T0, "pid": 12, "comm": b"sh", "path": b"ls"} | fields).items():
        one[name] = value
    return one


def written(tool: Tool, *ticks: Tick, width: int | None = None, notes: io.StringIO | None = None) -> str:
    stream = io.BytesIO()
    exporter = TableExporter(stream, notes or io.StringIO(), width)
    exporter.begin(tool, ("probe:a",))
    for tick in ticks:
        exporter.tick(tool, tick, {"exit_code": {1: 5}})
    exporter.end(Summary(tool.name, T0, 3, 0, 1.5, ("probe:a",), exit_code=4, truncated=2))
    return stream.getvalue().decode()


def test_columns_line_up_and_realign_after_a_long_cell() -> None:
    events = np.concatenate(
        [event(took_ns=2100, id=1), event(pid=1234567, comm=b"a-long-name", took_ns=900), event(path=b"a b", took_ns=1)]
    )
    assert written(EVENTS, Tick("sample", 1, 2, events=(events,))).splitlines() == [
        "TIME            PID COMM      TOOK EXIT ARGV",
        "06:14:05.123     12 sh      2.1 us    5 ls",
        "06:14:05.123 1234567 a-long-name 900 ns - ls",
        "06:14:05.123     12 sh        1 ns    - 'a b'",
    ]


def test_notes() -> None:
    notes = io.StringIO()
    text = written(EVENTS, Tick("sample", 1, 2, lost={"full\x1b": 1234, "cut": 5}), notes=notes)
    assert text.count("\n") == 1
    assert notes.getvalue().splitlines() == [
        "sample: lost 1,234 (full\\x1b), 5 (cut)",
        "sample: 3 events, 1.5 s, lost 0, 2 truncated, command exited with 4; probe:a",
    ]


def test_rows_that_complete_events_are_no_lines_of_their_own() -> None:
    rows = event()
    assert written(EVENTS, Tick("sample", 1, 2, rows=rows)).count("\n") == 1
    alone = Tool(**{name: getattr(EVENTS, name) for name in EVENTS.__slots__} | {"row_key": ""})
    assert written(alone, Tick("sample", 1, 2, rows=rows)).splitlines()[1].startswith("06:14:05.123     12 sh")


def test_a_terminal_gets_lines_that_fit() -> None:
    events = np.concatenate([event(path=b"x" * 30), event(path="日本語日本語日本".encode())])
    text = written(EVENTS, Tick("sample", 1, 2, events=(events,)), width=38)
    assert text.splitlines() == [
        "TIME            PID COMM   ARGV",
        "06:14:05.123     12 sh     xxxxxxxxxx…",
        "06:14:05.123     12 sh     日本語日本…",
    ]
    assert all(shown_width(line) <= 38 for line in text.splitlines())


def test_fitting_keeps_what_matters() -> None:
    columns = [column for column in EVENTS.columns if not column.hidden]
    assert fitting(columns, None) == columns
    assert [c.key for c in fitting(columns, 46)] == ["ts", "pid", "comm", "exit_code", "argv"]
    assert [c.key for c in fitting(columns, 5)] == ["pid"]


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z", "M"]), max_size=12), min_size=6, max_size=6))
def test_cells_never_touch(cells: list[str]) -> None:
    filled = [cell or "-" for cell in cells]
    assert Layout([c for c in EVENTS.columns if not c.hidden]).line(filled).split() == filled


@given(st.text(st.characters(exclude_categories=["C"]), max_size=40), st.integers(1, 30))
def test_cut(line: str, width: int) -> None:
    assert shown_width(cut(line, width)) <= width
    assert cut(line, None) == line


HOSTILE = [
    b"\x1b]0;owned\x07", b"\x1b[2J", "\u009b31m".encode(), "\u202eexe.txt".encode(), b"a\nb\rc\td", b"\xff\xfe\x9b",
    "\u2028\u2066\u200b".encode(), b"\x7f\x08",
]  # fmt: skip


def acts_on_a_terminal(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}} - {"\n"}


@pytest.mark.parametrize("raw", HOSTILE)
def test_hostile_text_does_nothing(raw: bytes) -> None:
    odd = raw.decode("utf-8", "surrogateescape")
    text = written(EVENTS, Tick("sample", 1, 2, events=(event(comm=raw, path=raw),)))
    assert text.count("\n") == 2
    frames = (Frame(odd, odd, False), Frame(odd, odd, True))
    text += written(STACKS, Tick("stacks", 1, T0, stacks=(Stack(frames, 1, 1, 1, odd),)))
    text += written(WAITS, Tick("waits", 1, T0, histograms=(Histogram("pid", 1, odd, np.array([1, 2, 3], np.uint64)),)))
    assert not acts_on_a_terminal(text)
    assert "\\" in text


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=16), st.binary(max_size=32))
def test_any_bytes_do_nothing(comm: bytes, path: bytes) -> None:
    text = written(EVENTS, Tick("sample", 1, 2, events=(event(comm=comm, path=path),)))
    assert text.count("\n") == 2
    assert not acts_on_a_terminal(text)


WAITS = Tool("waits", "8", Kind.HISTOGRAM, "", "", (), buckets=Buckets("ns", np.array([0, 10, 1000, 4000], np.uint64)))
STACKS = Tool("stacks", "8", Kind.STACKS, "", "", ())


def test_histogram() -> None:
    whole, one = np.array([4, 0, 6], np.uint64), np.array([3, 0, 2], np.uint64)
    histograms = (Histogram("all", 0, "all", whole), Histogram("pid", 7, "sh", one))
    tick = Tick("waits", 1, T0, histograms=histograms)
    assert written(WAITS, tick).splitlines() == [
        "",
        "06:14:05.123  waits  sh 7  n 5  p50 8 ns  p90 3.2 us  p99 3.9 us  max < 4.0 us",
        "     0 ns -> 10 ns                3 |****************************************|",
        "    10 ns -> 1.0 us               0 |                                        |",
        "   1.0 us -> 4.0 us               2 |***************************             |",
        "",
        "06:14:05.123  waits  whole system  n 10  p50 1.5 us  p90 3.5 us  p99 4.0 us  max < 4.0 us",
        "     0 ns -> 10 ns                4 |***************************             |",
        "    10 ns -> 1.0 us               0 |                                        |",
        "   1.0 us -> 4.0 us               6 |****************************************|",
    ]


def test_an_empty_histogram_says_so() -> None:
    text = written(WAITS, Tick("waits", 1, T0, histograms=(Histogram("all", 0, "all", np.zeros(3, np.uint64)),)))
    assert text.splitlines() == ["", "06:14:05.123  waits  whole system  n 0"]


def test_many_buckets_become_one_bar_per_power_of_two() -> None:
    buckets = log_buckets("ns", 36)
    counts = np.ones(buckets.count, np.uint64)
    shown = bars(buckets, counts)
    assert len(shown) == 37
    assert sum(n for _, _, n in shown) == len(counts)
    assert (1024, 2048, 4) in shown
    assert all(before[1] == after[0] for before, after in pairwise(shown))


def test_the_stacks_of_events_are_below_them() -> None:
    kind = np.dtype([*EVENT.descr, ("stack_id", "<u8")])
    events = np.zeros(3, kind)
    events["ts"], events["comm"], events["stack_id"] = [T0, T0 + 1, T0 + 2], b"sh", [7, 0, 8]
    tick = Tick("sample", 1, T0, (events,))
    stream = io.BytesIO()
    exporter = TableExporter(stream, io.StringIO(), width=40)
    tool = replace(EVENTS, columns=(*EVENTS.columns[:3], *eventstack.COLUMNS))
    exporter.begin(tool, ())
    known = {"stack": {7: '["main","open"]', 8: '["\\u001b[2J' + "x" * 40 + '"]'}, "kstack": {7: '["do_open"]'}}
    exporter.tick(tool, tick, known)
    assert stream.getvalue().decode().splitlines()[1:] == [
        "06:14:05.123      0 sh",
        "            do_open  [kernel]",
        "            open",
        "            main",
        "06:14:05.123      0 sh",
        "06:14:05.123      0 sh",
        "            \\x1b[2Jxxxxxxxxxxxxxxxxxxxx…",
    ]


def test_stacks_hottest_last_innermost_first() -> None:
    frames = (Frame("main", "a.out", False), Frame("do_exit", "", True))
    tick = Tick("stacks", 1, T0, stacks=(Stack(frames, 3, 1, 2, "sh"), Stack(frames[:1], 1, 5, 5, "ls")))
    assert written(STACKS, tick).splitlines() == [
        "",
        "06:14:05.123  stacks  4 samples, 2 stacks: the hottest last, the innermost function first",
        "       1  25.0 %  ls 5",
        "            main  [a.out]",
        "       3  75.0 %  sh 1 thread 2",
        "            do_exit  [kernel]",
        "            main  [a.out]",
    ]
