"""From a plan to a tool: columns, records, C, and what of a plan that others send is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebtop import countrow, registry
from ebtop.attachpoint import PointKind
from ebtop.capture.histograms import HistogramMaps
from ebtop.capture.points.parameters import of_record
from ebtop.capture.points.tracepoints import record
from ebtop.capture.program import Program
from ebtop.capture.ticks import counted
from ebtop.capture.trial import too_hot, trial
from ebtop.export.accumulate import Accumulator
from ebtop.model.history import History
from ebtop.probing.filter import FilterError
from ebtop.probing.plan import Form, Mode, Parameter, Place, Plan, Planned, Sides, Site
from ebtop.record.reader import Recording
from ebtop.record.writer import RecordingWriter
from ebtop.source.fit import Fit, UnfitError
from ebtop.source.wire_json import dump, load
from ebtop.source.wire_values import decoder, plain
from ebtop.tick import Histogram, Phase, Tick, ToolState
from ebtop.tool import Attach, Batch, Kind, Tool, Type, probes_of, shown, values

NUMBER = Parameter("fd", "int", 4, True, Form.NUMBER, Place.RECORD, 16)
FLAGS = Parameter("flags", "unsigned long", 8, False, Form.NUMBER, Place.RECORD, 32)
NAME = Parameter("filename", "const char *", 8, False, Form.TEXT, Place.RECORD, 24)
BUFFER = Parameter("buf", "void *", 8, False, Form.POINTER, Place.RECORD, 24)
RESULT = Parameter("retval", "long", 8, True, Form.NUMBER, Place.RECORD, 16)
OPEN = Planned("tracepoint:syscalls:sys_enter_openat", PointKind.TRACEPOINT, "syscalls:sys_enter_openat",
               arguments=(NUMBER, NAME, FLAGS))  # fmt: skip
READ = Planned("tracepoint:syscalls:sys_enter_read", PointKind.TRACEPOINT, "syscalls:sys_enter_read",
               arguments=(BUFFER, NUMBER))  # fmt: skip
CALL = replace(OPEN, sides=Sides.BOTH, result=RESULT)
FUNCTION = Planned("uprobe:/bin/x:f", PointKind.UPROBE, "/bin/x:f", sites=(Site("/bin/x", 64, 0, 1, 2),),
                   arguments=(Parameter("n", "int", 4, True, Form.NUMBER, Place.REGISTER, register="di"),))  # fmt: skip


def plan(*points: Planned, mode: Mode = Mode.TRACE, **more: object) -> Plan:
    return Plan("probe", mode, points or (OPEN, READ), **more)  # type: ignore[arg-type]


def made(*points: Planned, **more: object) -> Tool:
    return registry.made(plan(*points, **more))  # type: ignore[arg-type]


def hits(tool: Tool) -> Batch:
    """A record of each of OPEN, READ, a point that there is not, and OPEN with a string that could not be read."""
    layout = Program("probe", tool).records["hit"]
    batch = np.zeros(4, layout)
    batch["ts"] = np.arange(4) + 5
    batch["probe"] = [0, 1, 77, 0]
    batch["n0"] = [(-100) % (1 << 64), 0x7FFE00001000, 1, 3]
    batch["n1"] = [1 << 63, (-1) % (1 << 64), 1, 4]
    batch["s0"] = [b"/etc/\xff", b"stale", b"stale", b"half"]
    batch["unread"] = [0, 0, 0, 1]
    return batch


def column(tool: Tool, key: str, batch: Batch) -> list[object]:
    found = tool.column(key)
    assert found is not None
    return list(values(found, batch, {}))


def test_points_with_different_arguments_share_the_fields_of_a_record() -> None:
    tool = made()
    keys = [c.key for c in tool.columns]
    assert keys == ["ts", "pid", "tid", "uid", "comm", "probe", "buf", "fd", "flags", "filename", "unread",
                    "cgroup", "stack", "kstack"]  # fmt: skip
    batch = hits(tool)
    assert {"n0", "n1", "s0"} <= set(batch.dtype.names or ()) and "n2" not in (batch.dtype.names or ())
    assert column(tool, "probe", batch) == [OPEN.name, READ.name, None, OPEN.name]
    assert column(tool, "fd", batch) == [-100, -1, None, 3]
    assert column(tool, "flags", batch) == [1 << 63, None, None, 4]
    assert column(tool, "buf", batch) == [None, "0x7ffe00001000", None, None]
    assert column(tool, "filename", batch) == ["/etc/\udcff", None, None, None]


def test_a_string_that_is_not_there_says_so() -> None:
    tool = made()
    batch = hits(tool)
    batch["unread"] = [0, 1, 0, 1]
    assert column(tool, "unread", batch) == ["", "", "", "filename"]
    filename = tool.column("filename")
    assert filename is not None
    assert shown(filename, batch, {}) == ["/etc/\udcff", None, None, "?"]
    batch["unread"] = [1 << 16, 0, 0, 2]  # the address is 0; another string could not be read
    assert column(tool, "filename", batch) == [None, None, None, "half"]
    assert shown(filename, batch, {}) == ["NULL", None, None, "half"]
    assert column(tool, "unread", batch) == [""] * 4
    assert "unread" not in [c.key for c in made(READ).columns]


def test_a_string_that_is_longer_than_what_is_read_says_so() -> None:
    tool = made(OPEN)
    batch = hits(tool)[:2]
    batch["probe"] = 0
    batch["s0"] = [b"x" * 128, b"x" * 129]
    assert column(tool, "filename", batch) == ["x" * 128, "x" * 128 + "…"]


def test_what_each_mode_makes() -> None:
    assert (made().kind, made().stacks) == (Kind.EVENTS, True)
    counts = made(mode=Mode.COUNT)
    assert (counts.kind, counts.count_map) == (Kind.COUNTS, "counts")
    assert [c.key for c in counts.columns] == ["probe", "count"]
    latency = made(CALL, mode=Mode.LATENCY)
    assert (latency.kind, latency.histogram_parts) == (Kind.HISTOGRAM, (CALL.name,))
    assert latency.buckets is not None and latency.buckets.unit == "ns"
    slower = made(CALL, mode=Mode.LATENCY, slower_than_ns=10)
    assert slower.kind is Kind.EVENTS
    assert {"latency_ns", "retval"} <= {c.key for c in slower.columns}
    ret = slower.column("retval")
    assert ret is not None and ret.type is Type.RET
    assert made(mode=Mode.STACK).kind is Kind.STACKS


def test_a_call_is_attached_at_both_ends_or_not_at_all() -> None:
    probes = [p for p in probes_of(made(CALL, OPEN, mode=Mode.TRACE).slots) if p.function != "remember_exec"]
    assert [(str(p), p.function, p.pair) for p in probes] == [
        ("tracepoint:syscalls:sys_exit_openat", "return_0", "point 0"),
        ("tracepoint:syscalls:sys_enter_openat", "enter_0", "point 0"),
        ("tracepoint:syscalls:sys_enter_openat", "enter_1", ""),
    ]
    assert all(p.optional for p in probes)


@pytest.mark.parametrize("signed", [True, False])
def test_the_buckets_of_a_distribution_hold_each_number(signed: bool) -> None:
    value = "fd" if signed else "flags"
    tool = made(OPEN, mode=Mode.DIST, value=value)
    low, below = tool.buckets.low if tool.buckets else [], tool.defines["BELOW_ZERO"]
    assert np.all(np.diff(np.asarray(low, np.float64)) >= 0)
    assert bool(below) is signed
    up = tool.defines["BUCKETS"]
    above = [1, 2, 3, 4, 5, 7, 8, 9, 1000, 1 << 40]
    for number in [0, *above, *([-n for n in above] if signed else [])]:
        magnitude = abs(number)
        bits = magnitude.bit_length() - 1
        place = magnitude if magnitude < 4 else 4 * (bits - 1) + (magnitude >> bits - 2 & 3)  # histogram.h
        at = below - min(place, up - 1) if number < 0 else below + min(place, up - 1)
        assert int(low[at]) <= number < int(low[at + 1])


def test_of_what_users_and_files_say_nothing_is_in_the_program() -> None:
    odd = replace(FUNCTION, name='"*/ evil', target="evil;", sites=(Site("/evil", 1, 2, 3, 4),))
    named = replace(odd, arguments=(replace_key(FUNCTION.arguments[0], "evil"),))
    tool = made(named, filter='evil == 3 && comm == "evil*/"')
    assert "evil" not in "".join(tool.headers.values())
    assert "evil" not in "".join(map(str, tool.defines))


def replace_key(parameter: Parameter, key: str) -> Parameter:
    return parameter._replace(key=key)


def test_a_filter_is_taken_apart_so_that_strings_are_read_last() -> None:
    text = made(OPEN, filter='filename == "/etc/passwd" && fd == -100').headers["probes.h"]
    assert text.index("if (!(a0 ==") < text.index("begin_hit") < text.index("hits_discard")
    late = made(CALL, mode=Mode.LATENCY, filter="retval < 0 && fd == 3").headers["probes.h"]
    entered, returned = late.split("#endif")[:2]
    assert "(!" not in entered.replace("if (!call)", "").replace("if (!is_wanted())", "")
    assert "call->n0" in returned


def test_places_of_one_name_count_as_one() -> None:
    other = replace(OPEN, target="syscalls:sys_enter_open")
    text = made(READ, OPEN, other, mode=Mode.COUNT).headers["probes.h"]
    assert [text.count(f"count_hit({n});") for n in range(3)] == [1, 2, 0]


def test_more_strings_than_a_program_can_hold_are_refused() -> None:
    three = replace(OPEN, arguments=tuple(replace_key(NAME, key) for key in ("a", "b", "c")))
    ask = 'a == "x" && b == "y" && c == "z"'
    assert made(three, filter=ask)
    with pytest.raises(FilterError, match="3 strings"):
        made(three, filter=ask, mode=Mode.COUNT)


def wrong() -> Iterator[Plan]:
    yield plan()  # and no points
    for bad in (
        replace_key(NUMBER, "pid"), replace_key(NUMBER, "n0"), replace_key(NUMBER, 'x"'), replace_key(NUMBER, ""),
        NUMBER._replace(size=3), NUMBER._replace(scale=3), NUMBER._replace(place=Place.ARGUMENT, at=6),
        NUMBER._replace(place=Place.REGISTER, register="di; evil"), NUMBER._replace(at=1 << 80),
    ):  # fmt: skip
        yield plan(replace(OPEN, arguments=(bad,)))
    yield plan(replace(OPEN, arguments=(NUMBER, NUMBER)))
    yield plan(OPEN, mode=Mode.LATENCY)
    yield plan(OPEN, mode=Mode.DIST, value="other")
    yield plan(OPEN, slower_than_ns=5)
    yield plan(OPEN, filter="what ==")
    yield plan(OPEN, filter="what == 3")
    yield replace(plan(OPEN), tool="opensnoop")
    yield replace(plan(OPEN), tool="nothing")
    yield plan(*[replace(OPEN, name=f"x{n}") for n in range(129)])
    yield plan(replace(OPEN, name=""))


@pytest.mark.parametrize("bad", [replace(each, points=()) if n == 0 else each for n, each in enumerate(wrong())])
def test_a_plan_that_cannot_be_ends_the_conversation(bad: Plan) -> None:
    with pytest.raises(UnfitError) as refused:
        Fit(registry.tools()).check(bad)
    assert "\n" not in str(refused.value)


def test_a_plan_crosses_the_wire() -> None:
    sent = plan(CALL, FUNCTION, mode=Mode.LATENCY, filter="fd == 1", slower_than_ns=3)
    assert decoder(Plan)(load(dump(plain(sent)))) == sent


def test_what_comes_is_held_against_the_plan() -> None:
    tool, fit = made(), Fit(registry.tools())
    tick = Tick("probe", 1, 2, events=(hits(tool),))
    with pytest.raises(UnfitError):
        fit.check(Tick("probe", 1, 2, rows=np.zeros(1, countrow.ROW)))
    fit.check(plan())
    fit.check(tick)
    fit.check(plan(mode=Mode.COUNT))
    fit.check(Tick("probe", 1, 2, rows=np.array([(0, 0, 5)], countrow.ROW)))
    with pytest.raises(UnfitError):
        fit.check(tick)
    fit.check(plan(CALL, mode=Mode.LATENCY))
    count = made(CALL, mode=Mode.LATENCY).buckets.count  # type: ignore[union-attr]
    fit.check(Tick("probe", 1, 2, histograms=(Histogram("probe", 0, CALL.name, np.zeros(count, np.uint64)),)))


def test_history_has_the_tool_as_it_was_made() -> None:
    history = History(registry.tools())
    history.add(plan(mode=Mode.COUNT))
    history.add(ToolState("probe", Phase.RUNNING, (OPEN.name,)))
    history.add(Tick("probe", 1, 2, rows=np.array([(1, 0, 5)], countrow.ROW)))
    shown = history.tool("probe")
    assert (shown.tool.kind, shown.state.phase, len(shown.ticks)) == (Kind.COUNTS, Phase.RUNNING, 1)


def test_a_recording_keeps_the_plan(tmp_path: Path) -> None:
    tool = made()
    with RecordingWriter(tmp_path / "x") as writer:
        writer.add(plan())
        writer.add(ToolState("probe", Phase.RUNNING, (OPEN.name,)))
        writer.add(Tick("probe", 1, 9, events=(hits(tool),)))
        writer.commit()
    with Recording(tmp_path / "x") as recording:
        assert recording.plans == {"probe": plan()}
        (again,) = [t for t in registry.as_planned(recording.plans.values()) if t.name == "probe"]
        (tick,) = recording.ticks()
    assert [column(again, "fd", batch) for batch in tick.events] == [[-100, -1, None, 3]]


def test_counts_add_up() -> None:
    rows = counted(np.array([0, 3, 0, 7], np.uint64))
    assert rows.tolist() == [(1, 0, 3), (3, 0, 7)]
    together = Accumulator()
    together.add(Tick("probe", 1, 2, rows=rows))
    together.add(Tick("probe", 2, 3, rows=rows))
    whole = together.take()
    assert whole is not None and whole.rows is not None
    assert whole.rows.tolist() == [(3, 0, 14), (1, 0, 6)]
    together.add(Tick("probe", 3, 4))
    empty = together.take()
    assert empty is not None and empty.rows is None


def test_histograms_of_parts_have_their_own_keys() -> None:
    tool = made(CALL, mode=Mode.LATENCY)
    assert HistogramMaps.__doc__ is not None and "probe" in HistogramMaps.__doc__
    text = Program("probe", tool).text
    assert Program("probe", tool).records["found_key"].itemsize == 24
    assert "lookup_or_try_init" in text


FORMAT = """name: x
ID: 1
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;
\tfield:int Dfd;\toffset:16;\tsize:8;\tsigned:0;
\tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;
\tfield:const char *const * argv;\toffset:32;\tsize:8;\tsigned:0;
\tfield:umode_t mode;\toffset:40;\tsize:8;\tsigned:0;
\tfield:char comm[16];\toffset:48;\tsize:16;\tsigned:0;
\tfield:__data_loc char[] name;\toffset:64;\tsize:4;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:68;\tsize:4;\tsigned:0;
\tfield:pid_t pid;\toffset:72;\tsize:4;\tsigned:1;
"""


@pytest.mark.parametrize(("system", "dfd"), [("syscalls", (4, True)), ("other", (8, False))])
def test_a_tracepoint_tells_what_its_arguments_are(tmp_path: Path, system: str, dfd: tuple[int, bool]) -> None:
    place = tmp_path / "events" / system / "x"
    place.mkdir(parents=True)
    (place / "format").write_text(FORMAT)
    found = of_record(f"{system}:x", record(tmp_path, f"{system}:x") or ())
    told = {p.key: (p.form, p.at) for p in found}
    assert told == {
        "dfd": (Form.NUMBER, 16), "filename": (Form.TEXT, 24), "argv": (Form.POINTER, 32), "mode": (Form.NUMBER, 40),
        "arg_comm": (Form.CHARS, 48), "name": (Form.LOCATED, 64), "arg_pid": (Form.NUMBER, 72),
    }  # fmt: skip
    assert next((p.size, p.signed) for p in found if p.key == "dfd") == dfd


def test_the_static_tool_has_no_probes_of_its_own() -> None:
    static = registry.find("probe")
    assert static.make is not None and probes_of(static.slots) == []
    assert Attach.UPROBE not in {p.kind for tool in registry.tools() for p in probes_of(tool.slots)}


def test_what_hits_cost_is_said_before() -> None:
    assert too_hot(plan(OPEN), [1000.0], focused=False) == ""
    said = too_hot(plan(OPEN, READ), [1_200_000.0, 10.0], focused=False)
    assert said.startswith(f"{OPEN.name} is hit 1.2 M times a second (all 2: 1.2 M): about 1.4 cores; use --mode count")
    assert too_hot(plan(OPEN, filter="fd == 3"), [900_000.0], focused=False) == ""
    assert too_hot(plan(OPEN), [900_000.0], focused=True) == ""
    assert "--mode count" not in too_hot(plan(OPEN, mode=Mode.COUNT), [9e6], focused=False)


def test_a_trial_counts_whoever_it_is() -> None:
    tool = trial(plan(CALL, mode=Mode.LATENCY, filter="fd == 3"))
    assert (tool.kind, tool.defines["TRIAL"]) == (Kind.COUNTS, 1)
    assert [p.function for p in probes_of(tool.slots)] == ["enter_0"]
