"""`--format json` to the letter of the contract."""

from __future__ import annotations

import errno
import io
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebtop.export.exporter import Summary
from ebtop.export.json import JsonExporter
from ebtop.export.timestamps import rfc3339, rfc3339_all
from ebtop.tick import Frame, Histogram, Stack, Tick
from ebtop.tool import Batch, Buckets, Column, Kind, Names, Tool, Type, Value, named

WHOLE = {"pid", "tid", "ppid", "uid", "ret", "sport", "dport", "latency_ns", "count", "total", "events", "lost"}
TEXT = {"comm", "path", "saddr", "daddr", "unit", "family", "container"}
MUST = {
    "event": set(),
    "row": set(),
    "histogram": {"unit", "buckets", "total"},
    "stack": {"frames", "count"},
    "lost": {"reason", "lost"},
    "summary": {"events", "lost", "duration_s", "probes"},
}  # fmt: skip


def breaches(written: bytes) -> list[str]:
    """What in a stream is not as the command line's contract has it."""
    found: list[str] = []
    seen: Counter[str] = Counter()
    objects = [json.loads(line) for line in written.decode("ascii").splitlines()]
    for one in objects:
        seen[one["type"]] += 1
        found += [f"{one['type']} without {key}" for key in {"tool", "ts", *MUST[one["type"]]} - one.keys()]
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", one["ts"]):
            found.append(f"ts {one['ts']}")
        for key, value in one.items():
            found += [f"key {key}"] if not re.fullmatch(r"[a-z][a-z0-9_]*", key) else []
            found += [f"{key}: {value!r}"] if key in WHOLE and value is not None and type(value) is not int else []
            found += [f"{key}: {value!r}"] if key in TEXT and value is not None and type(value) is not str else []
            found += [f"{key} is nested"] if isinstance(value, dict) else []
        if one["type"] == "histogram":
            edges = [(low, high) for low, high, _ in one["buckets"]]
            found += ["buckets"] if edges != sorted(edges) or any(low >= high for low, high in edges) else []
            found += ["total"] if sum(n for _, _, n in one["buckets"]) != one["total"] else []
    if not objects or objects[-1]["type"] != "summary" or seen["summary"] != 1:
        found.append("summary not once and last")
    elif objects[-1]["events"] != seen["event"]:
        found.append("events of the summary")
    return found


def flag_lists(batch: Batch, _names: Names) -> Sequence[Value]:
    shared = {0: [], 1: ["RDONLY"], 2: ["A\x1b", "B"]}
    return [shared[bits] for bits in batch["flags"].tolist()]


def argv_lists(batch: Batch, _names: Names) -> Sequence[Value]:
    return [[os.fsdecode(raw), ""] for raw in batch["path"].tolist()]


def waits(batch: Batch, _names: Names) -> Sequence[Value]:
    return [None if ns == 5 else ns for ns in batch["wait_ns"].tolist()]


EVENTS = Tool(
    name="sample",
    key="9",
    kind=Kind.EVENTS,
    title="",
    help="",
    slots=(),
    row_key="id",
    columns=(
        Column("ts", "TIME", Type.TIME, ""),
        Column("pid", "PID", Type.INT, ""),
        Column("ret", "RET", Type.RET, ""),
        Column("comm", "COMM", Type.TEXT, ""),
        Column("path", "PATH", Type.PATH, "", hidden=True),
        Column("wait_ns", "WAIT", Type.DURATION, "", derive=waits),
        Column("flags", "FLAGS", Type.FLAGS, "", derive=flag_lists),
        Column("argv", "ARGV", Type.ARGV, "", derive=argv_lists),
        Column("cut", "CUT", Type.BOOL, ""),
        Column("cgroup", "CGROUP", Type.TEXT, "", derive=named("cgroup", "cgroup")),
        Column("exit_code", "EXIT", Type.INT, "", late=True, derive=named("exit_code", "id")),
        Column("load", "LOAD", Type.COUNT, ""),
        Column("other", "OTHER", Type.TEXT, ""),
        Column("id", "ID", Type.INT, ""),
    ),
)
EVENT = np.dtype(
    [
        ("ts", "<u8"), ("id", "<u8"), ("cgroup", "<u8"), ("wait_ns", "<u8"), ("pid", "<u4"), ("ret", "<i4"),
        ("flags", "<u4"), ("cut", "<u4"), ("load", "<f8"), ("extra", "<u4"), ("comm", "S16"), ("path", "S32"),
    ]
)  # fmt: skip
LONG = np.dtype([(name, "S300" if name == "path" else EVENT[name]) for name in EVENT.names or ()])
ROW = np.dtype([("ts", "<u8"), ("id", "<u8"), ("exit_code", "<u4"), ("cgroup", "<u8"), ("cut", "u1"), ("x", "S4")])
T0 = 1_795_241_645_123_456_789  # 2026-11-21T06:14:05.123456789Z


def event(dtype: np.dtype[Any] = EVENT, **fields: object) -> Batch:
    one = np.zeros(1, dtype)
    for name, value in ({"ts": T0, "pid": 12, "ret": -2, "comm": b"sh"} | fields).items():
        one[name] = value
    return one


def lines(tool: Tool, *ticks: Tick, names: Names | None = None) -> list[dict[str, Any]]:
    stream = io.BytesIO()
    exporter = JsonExporter(stream)
    exporter.begin(tool, ("probe:a",))
    for tick in ticks:
        exporter.tick(tool, tick, names or {})
    exporter.end(Summary(tool.name, T0, sum(t.event_count for t in ticks), 0, 1.5, ("probe:a",)))
    assert not breaches(stream.getvalue())
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_line_to_the_letter() -> None:
    stream = io.BytesIO()
    batch = event(path=b'/x\xff\x1b"\x7f', wait_ns=7, flags=2, cut=1, cgroup=3, load=0.5, id=9, extra=4)
    JsonExporter(stream).tick(EVENTS, Tick("sample", 1, 2, events=(batch,)), {"cgroup": {3: "/a"}, "exit_code": {9: 1}})
    assert stream.getvalue().decode() == (
        '{"tool":"sample","type":"event","ts":"2026-11-21T06:14:05.123456789Z","pid":12,"ret":-2,"comm":"sh",'
        '"path":"/x\\udcff\\u001b\\"\\u007f","wait_ns":7,"flags":["A\\u001b","B"],'
        '"argv":["/x\\udcff\\u001b\\"\\u007f",""],"cut":true,"cgroup":"/a","exit_code":null,"load":0.5,"other":null,'
        '"id":9}\n'
    )


def test_values_that_are_not_known_are_null() -> None:
    batch = np.concatenate([event(wait_ns=5, load=float("nan")), event(wait_ns=6, cgroup=8)])
    first, second, _ = lines(EVENTS, Tick("sample", 1, 2, events=(batch,)), names={"cgroup": {8: "/b"}})
    assert (first["wait_ns"], first["load"], first["cgroup"], first["cut"]) == (None, None, None, False)
    assert (second["wait_ns"], second["cgroup"]) == (6, "/b")


def test_a_percent_sign_in_a_tools_name_is_no_format() -> None:
    odd = Tool(**{name: getattr(EVENTS, name) for name in EVENTS.__slots__} | {"name": 'a%s"%'})
    assert lines(odd, Tick("x", 1, 2, events=(event(),)))[0]["tool"] == 'a%s"%'


def test_rows_have_what_they_know() -> None:
    rows = np.zeros(2, ROW)
    rows["ts"], rows["id"], rows["exit_code"], rows["cgroup"], rows["cut"] = T0, (1, 2), (3, 137), 5, 1
    first, second, _ = lines(EVENTS, Tick("sample", 1, 2, rows=rows), names={"cgroup": {5: "/c"}})
    assert first == {
        "tool": "sample", "type": "row", "ts": "2026-11-21T06:14:05.123456789Z",
        "cut": True, "cgroup": "/c", "exit_code": 3, "id": 1,
    }  # fmt: skip
    assert second["exit_code"] == 137
    assert lines(EVENTS, Tick("sample", 1, T0, rows=rows[["id"]]))[0]["ts"] == first["ts"]


def test_events_of_several_rings_are_in_the_order_of_time() -> None:
    rng = np.random.default_rng(3)
    batches = []
    for size, dtype in ((20_011, EVENT), (9_001, LONG), (1, LONG), (0, EVENT)):
        batch = np.zeros(size, dtype)
        batch["ts"] = T0 + np.sort(rng.integers(0, 5_000, size)).astype(np.uint64)
        batch["id"] = np.arange(size) + 1_000_000 * len(batches)
        batches.append(batch)
    swapped = batches[0].copy()
    swapped[[5, 15_000]] = swapped[[15_000, 5]]  # CPUs that raced
    written = lines(EVENTS, Tick("sample", 1, 2, events=(swapped, *batches[1:])))[:-1]
    # The order of equals: that of the batches, and inside of them as they came.
    expected = sorted(
        (int(r["ts"]), number, place) for number, b in enumerate([swapped, *batches[1:]]) for place, r in enumerate(b)
    )
    of = [swapped, *batches[1:]]
    assert [line["id"] for line in written] == [int(of[number]["id"][place]) for _, number, place in expected]
    assert [line["ts"] for line in written] == sorted(line["ts"] for line in written)


def test_histogram() -> None:
    tool = Tool("waits", "8", Kind.HISTOGRAM, "", "", (), buckets=Buckets("ns", np.array([0, 10, 20, 40], np.uint64)))
    counts = np.array([4, 0, 6], np.uint64)
    whole, one, group, empty, _ = lines(
        tool,
        Tick(
            "waits",
            1,
            T0,
            histograms=(
                Histogram("all", 0, "all", counts),
                Histogram("pid", 7, "sh\x1b", counts),
                Histogram("cgroup", 77, "/a", counts),
                Histogram("all", 0, "all", counts * np.uint64(0)),
            ),
        ),
    )
    assert whole == {
        "tool": "waits", "type": "histogram", "ts": "2026-11-21T06:14:05.123456789Z", "group": "all", "pid": None,
        "cgroup": None, "label": "all", "unit": "ns", "buckets": [[0, 10, 4], [20, 40, 6]], "total": 10,
        "p50": 23, "p90": 36, "p99": 39,
    }  # fmt: skip
    assert (one["pid"], one["cgroup"], one["label"]) == (7, None, "sh\x1b")
    assert (group["pid"], group["cgroup"]) == (None, "/a")
    assert (empty["buckets"], empty["total"], empty["p50"]) == ([], 0, None)


def test_stack() -> None:
    tool = Tool("stacks", "8", Kind.STACKS, "", "", ())
    frames = (Frame("main", "a.out", False), Frame("[unknown]", "libc", False), Frame("do_exit", "kernel", True))
    one, _ = lines(tool, Tick("stacks", 1, T0, stacks=(Stack(frames, 3, 1, 2, "sh"),)))
    assert one == {
        "tool": "stacks", "type": "stack", "ts": "2026-11-21T06:14:05.123456789Z",
        "frames": ["main", "[unknown]", "do_exit"], "modules": ["a.out", "libc", "kernel"], "kernel_frames": 1,
        "count": 3, "pid": 1, "tid": 2, "comm": "sh",
    }  # fmt: skip


def test_losses_are_written_for_each_tick() -> None:
    first, second, _ = lines(EVENTS, Tick("x", 1, T0, lost={"full": 3, "cut": 0}), Tick("x", 1, T0, lost={"full": 1}))
    assert first == {
        "tool": "sample", "type": "lost", "ts": "2026-11-21T06:14:05.123456789Z", "reason": "full", "lost": 3,
    }  # fmt: skip
    assert second["lost"] == 1


def test_the_summary() -> None:
    stream = io.BytesIO()
    JsonExporter(stream).end(Summary("x", T0, 5, 2, 1.25, ("a:b", "c:d")))
    assert stream.getvalue() == (
        b'{"tool":"x","type":"summary","ts":"2026-11-21T06:14:05.123456789Z","events":5,"lost":2,"duration_s":1.25,'
        b'"probes":["a:b","c:d"]}\n'
    )
    stream = io.BytesIO()
    JsonExporter(stream).end(Summary("x", T0, 5, 2, 1.25, (), exit_code=0, truncated=3))
    assert stream.getvalue().endswith(b'"probes":[],"exit_code":0,"truncated":3}\n')


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_every_byte_comes_back(paths: list[bytes]) -> None:
    batch = np.concatenate([event(path=raw) for raw in paths])
    written = lines(EVENTS, Tick("sample", 1, 2, events=(batch,)))
    for raw, line in zip(paths, written, strict=False):
        assert os.fsencode(line["path"]) == raw.rstrip(b"\0")
        assert os.fsencode(line["argv"][0]) == raw.rstrip(b"\0")


class Stream(io.BytesIO):
    """Notes what had been written whenever it was flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed: list[bytes] = []

    def flush(self) -> None:
        self.flushed.append(self.getvalue())


def test_each_tick_is_flushed_in_whole_lines() -> None:
    stream = Stream()
    exporter = JsonExporter(stream)
    for count in (1, 2):
        exporter.tick(EVENTS, Tick("x", 1, 2, events=(event(),)), {})
        assert stream.flushed[-1] == stream.getvalue()
        assert stream.flushed[-1].count(b"\n") == count


class FullDisk(io.BytesIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_let_out() -> None:
    with pytest.raises(OSError, match="No space"):
        JsonExporter(FullDisk()).tick(EVENTS, Tick("x", 1, 2, events=(event(),)), {})


TIMES = [0, 1, 999_999_999, 1_000_000_000, T0, 951_782_400_000_000_000, (1 << 64) - 1]


def test_timestamps() -> None:
    assert rfc3339(T0) == "2026-11-21T06:14:05.123456789Z"
    assert rfc3339(951_782_400_000_000_000) == "2000-02-29T00:00:00.000000000Z"
    assert rfc3339_all(np.array(TIMES, np.uint64)) == [rfc3339(ns) for ns in TIMES]
    assert rfc3339_all(np.array([], np.uint64)) == []
