"""The protocol: every message arrives as it was sent, and nothing but WireError comes out of anything else."""

from __future__ import annotations

import os
import struct
import threading
from typing import Any

import numpy as np
import pytest

from ebtop import tick as t
from ebtop.attachpoint import Argument, Point, PointKind
from ebtop.probing.plan import Form, Mode, Parameter, Place, Plan, Planned, Probing, Sides, Site
from ebtop.source import wire, wire_tick
from ebtop.source.wire import CommandReader, Reader, WireError, Writer

OPEN = np.dtype([("ts", "<u8"), ("ret", "<i4"), ("uid", "<u4"), ("comm", "S16"), ("path", "S64")])
CONNECT = np.dtype([("ts", "<u8"), ("family", "<u2"), ("saddr", "u1", (16,)), ("ok", "?"), ("load", "<f4")])
PADDED = np.dtype({"names": ["ts", "x"], "formats": ["<u8", "u1"], "offsets": [8, 3], "itemsize": 24})

FRAMES = (t.Frame("main", "a.out", False), t.Frame("[unknown]", "libc.so.6", False), t.Frame("do_exit", "kernel", True))
ARGUMENT = Parameter("a", "int", 4, True, Form.NUMBER, Place.MEMORY, -8, "bp", "ax", 4)
ODD = b"\x1b]0;\xff\xc3\xa9\n".decode("utf-8", "surrogateescape")
POINT = Planned(ODD, PointKind.USDT, ODD, Sides.BOTH, (ARGUMENT,), ARGUMENT, (Site(ODD, 1, 2, 3, 4),))


def records(dtype: np.dtype[Any], count: int) -> Any:
    raw = np.random.default_rng(1).integers(0, 127, count * dtype.itemsize, dtype=np.uint8)
    made = raw.view(dtype)
    for name in dtype.names or ():
        if dtype[name] == np.dtype("?"):
            made[name] = made[name].view("u1") & 1
    return made


FULL_TICK = t.Tick(
    tool="example",
    start=1_763_705_645_000_000_000,
    end=(1 << 64) - 1,
    events=(records(OPEN, 1009), records(CONNECT, 3), records(PADDED, 5)),
    rows=records(CONNECT, 1),
    histograms=(
        t.Histogram("all", 0, "all", np.arange(140, dtype=np.uint64)),
        t.Histogram("pid", 12, ODD, np.array([1, (1 << 64) - 1], dtype=np.uint64)),
        t.Histogram("cgroup", (1 << 64) - 1, "/a", np.array([], dtype=np.uint64)),
    ),
    stacks=(
        t.Stack(FRAMES, 3, 1, 2, "bash"),
        t.Stack(FRAMES[:1], 4, 1, 2, ODD),
        t.Stack((), 1, 0, 0, ""),
    ),
    names={"cgroup": {(1 << 64) - 1: "/é", 0: ODD}, "exit_code": {7: 0, 8: -9}, "none": {}},
    gauges={"load1": 0.25, "cpu0": 1},
    lost={"full": 3, "cut": 0},
    cost=t.Cost(5, 6),
)
MESSAGES: list[t.Message] = [
    FULL_TICK,
    t.Tick("empty", 0, 0),
    t.Tick("no records", 0, 0, events=(records(OPEN, 0),)),
    t.ToolState("x", t.Phase.FAILED, ("kprobe:a",), (t.Attempt("kprobe:a", ODD),), "why", "do"),
    t.ToolState("x", t.Phase.RUNNING, stacks=True, options={"frequency": 99}),
    t.Vitals("host", "6.8.0", 2, 12.25, 0.004, 1 << 40, "pid 1", 3, 1 << 24),
    t.ProcessDetails(7, True, ODD, "/x", "/", "root", "/c", "", ("a", ""), (t.Ancestor(1, "init", ("i",)),), 1, 2, 3.5),
    t.ProcessDetails(
        8,
        True,
        uid=0,
        gid=(1 << 32) - 1,
        groups=(4, 5),
        state="Z",
        capabilities=("CAP_KILL",),
        all_capabilities=True,
        namespaces=(t.Namespace("mnt", 4026531840, True),),
        children=(t.Ancestor(9, ODD),),
        start=1 << 60,
    ),
    t.FoundPoints(
        ODD, 3, (Point(PointKind.KPROBE, ODD, "no", (Argument("", "int"),), "void"), Point(PointKind.USDT, "x"))
    ),
    t.FoundPoints("", 0, problem=ODD),
    Plan("x", Mode.DIST, (POINT,), ODD, "a", 1 << 40),
    t.Notice(ODD, True),
    t.Gone("killed"),
]
COMMANDS: list[t.Command] = [
    t.Load("profile", {"frequency": 99}),
    t.Load("x", probing=Probing((ODD, "y"), Mode.LATENCY, ODD, ODD, 1 << 40, (ODD,), hot=True)),
    t.Unload("x"),
    t.TakeStacks("x", on=True),
    t.SetFocus(t.Focus((1, 2), True, (ODD,), 0, "/sys")),
    t.SetFocus(t.Focus()),
    t.Resolve(1),
    t.FindPoints(ODD),
    t.Stop(),
]


def sent(*messages: t.Message | t.Command) -> bytes:
    """The stream that these messages make."""
    fd = os.memfd_create("stream")
    try:
        writer = Writer(fd)
        for message in messages:
            writer.send(message)
        return os.pread(fd, 1 << 28, 0)
    finally:
        os.close(fd)


def received(stream: bytes, reader: type[Any] = Reader, **limits: int) -> list[Any]:
    fd = os.memfd_create("stream")
    try:
        os.pwrite(fd, stream, 0)
        return list(reader(fd, **limits))
    finally:
        os.close(fd)


def same(a: Any, b: Any) -> bool:
    """Equality that knows arrays (values and layout) and tells 1 from True."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if type(a) is not type(b):
        return False
    if hasattr(a, "__dataclass_fields__"):
        return all(same(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)  # their order says nothing
    return bool(a == b)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_messages_arrive_as_sent(message: t.Message) -> None:
    (got,) = received(sent(message))
    assert same(got, message), got


@pytest.mark.parametrize("command", COMMANDS, ids=lambda m: type(m).__name__)
def test_commands_arrive_as_sent(command: t.Command) -> None:
    (got,) = received(sent(command), CommandReader)
    assert same(got, command), got


def test_every_message_is_tried_here() -> None:
    assert {type(m) for m in [*MESSAGES, *COMMANDS]} == set(wire.KINDS)
    assert {*wire.KINDS, t.Past} == {*t.Message.__args__, *t.Command.__args__}  # that one is for recordings only


def test_arrays_are_read_only_aligned_views() -> None:
    (got,) = received(sent(FULL_TICK))
    for array in (*got.events, got.rows, got.histograms[0].counts):
        assert not array.flags.writeable
        assert not array.flags.owndata
        assert array.ctypes.data % 8 == 0


def test_a_large_tick_through_a_pipe_with_slow_reader() -> None:
    tick = t.Tick("big", 1, 2, events=(records(OPEN, 50_021), records(OPEN, 3)), rows=records(PADDED, 1))
    reading, writing = os.pipe()

    def produce() -> None:
        writer = Writer(writing)
        for message in (tick, t.Gone(""), tick):
            writer.send(message)
        os.close(writing)

    thread = threading.Thread(target=produce)
    thread.start()
    got = list(Reader(reading))
    thread.join()
    os.close(reading)
    assert [type(m) for m in got] == [t.Tick, t.Gone, t.Tick]
    assert same(got[0], tick)
    assert same(got[2], tick)


def test_more_arrays_than_one_writev_takes() -> None:
    tick = t.Tick("many", 1, 2, events=tuple(records(OPEN, n % 3) for n in range(2000)))
    (got,) = received(sent(tick))
    assert same(got, tick)


def test_writes_that_the_kernel_cuts_short(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.writev
    calls = iter(range(100))  # a writer that forgets what was written would fill the memory

    def at_most_1009(fd: int, buffers: list[memoryview]) -> int:
        assert next(calls, None) is not None, "it writes without end"
        return os.write(fd, b"".join(buffers)[:1009])

    tick = t.Tick("x", 1, 2, events=(records(OPEN, 101), records(PADDED, 1), records(CONNECT, 33)))
    monkeypatch.setattr(os, "writev", at_most_1009)
    stream = sent(tick, t.Gone("x"))
    monkeypatch.setattr(os, "writev", whole)
    assert stream == sent(tick, t.Gone("x"))


def test_messages_that_are_sent_together_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = (t.Tick("x", 1, 2, events=(records(OPEN, 101),)), t.Gone("x"), t.Gone(ODD))
    whole, written = os.writev, []
    monkeypatch.setattr(os, "writev", lambda fd, buffers: written.append(fd) or whole(fd, buffers))
    fd = os.memfd_create("stream")
    try:
        writer = Writer(fd)
        with writer.together():
            for message in messages:
                writer.send(message)
            assert len(written) == 1  # the hello
        assert len(written) == 2
        assert os.pread(fd, 1 << 20, 0) == sent(*messages)
    finally:
        os.close(fd)


def test_much_that_is_sent_together_does_not_wait() -> None:
    flood = t.Tick("x", 1, 2, events=(records(OPEN, 2000),))
    fd = os.memfd_create("stream")
    try:
        writer = Writer(fd)
        with writer.together():
            writer.send(flood)
            assert os.pread(fd, 1 << 20, 0) == sent(flood)
            writer.send(t.Gone("x"))
        assert os.pread(fd, 1 << 20, 0) == sent(flood, t.Gone("x"))
    finally:
        os.close(fd)


def test_strided_and_big_endian_arrays_are_converted() -> None:
    big = records(OPEN, 7).astype(OPEN.newbyteorder(">"))
    strided = records(OPEN, 7)[::2]
    (got,) = received(sent(t.Tick("x", 1, 2, events=(big, strided))))
    assert got.events[0].tolist() == big.tolist()
    assert same(got.events[1], strided.copy())


def test_numpys_numbers_are_sent_as_numbers() -> None:
    stack = t.Stack(FRAMES, np.uint64(3), np.uint32(1), np.int32(2), "x")  # type: ignore[arg-type]
    (got,) = received(sent(t.Tick("x", np.uint64(1), 2, stacks=(stack,))))  # type: ignore[arg-type]
    assert same(got, t.Tick("x", 1, 2, stacks=(t.Stack(FRAMES, 3, 1, 2, "x"),)))


@pytest.mark.parametrize(
    "message",
    [
        t.Tick("x", 1, 2, events=(np.zeros(2, dtype=[("a", object)]),)),
        t.Tick("x", 1, 2, events=(np.zeros(2, dtype=[("a", [("b", "<u4")])]),)),
        t.Tick("x", 1, 2, events=(np.zeros((2, 2), dtype=OPEN),)),
        t.Vitals("h", "k", 1, float("nan"), 0, 0),
        t.Notice(b"bytes"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_written(message: t.Message) -> None:
    fd = os.memfd_create("stream")
    writer = Writer(fd)
    size = os.fstat(fd).st_size
    with pytest.raises(WireError):
        writer.send(message)
    assert os.fstat(fd).st_size == size
    writer.send(t.Gone("still fine"))
    os.lseek(fd, 0, os.SEEK_SET)
    assert list(Reader(fd)) == [t.Gone("still fine")]
    os.close(fd)


def test_limits_hold_on_both_sides() -> None:
    fd = os.memfd_create("stream")
    with pytest.raises(WireError, match="longer than"):
        Writer(fd, limit=100).send(t.Notice("x" * 100))
    os.close(fd)
    long = sent(t.Load("x" * wire.MAX_COMMAND))
    with pytest.raises(WireError, match="1048576 are allowed"):
        received(long, CommandReader)
    with pytest.raises(WireError, match="are allowed"):
        received(sent(FULL_TICK), limit=1000)


def test_directions_are_kept_apart() -> None:
    with pytest.raises(WireError, match="no place in this direction"):
        received(sent(t.Stop()))
    with pytest.raises(WireError, match="no place in this direction"):
        received(sent(t.Gone("")), CommandReader)


def test_another_version_is_one_line_with_both() -> None:
    stream = struct.pack("<8sI20s", b"\x89ebtop\r\n", 77, b"9.9\x1b[31m\n")
    with pytest.raises(WireError) as caught:
        received(stream)
    text = str(caught.value)
    assert "protocol 77" in text
    assert f"protocol {wire.VERSION}" in text
    assert text.isprintable()


@pytest.mark.parametrize("stream", [b"Welcome to web-03!\n", b"\x89ebtop\n" + bytes(24), b"W"])
def test_what_is_no_stream_is_said_so_at_once(stream: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, stream)  # and left open: the answer may not wait for 32 bytes
    with pytest.raises(WireError, match="no ebtop stream"):
        list(Reader(reading))
    os.close(reading)
    os.close(writing)


def test_truncated_anywhere() -> None:
    stream = sent(t.Notice("a"), t.Tick("x", 1, 2, events=(records(OPEN, 2),)))
    ends = {0: 0, 32: 0, len(sent(t.Notice("a"))): 1, len(stream): 2}
    for size in range(len(stream) + 1):
        if size in ends:
            assert len(received(stream[:size])) == ends[size]
        else:
            with pytest.raises(WireError, match="ends inside"):
                received(stream[:size])


def test_names_are_held_once_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_tick, "_MOST_KNOWN", 3)
    first = wire_tick.once("".join(["na", "me"]))
    assert wire_tick.once("".join(["na", "me"])) is first
    for number in range(100):
        assert wire_tick.once(f"name {number}") == f"name {number}"
        assert len(wire_tick._known) <= 3
