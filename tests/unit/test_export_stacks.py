"""folded, speedscope and pprof: valid whatever things are called, and totals that are those of the input."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebtop.export import folded, pprof, speedscope
from ebtop.export.escapes import UNNAMED
from ebtop.export.protobuf import number, numbers, varint
from ebtop.export.stackcounts import StackCounter, StackCounts, has_stacks, period_ns
from ebtop.tick import Frame, Stack, Tick, ToolState
from ebtop.tool import Batch, Column, Kind, Names, Tool, Type, Value
from tests.unit.stackcases import PERIOD, SAMPLES, SECOND, START, STATE, counted, hostile, stacks

lists = st.lists(stacks, max_size=8)


def written(module: object, counts: StackCounts) -> bytes:
    stream = io.BytesIO()
    module.write(counts, stream)  # type: ignore[attr-defined]
    return stream.getvalue()


def named(name: str) -> str:
    return name or UNNAMED


# folded


def unescaped(text: str) -> str:
    """What an escape stands for; the other direction than the code's."""

    def one(match: re.Match[str]) -> str:
        if match[0] == "\\\\":
            return "\\"
        code = int(match[1] or match[2], 16)
        return chr(code + 0xDC00) if match[1] and code >= 0x80 else chr(code)

    return re.sub(r"\\\\|\\x([0-9a-f]{2})|\\u([0-9a-f]{4})", one, text)


def read_folded(raw: bytes) -> Counter[tuple[str, tuple[tuple[str, bool], ...]]]:
    found: Counter[tuple[str, tuple[tuple[str, bool], ...]]] = Counter()
    text = raw.decode("utf-8")
    assert text.splitlines() == text.split("\n")[:-1]  # nothing else breaks a line
    for line in text.splitlines():
        stack, count = re.fullmatch(r"(.*) (\d+)", line).groups()
        assert stack == stack.strip()
        comm, *frames = stack.split(";")
        assert comm
        assert all(frames)
        kernel = [frame.endswith("_[k]") for frame in frames]
        bare = [frame.removesuffix("_[k]") if k else frame for frame, k in zip(frames, kernel, strict=True)]
        found[unescaped(comm), tuple(zip(map(unescaped, bare), kernel, strict=True))] += int(count)
    return found


@given(lists)
def test_folded_stacks_can_be_read_back(given_stacks: list[Stack]) -> None:
    expected: Counter[tuple[str, tuple[tuple[str, bool], ...]]] = Counter()
    for stack in given_stacks:
        expected[named(stack.comm), tuple((named(f.name), f.kernel) for f in stack.frames)] += stack.count
    assert read_folded(written(folded, counted(*given_stacks))) == expected


def test_a_line_of_folded_stacks() -> None:
    found = counted(
        Stack((Frame("main", "x", False), Frame("do;it ", "x", False), Frame("read", "kernel", True)), 2, 1, 1, "a b"),
        Stack((Frame("fake_[k]", "", False),), 1, 1, 1, "x"),
        Stack((), 5, 1, 1, "x"),
    )  # fmt: skip
    lines = ["a b;main;do\\x3bit\\x20;read_[k] 2", "x 5", "x;fake_\\x5bk] 1"]
    assert written(folded, found).decode().splitlines() == lines


def test_processes_of_one_name_are_one_in_folded_stacks() -> None:
    frames = (Frame("main", "", False),)
    assert written(folded, counted(Stack(frames, 2, 1, 1, "x"), Stack(frames, 3, 2, 2, "x"))) == b"x;main 5\n"


def test_on_a_terminal_folded_stacks_are_safe() -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    folded.write(counted(Stack((Frame("\u202eevil", "", False),), 1, 1, 1, "x")), stream)
    assert stream.getvalue() == b"x;\\u202eevil 1\n"


# speedscope


@given(lists, st.sampled_from([0, PERIOD]))
def test_speedscope_files_hold_every_name_and_count(given_stacks: list[Stack], period: int) -> None:
    file = json.loads(written(speedscope, counted(*given_stacks, period=period)))
    assert file["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert file.keys() >= {"profiles", "shared"}
    (chart,) = file["profiles"]
    assert (chart["type"], chart["startValue"], chart["unit"]) == ("sampled", 0, "nanoseconds" if period else "none")
    assert len(chart["samples"]) == len(chart["weights"])
    total = sum(stack.count for stack in given_stacks)
    assert sum(chart["weights"]) == chart["endValue"] == total * (period or 1)
    frames = file["shared"]["frames"]
    assert all(set(map(type, frame.values())) == {str} for frame in frames)
    found: Counter[tuple[str, ...]] = Counter()
    for sample, weight in zip(chart["samples"], chart["weights"], strict=True):
        found[tuple(frames[place]["name"] for place in sample)] += weight // (period or 1)
    expected: Counter[tuple[str, ...]] = Counter()
    for stack in given_stacks:
        expected[stack.comm, *(frame.name for frame in stack.frames)] += stack.count
    assert found == expected


def test_speedscope_tells_modules() -> None:
    found = counted(Stack((Frame("main", "/bin/x", False), Frame("read", "ext4", True)), 1, 1, 1, "x"))
    assert json.loads(written(speedscope, found))["shared"]["frames"] == [
        {"name": "x"}, {"name": "main", "file": "/bin/x"}, {"name": "read", "file": "[kernel]"},
    ]  # fmt: skip


# pprof


def fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """A message's fields, as the encoding's specification has them."""
    at = 0

    def number_() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(raw):
        key = number_()
        if key & 7 == 0:
            yield key >> 3, number_()
        else:
            assert key & 7 == 2
            size = number_()
            assert at + size <= len(raw)
            yield key >> 3, raw[at : at + size]
            at += size


def packed(raw: bytes) -> list[int]:
    return [value for _, value in fields(b"".join(b"\x08" + part for part in _each(raw)))]


def _each(raw: bytes) -> Iterator[bytes]:
    for match in re.finditer(rb"[\x80-\xff]*[\x00-\x7f]", raw, re.DOTALL):
        yield match[0]


class Read:
    """A Profile, read by its definition alone."""

    def __init__(self, raw: bytes) -> None:
        parts: dict[int, list[int | bytes]] = {}
        for field, value in fields(gzip.decompress(raw)):
            parts.setdefault(field, []).append(value)
        self.parts = parts
        self.texts = [text.decode("utf-8") for text in parts[6]]
        assert self.texts[0] == ""
        functions = {one[1]: one for one in map(dict, map(fields, parts.get(5, [])))}
        self.mappings = {one[1]: self.texts[one[5]] for one in map(dict, map(fields, parts.get(3, [])))}
        self.locations = {}
        for location in map(dict, map(fields, parts.get(4, []))):
            line = dict(fields(location[4]))
            name = self.texts[functions[line[1]][2]] if 2 in functions[line[1]] else ""
            self.locations[location[1]] = (name, self.mappings[location[2]] if 2 in location else "")
        self.kinds = [tuple(self.texts[n] for _, n in fields(kind)) for kind in parts[1]]

    def samples(self) -> Iterator[tuple[list[tuple[str, str]], list[int], dict[str, str | int]]]:
        for sample in self.parts.get(2, []):
            values: dict[int, bytes] = {}
            labels: dict[str, str | int] = {}
            for field, value in fields(sample):
                if field == 3:
                    label = dict(fields(value))
                    text = self.texts[label.get(2, 0)]
                    labels[self.texts[label[1]]] = label.get(3, 0) if self.texts[label[1]] == "pid" else text
                else:
                    values[field] = value
            yield [self.locations[place] for place in packed(values[1])], packed(values[2]), labels


@given(lists, st.sampled_from([0, PERIOD]))
def test_pprof_files_hold_every_name_and_count(given_stacks: list[Stack], period: int) -> None:
    read = Read(written(pprof, counted(*given_stacks, period=period)))
    assert read.kinds == [("samples", "count"), *([("cpu", "nanoseconds")] if period else [])]
    assert read.parts[9] == [START]
    assert read.parts[10] == [5 * SECOND]
    found: Counter[tuple[object, ...]] = Counter()
    for leaf_first, values, labels in read.samples():
        assert values[1:] == ([values[0] * period] if period else [])
        path = [(unescaped(name), unescaped(module)) for name, module in reversed(leaf_first)]
        found[unescaped(str(labels["comm"])), labels["pid"], tuple(path)] += values[0]
    expected: Counter[tuple[object, ...]] = Counter()
    for stack in given_stacks:
        path = [(named(f.name), "[kernel]" if f.kernel else f.module) for f in stack.frames]
        expected[named(stack.comm), stack.pid, tuple(path)] += stack.count
    assert found == expected


def test_the_period_of_samples_is_told() -> None:
    read = Read(written(pprof, counted(*hostile(), period=PERIOD)))
    assert read.parts[12] == [PERIOD]
    assert 12 not in Read(written(pprof, counted(*hostile()))).parts
    assert period_ns(SAMPLES, STATE) == PERIOD
    assert period_ns(SAMPLES, None) == period_ns(SAMPLES, ToolState("x", STATE.phase)) == 0
    assert period_ns(SAMPLES, replace(STATE, options={"frequency": -1})) == 0


@pytest.mark.parametrize(
    ("value", "raw"), [(0, b"\0"), (1, b"\1"), (127, b"\x7f"), (300, b"\xac\2"), (-1, b"\xff" * 9 + b"\1")]
)
def test_numbers_as_the_specification_writes_them(value: int, raw: bytes) -> None:
    assert varint(value) == raw
    assert number(1, 150) == b"\x08\x96\x01"
    assert numbers(6, [3, 270, 86942]) == bytes.fromhex("3206038e029ea705")


# Events that carry their stacks


ROW = np.dtype([("ts", "u8"), ("pid", "u4"), ("comm", "S16"), ("user", "S64"), ("kernel", "S64")])


def functions(field: str) -> object:
    def derive(batch: Batch, _names: Names) -> list[Value]:
        return [raw.decode("utf-8", "surrogateescape").split("|") if raw else None for raw in batch[field].tolist()]

    return derive


EVENTS = Tool(
    "calls", "7", Kind.EVENTS, "", "", (),
    (
        Column("ts", "TIME", Type.TIME, ""), Column("pid", "PID", Type.INT, ""), Column("comm", "COMM", Type.TEXT, ""),
        Column("kstack", "KSTACK", Type.STACK, "", derive=functions("kernel")),
        Column("stack", "STACK", Type.STACK, "", derive=functions("user")),
    ),
    stacks=True,
)  # fmt: skip


def test_events_count_once_each_by_their_columns_of_stacks() -> None:
    twice = (START, 1, b"a", b"_start|main", b"do_syscall|vfs_open")
    rows = [
        twice, twice, (START, 2, b"a", b"_start|main", b""), (START, 2, b"b\xff", b"", b"kthread"),
        (START, 3, b"c", b"", b""),
    ]  # fmt: skip
    counter = StackCounter(EVENTS)
    assert has_stacks(EVENTS)
    assert not has_stacks(replace(EVENTS, columns=EVENTS.columns[:3]))
    counter.add(Tick("calls", START, START + 1, events=(np.array(rows, ROW), np.zeros(0, ROW))), {})
    counts = counter.counts()
    assert (counts.what, counts.total, counts.without) == ("events", 4, 1)
    lines = ["a;_start;main 1", "a;_start;main;do_syscall_[k];vfs_open_[k] 2", "b\\xff;kthread_[k] 1"]
    assert sorted(written(folded, counts).decode().splitlines()) == lines
    assert Read(written(pprof, counts)).kinds == [("events", "count")]


def test_an_event_tool_without_stacks_has_nothing_to_count() -> None:
    counter = StackCounter(replace(EVENTS, columns=EVENTS.columns[:3]))
    counter.add(Tick("calls", START, START + 1, events=(np.zeros(4, ROW),)), {})
    assert counter.counts().stacks == ()
