"""What sockops makes of the records of its program."""

from __future__ import annotations

import pytest

from ebtop.model.filter import parse
from ebtop.model.format import cell
from ebtop.tool import Batch, values
from ebtop.tools.sockops import OPS, TOOL, UNKNOWN, flag_names
from tests.ui import synthetic


def batch() -> Batch:
    (found,) = synthetic.tick(TOOL, 0, 400).events
    return found


def column(key: str, rows: Batch) -> list[object]:
    found = TOOL.column(key)
    assert found is not None
    return list(values(found, rows, {}))


def only(op: str, rows: Batch) -> Batch:
    return rows[rows["op"] == OPS.index(op)]


def test_only_what_an_op_has_is_told() -> None:
    rows = batch()
    for key, ops in {
        "level": {"setsockopt"}, "optname": {"setsockopt"}, "optval": {"setsockopt"}, "backlog": {"listen"},
        "addr": {"bind", "connect", "accept4"}, "port": {"bind", "connect", "accept4"},
        "flags": {"socket", "accept4", "shutdown"},
    }.items():  # fmt: skip
        told = {op for op, value in zip(column("op", rows), column(key, rows), strict=True) if value is not None}
        assert told == ops, key


def test_what_setsockopt_sets() -> None:
    rows = only("setsockopt", batch())
    told = set(zip(column("level", rows), column("optname", rows), column("optval", rows), strict=True))
    assert told == {
        ("SOL_SOCKET", "SO_REUSEADDR", "1"), ("SOL_TCP", "TCP_NODELAY", "1"), ("SOL_SOCKET", "999", "de ad"),
    }  # fmt: skip


def test_a_name_that_acts_on_a_terminal_is_drawn_as_text() -> None:
    rows = batch()
    (name,) = {addr for addr in column("addr", rows) if str(addr).startswith("@")}
    assert name == "@\x1b]0;owned\x07\udcff"
    addr = TOOL.column("addr")
    assert addr is not None
    assert cell(addr, name) == r"@\x1b]0;owned\x07\xff"


@pytest.mark.parametrize(
    ("op", "argument", "names"),
    [
        ("socket", 0o2004001, ["STREAM", "NONBLOCK", "CLOEXEC"]),
        ("socket", 2, ["DGRAM"]),
        ("socket", 14, ["14"]),
        ("socket", 99, ["RAW", "0x60"]),
        ("accept4", 0, []),
        ("accept4", 0o4000, ["NONBLOCK"]),
        ("accept4", 3, ["3"]),
        ("shutdown", 2, ["RDWR"]),
        ("shutdown", 7, ["7"]),
        ("close", 7, None),
        ("accept", 7, None),
    ],
)
def test_flags(op: str, argument: int, names: list[str] | None) -> None:
    assert flag_names(OPS.index(op), argument) == names


def test_what_is_not_known() -> None:
    rows = batch()[:3]
    rows["latency_ns"] = [UNKNOWN, 0, 5]
    rows["op"] = [1, 5, 200]
    rows["fd"] = [-1, -1, -1]
    rows["socket"] = [0, 0, 7]
    rows["accepted"] = 0
    assert column("latency_ns", rows) == [None, 0, 5]
    assert column("fd", rows) == [None, -1, -1]
    assert column("socket", rows) == [None, None, ["7"]]
    assert column("op", rows) == ["socket", "connect", "200"]


def test_a_life_is_a_filter() -> None:
    """From the call that made a socket to close; a listener's has whom it accepted, whose life begins with that."""
    rows = batch()
    lives: dict[str, list[object]] = {}
    for op, both in zip(column("op", rows), column(TOOL.life, rows), strict=True):
        assert isinstance(both, list)
        for number in both:
            lives.setdefault(number, []).append(op)
    for number, ops in lives.items():
        kept = rows[parse(TOOL, f"{TOOL.life}={number}").mask(rows, {})]
        assert column("op", kept) == ops
    assert ["socket", "setsockopt", "bind", "listen", "accept4", "accept4", "close"] in lives.values()
    assert ["accept4"] in lives.values()
