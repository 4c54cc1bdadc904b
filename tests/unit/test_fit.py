"""A capture that was taken over, seen from the screen's side: only WireError comes out, whatever it says."""

from __future__ import annotations

import io
import os
import random
import resource
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ebtop import arena, registry
from ebtop.capture.program import Program
from ebtop.export.formats import FORMATS
from ebtop.model.history import History
from ebtop.processrow import ROW
from ebtop.source.fit import Fit, UnfitError
from ebtop.source.live import LiveSource
from ebtop.source.wire import Reader, WireError, Writer
from ebtop.tick import Frame, Gone, Histogram, Message, Phase, Stack, Tick, ToolState, Vitals
from ebtop.tool import Batch, Kind, Tool, values
from tests.unit.planned import PLAN

TOOLS = {tool.name: tool for tool in registry.as_planned([PLAN])}
EVENTS = [name for name, tool in TOOLS.items() if tool.kind is Kind.EVENTS]
NOW = 1_790_000_000_000_000_000


def layouts(tool: Tool, role: str) -> list[np.dtype[np.void]]:
    """Those of the records that its program makes; of processes the row of their contract."""
    if tool.kind is Kind.PROCESSES:
        return [ROW] if role == "rows" else []
    records = Program(tool.name, tool, 2).records
    return [records[ring.struct] for ring in tool.rings if ring.role == role]


def noise(chance: random.Random, dtype: np.dtype[np.void], count: int) -> Batch:
    """Records of that layout that hold anything."""
    raw = chance.randbytes(dtype.itemsize * count) if chance.random() < 0.8 else b"\xff" * dtype.itemsize * count
    return np.frombuffer(raw, dtype)


def hostile(chance: random.Random, tool: Tool) -> Tick:
    """A tick whose layout is right and whose values are not."""
    odd = ["", "\x1b[2J", "\udcff", "x" * 5000, "\u202e", "\n"]
    stacks = (Stack((Frame(chance.choice(odd), "", True),), 1 << 63, -1, 0, chance.choice(odd)),) * 3
    counts = np.frombuffer(chance.randbytes(8 * (tool.buckets.count if tool.buckets else 0)), np.uint64)
    groups = ("all", "pid", "cgroup")
    late: dict[str, dict[int, str | int]] = {c.key: {n: n - 5 for n in range(9)} for c in tool.columns if c.late}
    rows = layouts(tool, "rows")
    return Tick(
        tool.name, chance.randrange(1 << 63), chance.randrange(1 << 63),
        events=tuple(noise(chance, d, 3 if d.itemsize < 20_000 else 1) for d in layouts(tool, "events")),
        rows=noise(chance, rows[0], 2 if rows[0] is not ROW else 40) if rows else None,
        gauges={"cpu0": chance.choice([1e308, -1e300]), "memory_total": 1e308, "psi_cpu": -5.0, chance.choice(odd): 1},
        histograms=tuple(Histogram(g, 5, chance.choice(odd), counts) for g in groups) if tool.buckets else (),
        stacks=stacks if tool.kind is Kind.STACKS else (),
        names={"cgroup": {1: chance.choice(odd)}, "dir": {7: chance.choice(odd)}} | late,
        lost={chance.choice(odd): 1 << 60},
    )  # fmt: skip


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("seed", range(3))
def test_any_values_are_shown(name: str, seed: int) -> None:
    """What fits goes through everything that takes it: history, columns, all three outputs."""
    tool, chance = TOOLS[name], random.Random(seed)
    fit, history, exporters = Fit(TOOLS.values()), History(list(TOOLS.values())), [f(Sink()) for f in FORMATS.values()]
    for exporter in exporters:
        exporter.begin(tool, ())
    for _ in range(2):
        tick = hostile(chance, tool)
        fit.check(tick)
        history.add(tick)
        names = history.tool(name).names
        for column in tool.columns:
            for batch in (*tick.events, *([tick.rows] if tool.kind is Kind.PROCESSES else [])):
                assert len(values(column, batch, names)) == len(batch)
        for exporter in exporters:
            exporter.tick(tool, tick, names)


class Sink(io.BytesIO):
    def isatty(self) -> bool:
        return False


def changed(dtype: np.dtype[np.void], **fields: Any) -> np.dtype[np.void]:
    """The layout with some fields of other types; None leaves a field out."""
    pairs = {name: dtype[name] for name in dtype.names or ()} | fields
    return np.dtype([(name, kind) for name, kind in pairs.items() if kind is not None])


def unfit(tool: Tool) -> Iterator[Tick]:
    """Ticks whose layouts are not the tool's."""
    plain = Tick(tool.name, NOW, NOW + 1)
    for dtype in layouts(tool, "events"):
        for column in tool.columns:
            if column.derive is None:
                for other in (None, "f8", "S4" if dtype[column.key].kind != "S" else "u4", ("u4", (2,))):
                    yield replace(plain, events=(np.zeros(1, changed(dtype, **{column.key: other})),))
    for dtype in layouts(tool, "rows"):
        yield replace(plain, rows=np.zeros(1, changed(dtype, **{tool.row_key: None})))
        late = next(column.key for column in tool.columns if column.late and column.key in (dtype.names or ()))
        yield replace(plain, rows=np.zeros(1, changed(dtype, **{late: "S8"})))
    yield replace(plain, names={"cgroup": {1: 2}})
    yield replace(plain, stacks=(Stack((), 1, 1, 1, ""),))
    yield replace(plain, histograms=(Histogram("all", 0, "all", np.zeros(3, np.uint64)),))
    yield replace(plain, start=-1)
    yield replace(plain, end=1 << 63)
    yield replace(plain, lost={"x": -1})
    yield replace(plain, tool="no such tool")


@pytest.mark.parametrize("name", EVENTS)
def test_what_the_tool_does_not_declare_is_refused(name: str) -> None:
    ticks = list(unfit(TOOLS[name]))
    assert len(ticks) > 20
    for tick in ticks:
        with pytest.raises(UnfitError) as caught:
            Fit(TOOLS.values()).check(tick)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("name", "field"),
    [("opensnoop", "dir"), ("opensnoop", "flags"), ("execsnoop", "argc"), ("execsnoop", "args"),
     ("execsnoop", "exec_id"), ("tcpconnect", "saddr"), ("tcpconnect", "family")],
)  # fmt: skip
@pytest.mark.parametrize("other", [None, "f8", "S3", ("u4", (2,))], ids=str)
def test_what_columns_are_made_from_must_be_there(name: str, field: str, other: Any) -> None:
    tool = TOOLS[name]
    tick = Tick(name, NOW, NOW, events=(np.zeros(1, changed(layouts(tool, "events")[0], **{field: other})),))
    odd = {"family": ("f8", "S3", ("u4", (2,))), "dir": ("f8", "S3"), "args": ("S3",)}
    if other in odd.get(field, ()):
        Fit(TOOLS.values()).check(tick)  # odd, and yet a column can be made from it
    else:
        with pytest.raises(UnfitError):
            Fit(TOOLS.values()).check(tick)


@pytest.mark.parametrize("name", [n for n in TOOLS if n not in EVENTS])
def test_aggregates_have_no_events(name: str) -> None:
    record = layouts(TOOLS[EVENTS[0]], "events")[0]
    with pytest.raises(UnfitError):
        Fit(TOOLS.values()).check(Tick(name, NOW, NOW, events=(np.zeros(1, record),)))


@pytest.mark.parametrize("field", [*(ROW.names or ())])
@pytest.mark.parametrize("other", [None, "f8", ("u4", (2,))], ids=str)
def test_rows_of_processes_are_whole(field: str, other: Any) -> None:
    """Views rely on every field of the contract, and columns are made from some."""
    name = next(tool.name for tool in TOOLS.values() if tool.kind is Kind.PROCESSES)
    Fit(TOOLS.values()).check(Tick(name, NOW, NOW, rows=np.zeros(3, ROW)))
    Fit(TOOLS.values()).check(Tick(name, NOW, NOW, rows=np.zeros(3, changed(ROW, more="u8"))))
    with pytest.raises(UnfitError):
        Fit(TOOLS.values()).check(Tick(name, NOW, NOW, rows=np.zeros(1, changed(ROW, **{field: other}))))


def test_others() -> None:
    fit = Fit(TOOLS.values())
    for message in (ToolState("evil", Phase.RUNNING), Vitals("h", "k", 1, -1.0, 0.0, 0), Vitals("h", "k", -1, 1, 0, 0)):
        with pytest.raises(UnfitError):
            fit.check(message)
    fit.check(ToolState("runqlat", Phase.RUNNING))


def test_ever_new_layouts_are_not_remembered_for_ever() -> None:
    tool, fit = TOOLS["tcpconnect"], Fit(TOOLS.values())
    record = layouts(tool, "events")[0]
    with pytest.raises(UnfitError, match="ever new"):
        for number in range(1000):
            fit.check(Tick(tool.name, NOW, NOW, events=(np.zeros(1, changed(record, **{f"more{number}": "u4"})),)))


def test_a_length_that_lies_costs_nothing() -> None:
    tool = TOOLS["execsnoop"]
    batch = np.zeros(50, layouts(tool, "events")[0])
    batch["args_len"], batch["argc"] = (1 << 32) - 1, (1 << 32) - 1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert all(len(str(cell)) < 5000 for cell in values(tool.column("argv"), batch, {}))  # type: ignore[arg-type]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize("half", ["\ud800", "a\udfff", "\ud83d"])
def test_half_a_character_is_no_text(half: str) -> None:
    ticks = (Tick(EVENTS[0], 1, 2, names={"cgroup": {1: half}}), Tick(EVENTS[0], 1, 2, names={half: {}}),
             Tick(EVENTS[0], 1, 2, lost={half: 1}), Gone(half))  # fmt: skip
    for message in ticks:
        with pipe_of(message) as file, pytest.raises(WireError, match="half a character"):
            list(Reader(file))


def pipe_of(*messages: Message) -> io.BufferedReader:
    fd = os.memfd_create("stream")
    writer = Writer(fd)
    for message in messages:
        writer.send(message)
    os.lseek(fd, 0, os.SEEK_SET)
    return os.fdopen(fd, "rb")


class NoKeeper:
    """Notes whether it was asked to end capture."""

    asked = 0

    def why(self) -> str:
        self.asked += 1
        return "it hung"


def read_live(stream: bytes) -> tuple[list[Message], int]:
    """What a LiveSource makes of a capture that writes this."""
    reading, writing = os.pipe()
    thread = threading.Thread(target=lambda: (_write_all(writing, stream), os.close(writing)))
    thread.start()
    ours, theirs = os.pipe()
    keeper = NoKeeper()
    shared = arena.make()
    source = LiveSource(keeper, theirs, reading, shared.read, shared.marks)  # type: ignore[arg-type]
    os.close(shared.write)
    messages = list(source.messages())
    os.close(reading)
    thread.join()
    source.close()
    os.close(ours)
    return messages, keeper.asked


def _write_all(fd: int, stream: bytes) -> None:
    try:
        while stream:
            stream = stream[os.write(fd, stream) :]
    except BrokenPipeError:
        return


def stream_of(*messages: Message) -> bytes:
    with pipe_of(*messages) as file:
        return file.read()


def test_a_live_source_ends_capture_that_says_what_cannot_be() -> None:
    good = hostile(random.Random(1), TOOLS["opensnoop"])
    bad = Tick("opensnoop", NOW, NOW, events=(np.zeros(1, np.dtype([("ts", "<u8")])),))
    messages, asked = read_live(stream_of(good, bad, good))
    assert [type(m) for m in messages] == [Tick, Gone]
    assert asked == 1
    assert messages[1].reason == "capture was ended: it sends what cannot be: pid of opensnoop"  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", range(60))
def test_mutated_messages_give_messages_and_then_gone(seed: int) -> None:
    chance = random.Random(seed)
    tool = chance.choice(list(TOOLS.values()))
    stream = bytearray(stream_of(ToolState(tool.name, Phase.RUNNING), hostile(chance, tool), Gone("")))
    text_end = min(len(stream), 3000)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(32, text_end if chance.random() < 0.8 else len(stream))
        stream[at] = chance.choice([chance.randrange(256), *b'0129-[]{}",ntf'])
    messages, _asked = read_live(bytes(stream))
    assert isinstance(messages[-1], Gone)
    history = History(list(TOOLS.values()))
    for message in messages:
        history.add(message)
        if isinstance(message, Tick):
            for exporter in (f(Sink()) for f in FORMATS.values()):
                exporter.begin(TOOLS[message.tool], ())
                exporter.tick(TOOLS[message.tool], message, message.names)
