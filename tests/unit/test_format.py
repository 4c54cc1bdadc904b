"""Values as people read them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebtop.model import format as f
from ebtop.sanitise import sanitise
from ebtop.tool import Column, Type


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, "0 ns"), (1, "1 ns"), (999, "999 ns"), (999.6, "1.0 us"), (2_100, "2.1 us"), (9_949, "9.9 us"),
        (9_960, "10 us"), (71_234, "71 us"), (999_499, "999 us"), (999_700, "1.0 ms"), (4_100_000, "4.1 ms"),
        (12e9, "12 s"), (119e9, "119 s"), (120e9, "2.0 m"), (41 * 86_400e9, "41 d"), (-5, "-5 ns"), (math.nan, "-"),
    ],
)  # fmt: skip
def test_duration(ns: float, expected: str) -> None:
    assert f.duration(ns) == expected


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (0, "0"), (1234, "1,234"), (9_999, "9,999"), (10_000, "10.0 k"), (12_401, "12.4 k"), (124_000, "124 k"),
        (999_499, "999 k"), (999_600, "1.0 M"), (3_400_000, "3.4 M"), (0.52, "0.5"), (12.34, "12.3"), (99.96, "100"),
        (2.0, "2"), (-12_401, "-12.4 k"), (math.inf, "-"),
    ],
)  # fmt: skip
def test_count(n: float, expected: str) -> None:
    assert f.count(n) == expected


@pytest.mark.parametrize(
    ("n", "expected"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (3_400_000, "3.4 MB"), (9_960_000, "10 MB"), (12e9, "12 GB")],
)
def test_nbytes(n: float, expected: str) -> None:
    assert f.nbytes(n) == expected


@given(st.one_of(st.floats(0, 1e25), st.integers(0, 1 << 64)))
def test_three_figures_and_a_width_that_holds(n: float) -> None:
    assert len(f.nbytes(n)) <= 6 or n >= 1e21
    assert len(f.duration(n)) <= 6 or n >= 999 * 86_400e9
    assert len(f.count(n)) <= 6 or n >= 1e21


def test_rate() -> None:
    assert f.rate(24_802, 2) == "12.4 k/s"
    assert f.rate(1, 0) == "-"


@pytest.mark.parametrize(
    ("ret", "expected"),
    [(0, "0"), (3, "3"), (-2, "ENOENT"), (-11, "EAGAIN"), (-95, "EOPNOTSUPP"), (-512, "ERESTARTSYS"), (-4000, "-4000")],
)
def test_ret_text(ret: int, expected: str) -> None:
    assert f.ret_text(ret) == expected


@pytest.fixture
def calcutta(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XXX-5:30")  # half an hour, so that minutes count
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_clock_is_local(calcutta: None) -> None:
    assert f.clock(1_700_000_000_123_456_789) == "03:43:20.123"
    assert f.clock((1 << 64) - 1) == "05:04:33.709"


def test_user_names_and_numbers() -> None:
    assert f.user(0) == "root"
    assert f.user((1 << 32) - 1) == "4294967295"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("-c", "-c"),
        ("/usr/bin/x", "/usr/bin/x"),
        ("", "''"),
        ("a b", "'a b'"),
        ("$HOME", "'$HOME'"),
        ("~", "'~'"),
        ("café", "café"),
        ("it's", "'it'\"'\"'s'"),
        ("\x1b]0;x\n'", "$'\\x1b]0;x\\n\\''"),
        ("a\\\udcff", "$'a\\\\\\xff'"),
    ],
)
def test_quoted(argument: str, expected: str) -> None:
    assert f.quoted(argument) == expected


def column(kind: Type) -> Column:
    return Column("x", "X", kind, "")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Type.INT, 12345, "12345"),
        (Type.COUNT, 12_401, "12.4 k"),
        (Type.DURATION, 2100, "2.1 us"),
        (Type.BYTES, 3_400_000, "3.4 MB"),
        (Type.RET, -2, "ENOENT"),
        (Type.TEXT, "a\x1b[2J\u202eb", "a\\x1b[2J\\u202eb"),
        (Type.PATH, "/x\udcff\n", "/x\\xff\\n"),
        (Type.FLAGS, ["RDONLY", "CLOEXEC"], "RDONLY CLOEXEC"),
        (Type.ARGV, ["sh", "-c", "echo hi", "\x9b"], "sh -c 'echo hi' $'\\x9b'"),
        (Type.ARGV, [], ""),
        (Type.USER, 0, "root"),
        (Type.BOOL, True, "yes"),
        (Type.BOOL, False, ""),
    ],
)
def test_cell(kind: Type, value: Any, expected: str) -> None:
    assert f.cell(column(kind), value) == expected


@pytest.mark.parametrize("kind", list(Type))
def test_what_is_not_known_is_a_dash(kind: Type) -> None:
    assert f.cell(column(kind), None) == "-"


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.floats(),
    st.text(),
    st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.lists(st.text(), max_size=3),
)


@given(st.sampled_from(list(Type)), VALUES)
def test_any_value_in_any_column_is_safe_for_a_terminal(kind: Type, value: Any) -> None:
    written = f.cell(column(kind), value)
    assert sanitise(written) == written


@pytest.mark.parametrize(
    ("type_", "value", "seconds", "text"),
    [
        (Type.DURATION, 2_120_000_000, 1.0, "212 %"), (Type.DURATION, 3_000_000, 1.0, "0.3 %"),
        (Type.DURATION, 3_000_000_000, 2.0, "150 %"), (Type.DURATION, 0, 1.0, "0"), (Type.COUNT, 47, 1.004, "47"),
        (Type.COUNT, 1, 1.004, "1"), (Type.COUNT, 3, 2.0, "1.5"), (Type.COUNT, 12_400, 1.0, "12.4 k"),
        (Type.BYTES, 3_400_000, 1.0, "3.4 MB"), (Type.BYTES, 0, 1.0, "0"), (Type.DURATION, None, 1.0, "-"),
        (Type.COUNT, float("nan"), 1.0, "-"), (Type.TEXT, "\x1b", 1.0, r"\x1b"),
    ],
)  # fmt: skip
def test_rates_are_a_second(type_, value, seconds, text):
    assert f.rated(Column("x", "X", type_, "", rate=True), value, seconds) == text


def test_what_is_no_rate_is_written_as_it_is():
    assert f.rated(Column("x", "X", Type.DURATION, ""), 4_100_000, 2.0) == "4.1 ms"
    assert f.rated(Column("x", "X", Type.BYTES, ""), 0, 2.0) == "0 B"


@pytest.mark.parametrize(
    ("n", "text"), [(0.96, "1"), (0.04, "0"), (9.94, "9.9"), (9.97, "10"), (312.4, "312"), (float("inf"), "-")]
)
def test_counts_over_some_time(n, text):
    assert f.counted(n) == text


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (Type.DURATION, 2_103, "2.1 us (2,103 ns)"),
        (Type.DURATION, 850, "850 ns"),
        (Type.BYTES, 3_412_992, "3.4 MB (3,412,992 B)"),
        (Type.COUNT, 1_234, "1,234"),
        (Type.COUNT, 12_401, "12.4 k (12,401)"),
        (Type.RET, -2, "ENOENT (-2)"),
        (Type.RET, 3, "3"),
        (Type.USER, 4_000_000_000, "4000000000"),
        (Type.TEXT, "a\x1b", "a\\x1b"),
        (Type.INT, 8080, "8080"),
        (Type.DURATION, None, "-"),
    ],
)
def test_values_in_full(kind: Type, value: Any, said: str) -> None:
    assert f.full(Column("x", "X", kind, ""), value) == said


def test_a_time_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XYZ-5:30")
    time.tzset()
    try:
        assert f.full_time(1_795_000_000_000_000_007) == "2026-11-18 16:36:40.000000007 +0530"
        assert f.full_time(1 << 200) == "-"
    finally:
        monkeypatch.undo()
        time.tzset()
