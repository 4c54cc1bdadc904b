"""From what was asked for to a plan: what each mode needs of a point, and what is said where it cannot have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ebtop.attachpoint import PointKind
from ebtop.capture.planerror import PlanError
from ebtop.capture.planning import Planner
from ebtop.capture.pointplans import PointPlans
from ebtop.capture.userplanning import UserPlans, View
from ebtop.probing.plan import Form, Mode, Parameter, Place, Planned, Probing, Sides, Site
from ebtop.tick import Attempt
from tests import loads

NUMBER = Parameter("n", "int", 4, True, Form.NUMBER, Place.ARGUMENT, 0)
TEXT = Parameter("name", "char *", 8, False, Form.TEXT, Place.ARGUMENT, 1)
RESULT = Parameter("retval", "long", 8, True, Form.NUMBER, Place.RESULT)
SITE = Site("/bin/x", 8, 0, 1, 2)
PROGRAM = Planned(
    "uprobe:/bin/x:f", PointKind.UPROBE, "/bin/x:f", Sides.ENTRY, (NUMBER, TEXT), RESULT, (SITE,), (SITE,)
)
GO = replace(PROGRAM, name="uprobe:/bin/go:f", target="/bin/go:f", returns=())
KERNEL = Planned("kprobe:f", PointKind.KPROBE, "f", Sides.ENTRY, (NUMBER,), RESULT)
EVENT = Planned("tracepoint:sched:x", PointKind.TRACEPOINT, "sched:x", Sides.ENTRY, (NUMBER,))
CALL = Planned("tracepoint:syscalls:sys_enter_read", PointKind.TRACEPOINT, "syscalls:sys_enter_read", Sides.ENTRY,
               (NUMBER, TEXT), RESULT)  # fmt: skip
EXIT = replace(CALL, name="tracepoint:syscalls:sys_enter_exit", target="syscalls:sys_enter_exit")
USDT = Planned("usdt:/bin/x:a:b", PointKind.USDT, "/bin/x:a:b", Sides.ENTRY, (NUMBER,), None, (SITE,))
POINTS = {"program": PROGRAM, "go": GO, "kernel": KERNEL, "event": EVENT, "call": CALL, "exit": EXIT, "usdt": USDT,
          "back": replace(PROGRAM, sides=Sides.RETURN)}  # fmt: skip


class Known(PointPlans):
    """Points by a word of ours; "no" cannot be used, "many" are a lot."""

    def __init__(self) -> None:
        pass

    def matching(self, text: str, view: View, *, described: bool = True) -> Iterator[tuple[Planned, str]]:
        del view, described
        if text == "many":
            yield from ((replace(KERNEL, name=f"kprobe:f{n}", target=f"f{n}"), "") for n in range(129))
        elif text == "no":
            yield replace(KERNEL, name="kprobe:no"), "the kernel keeps kprobes out of it"
        else:
            yield POINTS[text], ""


def planned(*points: str, mode: Mode = Mode.TRACE, **more: object) -> tuple[tuple[Planned, ...], tuple[Attempt, ...]]:
    planner = Planner()
    planner._points = Known()
    plan, left_out = planner.plan("probe", Probing(points, mode, **more), View())  # type: ignore[arg-type]
    return plan.points, left_out


def only(*points: str, **more: object) -> Planned:
    (point,), left_out = planned(*points, **more)  # type: ignore[arg-type]
    assert left_out == ()
    return point


def test_a_hit_has_no_result_and_a_return_no_arguments() -> None:
    assert only("program") == replace(PROGRAM, result=None)
    back = only("back")
    assert (back.name, back.sides, back.arguments, back.result) == ("uretprobe:/bin/x:f", Sides.RETURN, (), RESULT)


@pytest.mark.parametrize("point", ["program", "back", "kernel", "call"])
def test_latency_takes_both_ends(point: str) -> None:
    found = only(point, mode=Mode.LATENCY)
    assert (found.sides, found.name.split(":")[0]) == (Sides.BOTH, POINTS[point].kind.value)


def test_a_result_is_taken_at_the_return_alone_unless_the_filter_wants_more() -> None:
    assert only("program", mode=Mode.DIST, value="retval").sides is Sides.RETURN
    assert only("program", mode=Mode.DIST, value="retval", filter="retval > 3 && pid != 1").sides is Sides.RETURN
    assert only("program", mode=Mode.DIST, value="retval", filter="n > 3").sides is Sides.BOTH
    assert only("call", mode=Mode.DIST, value="retval").sides is Sides.BOTH
    assert only("program", mode=Mode.DIST, value="n").sides is Sides.ENTRY


def test_what_is_said_to_be_a_string_is_one() -> None:
    word = replace(PROGRAM, arguments=(NUMBER._replace(size=8, key="arg0"),))
    POINTS["word"] = word
    assert only("word").arguments[0].form is Form.NUMBER
    assert only("word", strings=("arg0",)).arguments[0].form is Form.TEXT


WRONG = {
    "Go moves its stacks": (("go",), {"mode": Mode.LATENCY}),
    "Go moves its stacks, and": (("go",), {"mode": Mode.DIST, "value": "retval"}),
    "129 points match, and at most 128": (("many",), {}),
    "tracepoint:sched:x: it has no return": (("event",), {"mode": Mode.LATENCY}),
    "usdt:/bin/x:a:b: it has no return": (("usdt",), {"mode": Mode.LATENCY}),
    "this system call does not return": (("exit",), {"mode": Mode.LATENCY}),
    "no argument 'm'; there are n": (("kernel",), {"mode": Mode.DIST, "value": "m"}),
    "name is a string: only numbers have a distribution": (("program",), {"mode": Mode.DIST, "value": "name"}),
    "--filter: column 1: no argument 'nam'; did you mean name or n?": (("program",), {"filter": "nam == 'x'"}),
    "--filter: column 5: ": (("program",), {"filter": "n == "}),
    "--mode dist needs --value": (("program",), {"mode": Mode.DIST}),
    "--value goes with --mode dist": (("program",), {"value": "n"}),
    "--slower-than goes with --mode latency": (("program",), {"slower_than_ns": 5}),
    "none of the 2 points can be used; the first, tracepoint:sched:x": (("event", "exit"), {"mode": Mode.LATENCY}),
}


@pytest.mark.parametrize("words", WRONG)
def test_what_cannot_be_asked_for_is_said(words: str) -> None:
    points, more = WRONG[words]
    with pytest.raises(PlanError) as refused:
        planned(*points, **more)  # type: ignore[arg-type]
    assert words in str(refused.value) and refused.value.usage


def test_entries_of_go_can_be_had() -> None:
    assert only("go").sides is Sides.ENTRY


def test_what_cannot_be_used_is_left_out_with_its_reason() -> None:
    points, left_out = planned("kernel", "event", "no", mode=Mode.LATENCY)
    assert [point.name for point in points] == ["kprobe:f"]
    assert [attempt.probe for attempt in left_out] == ["kprobe:no", "tracepoint:sched:x"]
    with pytest.raises(PlanError, match="keeps kprobes out") as refused:
        planned("no")
    assert not refused.value.usage


# Words of the command line, on this machine


@pytest.mark.parametrize(("text", "target"), {
    "software:page-faults:100": "software:page-faults:100", "s:page-faults": "software:page-faults:1",
    "software:cpu-clock": "software:cpu-clock:1000000", "profile:hz:99": "profile:hz:99", "i:s:1": "interval:s:1",
}.items())  # fmt: skip
def test_counted_events_and_the_clock(text: str, target: str) -> None:
    ((point, _refusal),) = list(PointPlans().matching(text, View()))
    assert (point.name, point.target) == (target, target)


@pytest.mark.parametrize(("text", "words"), {
    "software:page-fault": "did you mean page-faults", "software:page-faults:0": "every how many",
    "profile:hz:0": "is no time", "profile:hz:20000": "too often", "interval:us:5": "too often",
    "profile:99": "is no time",
    "tcp_connect": "is no attach point", "nothing:x": "is no attach point",
}.items())  # fmt: skip
def test_what_is_no_point_is_said(text: str, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        list(PointPlans().matching(text, View()))


def test_functions_of_a_program_have_their_arguments_by_debug_information() -> None:
    program: Path = loads.build("calls")
    ((point, refusal),) = list(UserPlans().functions(f"{program}:calls_add", View()))
    assert refusal == ""
    assert [(p.key, p.type, p.size, p.form, p.register) for p in point.arguments] == [
        ("a", "int", 4, Form.NUMBER, point.arguments[0].register),
        ("b", "unsigned char", 1, Form.NUMBER, point.arguments[1].register),
        ("text", "const char *", 8, Form.TEXT, point.arguments[2].register),
    ]
    assert point.result is not None and (point.result.type, point.result.size) == ("long int", 8)
    ((bare, _),) = list(UserPlans().functions(f"{program}:calls_add", View(), described=False))
    assert bare.arguments == () and bare.sites == point.sites
