"""The stacks of events: from what a program tells to names, from names to columns, and how long they are kept."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from ebtop import eventstack, registry
from ebtop.capture import eventstacks
from ebtop.capture.eventstacks import EventStacks
from ebtop.capture.program import bpf_folder
from ebtop.capture.records import layouts
from ebtop.capture.stacks import StackNamer
from ebtop.capture.userstacks import CUT
from ebtop.export.csv import CsvExporter
from ebtop.export.json import JsonExporter
from ebtop.export.table import TableExporter
from ebtop.model.filter import parse
from ebtop.model.history import History
from ebtop.model.told import Recent, Told
from ebtop.resolve.symbols import UNKNOWN, Symbolizer, UserFrame
from ebtop.tick import Frame, Tick
from ebtop.tool import Batch, Type, values
from tests.ui import synthetic

TOOLS = registry.tools()
ABLE = [tool for tool in TOOLS if tool.stacks]
OPENS = next(t for t in ABLE if t.column("abspath"))
SECOND = 1_000_000_000
HEADERS = ("user_frame.h", "user_stack_fields.h", "event_stack.h")


class Names(Symbolizer):
    """Names addresses after their numbers; 13 is not known. `asked` counts."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def kernel(self, addresses: list[int]) -> list[Frame]:  # type: ignore[override]
        self.asked += 1
        return [Frame(KERNEL.get(address, f"k{address}"), "kernel", True) for address in addresses]

    def user(self, pid: int, frames: list[UserFrame]) -> list[Frame]:  # type: ignore[override]
        return [
            Frame(UNKNOWN, "libodd.so", False) if f.value == 13 else Frame(f"p{pid}u{f.value}", "x", False)
            for f in frames
        ]


KERNEL = {1: "bpf_prog_77_exit_raw", 2: "bpf_trace_run2", 3: "__traceiter_sys_exit", 4: "bpf_of_its_own"}


def record_layout() -> np.dtype[np.void]:
    text = "".join((bpf_folder() / "include" / name).read_text() for name in HEADERS)
    return layouts(text)["event_stack"]


def told(*stacks: tuple[int, int, list[int], list[int]]) -> Batch:
    """Records of (id, pid, kernel addresses, user addresses), innermost first."""
    batch = np.zeros(len(stacks), record_layout())
    batch["kernel"] = 999  # what a ring held before
    for row, (key, pid, kernel, user) in zip(batch, stacks, strict=True):
        row["id"], row["pid"], row["kernel_size"], row["user_size"] = key, pid, 8 * len(kernel), 32 * len(user)
        row["kernel"][: len(kernel)] = kernel
        row["user"]["status"][: len(user)] = 2
        row["user"]["value"][: len(user)] = user
    return batch


def test_the_layout_is_the_kernels():
    layout = record_layout()
    assert layout["user"].base.itemsize == 32  # struct bpf_stack_build_id
    assert layout.itemsize == 80 + 64 * 8 + 127 * 32 + 4096


def test_functions_come_root_first_and_without_the_tracer():
    found, dropped = EventStacks(StackNamer(Names())).named([told((7, 42, [1, 2, 3, 50, 4, 51], [5, 13, 6]))])
    assert dropped == 0
    assert eventstack.read(found["stack"][7]) == ["p42u6", "[unknown] libodd.so", "p42u5"]
    assert eventstack.read(found["kstack"][7]) == ["k51", "bpf_of_its_own", "k50"]


def test_parts_that_could_not_be_walked_are_empty():
    batch = told((1, 42, [50], []), (2, 42, [], [5]))
    batch["user_size"][0], batch["kernel_size"][1] = -14, -14
    found, _ = EventStacks(StackNamer(Names())).named([batch])
    assert [eventstack.read(found[domain][key]) for key in (1, 2) for domain in eventstack.DOMAINS] == [
        [], ["k50"], ["p42u5"], [],
    ]  # fmt: skip


def test_a_stack_deeper_than_a_record_says_so():
    found, _ = EventStacks(StackNamer(Names())).named([told((1, 2, [], list(range(100, 227))))])
    frames = eventstack.read(found["stack"][1])
    assert isinstance(frames, list)
    assert (len(frames), frames[0], frames[1]) == (128, CUT, "p2u226")


def test_what_was_named_whole_is_not_named_again():
    names = Names()
    stacks = EventStacks(StackNamer(names))
    for _ in range(3):
        stacks.named([told((1, 2, [50], [5]), (2, 2, [50], [13]))])
    assert names.asked == 1 + 3  # the one with an unknown function may be known better later


def test_more_than_a_tick_can_tell_is_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(eventstacks, "MOST_AT_ONCE", 100)
    found, dropped = EventStacks(StackNamer(Names())).named([told(*((n, 2, [50], [n]) for n in range(1, 101)))])
    assert len(found["stack"]) + dropped == 100
    assert 0 < len(found["stack"]) < 10


def test_a_name_of_any_length_is_cut():
    long = eventstacks.function(Frame("f" * 100_000, "x", False))
    assert len(long) == eventstacks.LONGEST_NAME + 1


def test_every_text_of_functions_comes_back():
    for frames in (["main"], [], ['"\\', "\udcff\x1b", "größe", "a, b"]):
        text = eventstack.written(frames)
        assert text.isascii()
        assert eventstack.read(text) == frames


@pytest.mark.parametrize("text", ["", "{", "7", "null", '{"a": 1}', "[" * 100_000, "9" * 5000, "plain"])
def test_what_is_no_list_is_one_function(text: str):
    assert eventstack.read(text) == [text]


def test_odd_lists_are_lists_of_text():
    assert eventstack.read('[1, null, ["x"], "\\ud800"]') == ["1", "None", "['x']", "\ud800"]


@pytest.mark.parametrize("tool", ABLE, ids=lambda t: t.name)
def test_the_columns_of_a_tool(tool):
    assert [c.key for c in tool.columns[-2:]] == list(eventstack.DOMAINS)
    assert all(c.hidden and c.type is Type.STACK for c in tool.columns[-2:])
    assert eventstack.ID not in {c.key for c in tool.columns}
    assert [c.key for c in eventstack.without(tool).columns] == [c.key for c in tool.columns[:-2]]
    tick = synthetic.tick(tool, 0, 200, stacks=True)
    ids = tick.events[0][eventstack.ID].tolist()
    for column in tool.columns[-2:]:
        expected = [synthetic.STACKS[column.key][key - 1] if key else None for key in ids]
        found = values(column, tick.events[0], tick.names)
        assert found == expected
        assert len({id(frames) for frames in found}) == len(set(ids))
        assert values(column, tick.events[0], {}) == [None] * len(ids)


@pytest.mark.parametrize("tool", ABLE, ids=lambda t: t.name)
def test_json_csv_and_table(tool):
    tick = synthetic.tick(tool, 0, 200, stacks=True)
    as_json, as_csv, as_table, notes = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.StringIO()
    for exporter in (JsonExporter(as_json), CsvExporter(as_csv, notes), TableExporter(as_table, notes)):
        exporter.begin(tool, ())
        exporter.tick(tool, tick, tick.names)
    lines = [json.loads(line) for line in as_json.getvalue().splitlines()]
    events = [line for line in lines if line["type"] == "event"]
    ids = sorted(key for batch in tick.events for key in batch[eventstack.ID].tolist())
    expected = sorted(json.dumps(synthetic.STACKS["stack"][key - 1] if key else None) for key in ids)
    assert sorted(json.dumps(event["stack"]) for event in events) == expected
    rows = list(csv.DictReader(io.StringIO(as_csv.getvalue().decode("utf-8", "surrogateescape"))))
    written = [json.dumps(json.loads(row["stack"]) if row["stack"] else None) for row in rows if row["type"] == "event"]
    assert sorted(written) == expected
    below = as_table.getvalue().decode().splitlines().count(" " * 12 + "load_config")
    assert below == sum("load_config" in synthetic.STACKS["stack"][key - 1] for key in ids if key) > 0


def test_a_filter_by_a_function():
    tick = synthetic.tick(OPENS, 0, 200, stacks=True)
    batch = tick.events[0]
    found = parse(OPENS, "stack~load_con").mask(batch, tick.names)
    assert found.tolist() == [key == 1 for key in batch[eventstack.ID].tolist()]
    assert found.any()
    assert parse(OPENS, "kstack~sys_connect stack!~main").mask(batch, tick.names).sum() > 0
    assert not parse(OPENS, "stack=main").mask(batch, {}).any()


def texts(first: int, count: int, size: int = 100) -> dict[int, str | int]:
    return {key: str(key) * (size // len(str(key))) for key in range(first, first + count)}


def test_what_is_told_again_is_held_once_until_it_was_told_long_ago():
    held = Told()
    first = held.learn(1, texts(10, 3))
    one = held.nbytes
    again = held.learn(2, texts(10, 2))
    assert held.nbytes == one
    assert all(again[key] is first[key] for key in again)
    held.forget(2)
    assert set(held.texts) == {10, 11}
    held.forget(3)
    assert (held.texts, held.nbytes) == ({}, 0)


def test_a_copy_changes_only_with_what_is_held():
    held = Told()
    names = held.learn(1, texts(1, 2))
    copy = held.frozen()
    held.learn(2, names)
    assert held.frozen() is copy
    held.learn(3, {1: "another"})
    assert held.frozen() is not copy
    assert copy[1] != "another"


def test_texts_of_the_last_seconds():
    recent = Recent(["stack"], keep_ns=5 * SECOND)
    for second in range(20):
        known = recent.learn(second * SECOND, {"stack": texts(second * 10, 10), "dir": {1: "/"}})
    assert set(known) == {"stack"}
    assert set(known["stack"]) == set(range(140, 200))


def stack_tick(number: int, ids: range, size: int) -> Tick:
    tick = synthetic.tick(OPENS, number, 10)
    frames = {key: eventstack.written([f"function_{key}" * (size // 12)]) for key in ids}
    return Tick(tick.tool, tick.start, tick.end, tick.events, names={"stack": frames, "kstack": frames})


def test_history_counts_stacks_in_its_budget():
    budget = 2_000_000
    held = History(TOOLS, budget)
    for number in range(300):
        held.add(stack_tick(number, range(number * 100, number * 100 + 100), 1200))
    snapshot = held.tool(OPENS.name)
    assert held.nbytes <= budget
    size = sum(len(str(text)) for domain in eventstack.DOMAINS for text in snapshot.names[domain].values())
    assert 0.5 * budget < size <= budget
    told_by = {key for tick in snapshot.ticks for key in tick.names["stack"]}
    assert len(told_by) > 200
    assert set(snapshot.names["stack"]) == {key for key in range(300 * 100) if key >= min(told_by) - 300}  # 2 seconds


def test_stacks_told_every_second_leave_room_for_the_events():
    held = History(TOOLS, 2_000_000)
    for number in range(300):
        held.add(stack_tick(number, range(50), 1200))
    snapshot = held.tool(OPENS.name)
    assert len(snapshot.ticks) > 60  # each alone is 120 kB of text
    texts_held = {id(tick.names["stack"][7]) for tick in snapshot.ticks}
    assert len(texts_held) == 1


def test_the_ring_of_stacks_is_read_after_those_of_events():
    """A stack is submitted before the event that has its id: rings are read in the order in which they are declared."""
    for tool in ABLE:
        roles = [ring.role for ring in tool.rings]
        assert roles.index("event stacks") > max(n for n, role in enumerate(roles) if role == "events")
