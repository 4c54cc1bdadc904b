"""What tells attach points from each other in a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ebtop import registry
from ebtop.attachpoint import PointKind
from ebtop.model.format import brief, cut, full
from ebtop.model.query import Query
from ebtop.model.rows import Rows
from ebtop.probing.briefnames import brief_names
from ebtop.probing.plan import Form, Mode, Parameter, Place, Planned, Sides, Site
from ebtop.ui.cells import fitting, padded
from ebtop.ui.streammodel import StreamModel
from tests.unit.planned import PLAN


def kernel(text: str) -> Planned:
    called, _, target = text.partition(":")
    kind = {"kretprobe": "kprobe"}.get(called, called)
    return Planned(text, PointKind(kind), target)


def user(text: str, path: str) -> Planned:
    called, _, target = text.partition(":")
    kind = {"uretprobe": "uprobe"}.get(called, called)
    site = Site(path, 64, 0, 1, 2)
    return Planned(text, PointKind(kind), target, sites=(site,), returns=(site,))


def briefly(*points: Planned) -> list[str]:
    found = brief_names(replace(PLAN, points=points))
    return [found[point.name] for point in points]


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (kernel("tracepoint:syscalls:sys_enter_openat"), "sys_enter_openat"),
        (kernel("raw_tracepoint:sched_switch"), "sched_switch"),
        (kernel("kprobe:tcp_connect"), "tcp_connect"),
        (kernel("kretprobe:tcp_connect"), "kretprobe:tcp_connect"),
        (kernel("profile:hz:99"), "profile:hz:99"),
        (user("uprobe:/lib/x/libc.so.6:fopen", "/lib/x/libc.so.6"), "libc.so.6:fopen"),
        (user("uretprobe:/lib/x/libc.so.6:fopen", "/lib/x/libc.so.6"), "uretprobe:libc.so.6:fopen"),
        (user("uprobe:/bin/no:de:node::Start(int)", "/bin/no:de"), "no:de:node::Start(int)"),
        (user("uprobe:libc:fopen", "/lib/x/libc.so.6"), "uprobe:libc:fopen"),
        (user("usdt:/bin/pg:postgresql:query__start", "/bin/pg"), "postgresql:query__start"),
    ],
)
def test_the_shortest_name(point: Planned, expected: str) -> None:
    assert briefly(point) == [expected]


def test_what_two_points_would_be_called_neither_is() -> None:
    assert briefly(kernel("tracepoint:sched:sched_switch"), kernel("raw_tracepoint:sched_switch")) == [
        "sched:sched_switch",
        "raw_tracepoint:sched_switch",
    ]
    a, b = user("uprobe:/a/x:f", "/a/x"), user("uprobe:/b/x:f", "/b/x")
    assert briefly(a, b) == [a.name, b.name]
    assert briefly(a, a) == ["x:f", "x:f"]  # a USDT probe may have several places


def test_tables_have_the_brief_name_and_details_the_whole() -> None:
    point = replace(user("uprobe:/lib/x/libc.so.6:fopen", "/lib/x/libc.so.6"), arguments=PLAN.points[0].arguments)
    for mode in (Mode.TRACE, Mode.COUNT):
        column = registry.made(replace(PLAN, mode=mode, points=(point,))).column("probe")
        assert column is not None and brief(column, point.name) == "libc.so.6:fopen"
        assert full(column, point.name) == point.name and brief(column, "\x1b[2J") == "\\x1b[2J"
        assert brief(column, None) == "-"
    tool = registry.made(replace(PLAN, mode=Mode.LATENCY, points=(replace(point, sides=Sides.BOTH),)))
    assert tool.histogram_parts == (point.name,)
    assert tool.brief_part is not None and tool.brief_part(point.name) == "libc.so.6:fopen"


def test_a_title_names_functions_without_their_files_and_parameters() -> None:
    one = user("uprobe:/bin/no:de:node::Start(int, char**)", "/bin/no:de")
    long = kernel(f"kprobe:{'a' * 30}{'b' * 30}")
    title = registry.made(replace(PLAN, mode=Mode.COUNT, points=(one, long))).title
    assert title == f"how often node::Start, {'a' * 20}…{'b' * 19}"


@pytest.mark.parametrize("most", [1, 2, 3, 7, 8, 19, 20])
def test_the_middle_is_cut(most: int) -> None:
    text = "libc.so.6:fopencookie"
    short = cut(text, most)
    assert len(short) == most and text.startswith(short.partition("…")[0]) and text.endswith(short.partition("…")[2])
    assert padded(text, most, right=False, middle=True) == short
    assert cut(text, 21) == text
    assert padded("größe", 3, right=False, middle=True) == "gr…"


def test_the_first_string_stays_on_a_narrow_screen() -> None:
    texts = [Parameter(key, "char *", 8, False, Form.TEXT, Place.RECORD, 24) for key in ("path", "more")]
    numbers = [Parameter(key, "int", 4, True, Form.NUMBER, Place.RECORD, 16) for key in ("fd", "flags")]
    address = Parameter("buf", "void *", 8, False, Form.POINTER, Place.RECORD, 24)
    point = replace(PLAN.points[0], arguments=(*texts, address, *numbers))
    shown = StreamModel(registry.made(replace(PLAN, points=(point,))), Rows((), {}), Query()).headings
    assert [h.key for h in shown][-5:] == ["buf", "fd", "flags", "more", "path"]
    assert [h.key for h, _ in fitting(shown, 85)] == ["ts", "pid", "comm", "more", "path"]
    assert [h.key for h, _ in fitting(shown, 60)] == ["ts", "pid", "comm", "path"]
