"""The protocol against whoever is at the other end: only WireError comes out, nothing large is made of little."""

from __future__ import annotations

import json
import os
import resource
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebtop import tick as t
from ebtop.source.wire import CommandReader, Reader, WireError, Writer
from tests.unit.test_wire import COMMANDS, CONNECT, FULL_TICK, MESSAGES, received, records, same, sent


def frame(kind: int, header: object, arrays: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return sent() + struct.pack("<IB3sI", 8 + len(text) + len(arrays), kind, bytes(3), len(text)) + text + arrays


def tick_header(**changes: object) -> dict[str, object]:
    empty: dict[str, object] = {
        "tool": "x", "start": 1, "end": 2, "lost": {}, "cost": {"run_ns": 0, "run_count": 0},
        "names": {}, "gauges": {}, "events": [],
    }  # fmt: skip
    return empty | {key: _laid_out(value) for key, value in changes.items()}


def _laid_out(value: Any) -> Any:
    """An array's description `[length, layout]` with the layout as text, wherever it is in a header."""
    match value:
        case [int() as length, [int(), list() | str()] as layout]:
            return [length, json.dumps(layout)]
        case list():
            return [_laid_out(item) for item in value]
    return value


def test_the_hand_made_header_is_right() -> None:
    assert received(frame(1, tick_header())) == [t.Tick("x", 1, 2)]
    assert received(frame(1, {"tool": "x", "start": 1, "end": 2})) == [t.Tick("x", 1, 2)]


A = ["a", "<u4", [], 0]
HOSTILE_TICKS: list[tuple[dict[str, object], bytes]] = [
    (tick_header(tool=1), b""),
    (tick_header(start=True), b""),
    (tick_header(start=1.0), b""),
    (tick_header(start=1 << 65), b""),
    (tick_header(lost={"a": "b"}), b""),
    (tick_header(lost=[]), b""),
    (tick_header(more=1), b""),
    (tick_header(names={"d": [[1], []]}), b""),
    (tick_header(names={"d": [["1"], ["a"]]}), b""),
    (tick_header(names={"d": [[1], [None]]}), b""),
    (tick_header(names={"d": [[[]], [1]]}), b""),
    (tick_header(events=None), b""),
    (tick_header(rows=None), b""),
    (tick_header(histograms=None), b""),
    ({"tool": "x", "start": 1}, b""),
    (tick_header(events=[[1, [4, [["a", "|O", [], 0]]]]]), bytes(8)),
    (tick_header(events=[[1, [8, [["a", "|O8", [], 0]]]]]), bytes(8)),
    (tick_header(events=[[1, [8, [["a", "<M8", [], 0]]]]]), bytes(8)),
    (tick_header(events=[[1, [8, [["a", ">u8", [], 0]]]]]), bytes(8)),
    (tick_header(events=[[1, [3, [["a", "<u3", [], 0]]]]]), bytes(8)),
    (tick_header(events=[[1, [8, [["a", "V8", [], 0]]]]]), bytes(8)),
    (tick_header(events=[[1, [4, [["a b", "<u4", [], 0]]]]]), bytes(8)),
    (tick_header(events=[[1, [4, [["__class__" * 9, "<u4", [], 0]]]]]), bytes(8)),
    (tick_header(events=[[1, [4, [A, A]]]]), bytes(8)),
    (tick_header(events=[[1, [4, [["a", "<u4", [], 1]]]]]), bytes(8)),
    (tick_header(events=[[1, [4, [["a", "<u4", [], -1]]]]]), bytes(8)),
    (tick_header(events=[[1, [8, [["a", "<u4", [2, 2], 0]]]]]), bytes(8)),
    (tick_header(events=[[1, [8, [["a", "<u4", [0], 0]]]]]), bytes(8)),
    (tick_header(events=[[1, [8, [["a", "<u4", [1 << 62], 0]]]]]), bytes(8)),
    (tick_header(events=[[1, [8, [["a", "<u4", [1, 1, 1, 1], 0]]]]]), bytes(8)),
    (tick_header(events=[[1, [0, []]]]), b""),
    (tick_header(events=[[1, 4]]), bytes(8)),
    (tick_header(events=[[1, ""]]), bytes(8)),
    (tick_header(events=[[1, "[4,"]]), bytes(8)),
    (tick_header(events=[[1, "[" * 20_000]]), bytes(8)),
    (tick_header(events=[[1, "[4,[" + " " * 40_000 + '["a","<u4",[],0]]]']]), bytes(8)),
    (tick_header(events=[[1, '[4,[["\udcff","<u4",[],0]]]']]), bytes(8)),
    (tick_header(events=[[1 << 60, [0, []]]]), b""),
    (tick_header(events=[[1 << 60, [4, [A]]]]), bytes(8)),
    (tick_header(events=[[-1, [4, [A]]]]), bytes(8)),
    (tick_header(events=[[True, [4, [A]]]]), bytes(8)),
    (tick_header(events=[[3, [4, [A]]]]), bytes(8)),
    (tick_header(events=[[1, [4, [A]]]]), bytes(16)),
    (tick_header(events=[[2, [4, "<u4"]]]), bytes(8)),
    (tick_header(events=[[2, [8, "<u4"]]]), bytes(8)),
    (tick_header(rows=[2, [4, "<u4"]]), bytes(8)),
    (tick_header(histograms=[[["all", 0, "", 1]], [2, [4, "<u4"]]]), bytes(8)),
    (tick_header(histograms=[[["all", 0, "", 2]], [1, [8, "<u8"]]]), bytes(8)),
    (tick_header(histograms=[[["all", 0, "", 2], ["all", 0, "", -1]], [1, [8, "<u8"]]]), bytes(8)),
    (tick_header(histograms=[[["all", 0, ""]], [1, [8, "<u8"]]]), bytes(8)),
    (tick_header(stacks=[[], [[2, 1, 1, 1, "x"]], [2, [4, "<u4"]]]), bytes(8)),
    (tick_header(stacks=[[["a", "b", 1]], [[2, 1, 1, 1, "x"]], [2, [4, "<u4"]]]), bytes(8)),
    (tick_header(stacks=[[["a", "b", True]], [[2, 1, None, 1, "x"]], [2, [4, "<u4"]]]), bytes(8)),
]


@pytest.mark.parametrize(("header", "arrays"), HOSTILE_TICKS)
def test_hostile_ticks(header: dict[str, object], arrays: bytes) -> None:
    with pytest.raises(WireError) as caught:
        received(frame(1, header, arrays))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        (0, {}),
        (7, {}),
        (255, {}),
        (6, {}),
        (6, {"reason": None}),
        (6, {"reason": "a", "b": 1}),
        (6, []),
        (6, b"{"),
        (6, b"[" * 100_000),
        (6, b'{"reason":"\xc3\xa9"}'),
        (6, b'{"reason":' + b"9" * 5000 + b"}"),
        (3, b'{"uptime_s":NaN}'),
        (2, {"tool": "x", "phase": "gone mad", "probes": [], "tried": [], "reason": "", "remedy": ""}),
        (2, {"tool": "x", "phase": "idle", "probes": "abc", "tried": [], "reason": "", "remedy": ""}),
        (2, {"tool": "x", "phase": "idle", "probes": [], "tried": [["a"]], "reason": "", "remedy": ""}),
    ],
)
def test_hostile_messages(kind: int, header: object) -> None:
    with pytest.raises(WireError) as caught:
        received(frame(kind, header))
    assert str(caught.value).isprintable()


def test_a_header_longer_than_its_frame() -> None:
    with pytest.raises(WireError, match="header is too long"):
        received(sent() + struct.pack("<IB3sI", 8 + 16, 6, bytes(3), 24) + b'{"reason":"abc"}' + bytes(8))


def test_a_frame_that_announces_a_gigabyte_costs_none() -> None:
    announced = sent() + struct.pack("<IB3sI", 1 << 30, 1, bytes(3), 8) + b"{}      "
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WireError, match="ends inside"):
        received(announced)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10  # KiB


def test_a_reader_that_goes_away_is_an_oserror() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        Writer(writing)
    os.close(writing)


def survives(stream: bytes) -> None:
    """Reading may fail with WireError and with nothing else."""
    for reader in (Reader, CommandReader):
        try:
            received(stream, reader)
        except WireError as error:
            assert str(error).isprintable(), repr(str(error))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes(raw: bytes) -> None:
    survives(raw)
    survives(sent() + raw)


STREAMS = [sent(message) for message in [*MESSAGES, *COMMANDS] if message is not FULL_TICK]
STREAMS.append(sent(t.Tick("x", 1, 2, (records(CONNECT, 2),), None, FULL_TICK.histograms[1:], FULL_TICK.stacks)))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damaged_frames(data: st.DataObject) -> None:
    stream = bytearray(data.draw(st.sampled_from(STREAMS)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(32, len(stream) - 1))
        stream[at] = data.draw(st.one_of(st.integers(0, 255), st.sampled_from(b'0129-[]{}",ntf')))
    survives(bytes(stream))


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["<u8", "S4", "a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(tick_header())), JSON, st.binary(max_size=64))
def test_any_json_in_a_tick(key: str, value: Any, arrays: bytes) -> None:
    survives(frame(1, tick_header(**{key: value}), arrays))


def raw_text() -> st.SearchStrategy[str]:
    """Text as the kernel gives it: any bytes at all."""
    return st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@settings(max_examples=100, deadline=None)
@given(raw_text(), st.dictionaries(st.integers(0, (1 << 64) - 1), raw_text(), max_size=3))
def test_any_bytes_survive_in_text(text: str, known: dict[int, str]) -> None:
    tick = t.Tick("x", 1, 2, names={text: known}, lost={text: 1})
    got = received(sent(tick, t.Notice(text)))
    assert same(got[0], tick)
    assert os.fsencode(got[1].text) == os.fsencode(text)
