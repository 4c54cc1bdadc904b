"""Recordings hold ticks exactly, whatever is in them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ebtop.model.activity import Moment, amount
from ebtop.record.packing import PART
from ebtop.record.reader import Recording
from ebtop.record.writer import RecordingWriter
from ebtop.source import wire_arrays
from ebtop.tick import Cost, Frame, Histogram, Notice, Phase, ProcessDetails, Stack, Tick, ToolState
from ebtop.tool import Kind, Tool
from tests.ui import synthetic
from tests.unit.recordings import EXECS, OPENS, TOOLS, assert_same, read, record, ticks

ANY = Tool("any", "x", Kind.EVENTS, "", "", ())
KINDS = ["u1", "<u2", "<u4", "<u8", "i1", "<i2", "<i4", "<i8", "<f4", "<f8", "?", "S1", "S7", "S40"]
SHAPES = [(), (16,), (2, 3)]
texts = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
ids = st.integers(0, (1 << 64) - 1)
figures = st.integers(0, (1 << 63) - 1)


@st.composite
def batches(draw: st.DrawFn) -> np.ndarray:
    """Records of any layout, and anything in them; often the same in all."""
    kinds = draw(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(SHAPES)), min_size=1, max_size=5))
    layout = np.dtype([(f"f{n}", kind, shape) for n, (kind, shape) in enumerate(kinds)], align=draw(st.booleans()))
    batch = draw(arrays.arrays(layout, draw(st.integers(0, 12))))
    for name in layout.names or ():
        if len(batch) and draw(st.booleans()):
            batch[name] = batch[name][0]
    return batch


frames = st.builds(Frame, texts, texts, st.booleans())
made = st.builds(
    Tick,
    tool=st.just("any"),
    start=figures,
    end=figures,
    events=st.lists(batches(), max_size=3).map(tuple),
    rows=st.none() | batches(),
    histograms=st.lists(
        st.builds(Histogram, st.sampled_from(["all", "pid"]), ids, texts, arrays.arrays("<u8", (12,))), max_size=3
    ).map(tuple),
    stacks=st.lists(
        st.builds(Stack, st.lists(frames, max_size=4).map(tuple), figures, figures, figures, texts), max_size=3
    ).map(tuple),
    names=st.dictionaries(texts, st.dictionaries(ids, texts | figures, min_size=1, max_size=3), max_size=2),
    gauges=st.dictionaries(texts, st.floats(allow_nan=False, allow_infinity=False) | figures, max_size=3),
    lost=st.dictionaries(texts, figures, max_size=3),
    cost=st.builds(Cost, figures, figures),
)


@given(st.lists(made, max_size=4))
@settings(
    max_examples=40,
    phases=[Stage.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_tick_comes_back_exactly(tmp_path: Path, said: list[Tick]) -> None:
    found = read(record(tmp_path / "r", said, [ANY]))
    for one, other in zip(sorted(said, key=lambda tick: tick.end), found, strict=True):
        assert_same(one, other)


def test_ticks_of_tools_come_back_exactly(tmp_path: Path) -> None:
    said = ticks(4)
    for one, other in zip(said, read(record(tmp_path / "r", said)), strict=True):
        assert_same(one, other)


def test_padding_is_no_part_of_a_record(tmp_path: Path) -> None:
    layout = np.dtype([("ts", "<u8"), ("a", "u1"), ("b", "<u8")], align=True)
    batch = np.frombuffer(os.urandom(layout.itemsize * 50), layout)
    (found,) = read(record(tmp_path / "r", [Tick("any", 0, 1, (batch,))], [ANY]))
    assert_same(found.events[0], batch)


def test_long_batches_lie_in_parts_and_come_back_whole(tmp_path: Path) -> None:
    tick = synthetic.tick(OPENS, 0, 3 * PART + 17)
    with Recording(record(tmp_path / "r", [tick])) as recording:
        assert_same(next(recording.ticks()), tick)
        assert len(tick.events[0]) > 3 * PART


def test_memory_of_strings_is_bounded(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "r", tools=TOOLS)
    said = []
    for number in range(12):
        tick = synthetic.tick(OPENS, number, 20_000)
        batch = tick.events[0].copy()
        batch["path"] = [b"/%d/%d" % (number, n) for n in range(len(batch))]
        said.append(replace(tick, events=(batch,)))
        writer.add(said[-1])
        writer.commit()
    assert len(writer._texts._known) < 150_000  # of 240,000
    writer.close()
    for one, other in zip(said, read(tmp_path / "r"), strict=True):
        assert_same(one, other)


def test_a_time_is_found(tmp_path: Path) -> None:
    said = ticks(600, rate=5, tools=[OPENS, EXECS])
    with Recording(record(tmp_path / "r", said)) as recording:
        wanted = [t for t in said if said[300].end <= t.end <= said[307].end and t.tool == EXECS.name]
        found = list(recording.ticks({EXECS.name}, said[300].end, said[307].end))
        assert [t.end for t in found] == [t.end for t in wanted]
        assert len(found) > 3
        assert recording.moments(OPENS.name) == tuple(Moment(t.end, amount(t)) for t in said if t.tool == OPENS.name)
        assert recording.moments("none") == ()
        events, lost = recording.totals(OPENS.name, said[300].end)
        assert events == sum(t.event_count for t in said if t.tool == OPENS.name and t.end < said[300].end)
        assert lost == {}


def test_a_long_recording_has_a_bounded_number_of_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebtop.record.reader.MOMENTS", 50)
    said = ticks(600, rate=5, tools=[OPENS])
    with Recording(record(tmp_path / "r", said)) as recording:
        moments = recording.moments(OPENS.name)
        assert 40 < len(moments) <= 51
        assert sum(moment.amount for moment in moments) == sum(map(amount, said))
        assert moments[-1].end == said[-1].end


def test_what_else_was_said_comes_back(tmp_path: Path) -> None:
    states = [ToolState(t.name, Phase.RUNNING, ("kprobe:x",)) for t in TOOLS]
    details = ProcessDetails(7, True, "a\udcff", argv=("x", "\x1b"))
    said = [*states, *ticks(1), synthetic.vitals(), details, Notice("look", error=True)]
    with Recording(record(tmp_path / "r", said)) as recording:
        assert recording.states == {state.tool: state for state in states}
        assert recording.latest("Vitals", 1 << 62) == synthetic.vitals()
        assert recording.latest("ProcessDetails", 1 << 62, "7") == details
        assert recording.latest("ProcessDetails", 1 << 62, "8") is None
        end = recording.meta.end
        assert [m for _, m in recording.messages(end, end)] == [synthetic.vitals(), details, Notice("look", error=True)]


def test_meta_says_whose_it_is(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", focus="pid 7+", tools=TOOLS) as writer:
        with Recording(tmp_path / "r") as recording:  # while it is being written, and nothing is in it
            assert not recording.meta.closed
            assert recording.meta.start == recording.meta.end
            assert list(recording.ticks()) == []
        for tick in ticks(2):
            writer.add(tick)
        writer.commit()
    with Recording(tmp_path / "r") as recording:
        meta = recording.meta
        assert (meta.closed, meta.focus, meta.host) == (True, "pid 7+", os.uname().nodename)
        assert (meta.start, meta.end) == (synthetic.START, synthetic.START + 2 * synthetic.SECOND)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r"]


def test_only_what_was_committed_is_there_when_the_recorder_dies(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "r", tools=TOOLS)
    said = ticks(3)
    for tick in said[:5]:
        writer.add(tick)
    writer.commit()
    for tick in said[5:]:
        writer.add(tick)
    assert len(read(tmp_path / "r")) == 5  # a reader beside it
    writer.abandon()
    with Recording(tmp_path / "r") as recording:
        assert len(list(recording.ticks())) == 5
        assert not recording.meta.closed


def test_layouts_that_the_wire_has_no_form_for_are_refused(tmp_path: Path) -> None:
    nested = np.zeros(1, np.dtype([("ts", "<u8"), ("in", np.dtype([("a", "<u4")]))]))
    with RecordingWriter(tmp_path / "r", tools=[ANY]) as writer, pytest.raises(wire_arrays.WireError):
        writer.add(Tick("any", 0, 1, (nested,)))
