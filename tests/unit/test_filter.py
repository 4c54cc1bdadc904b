"""The filter language, and its speed."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebtop import registry
from ebtop.model.filter import FilterError, parse, quote
from ebtop.tool import Column, Kind, Tool, Type, named, values
from tests import pace
from tests.ui import synthetic

OPENS = next(t for t in registry.tools() if t.column("abspath"))
EXECS = next(t for t in registry.tools() if any(c.late for c in t.columns))
CONNECTS = next(t for t in registry.tools() if t.column("daddr"))
NAMES = {"cgroup": synthetic.CGROUPS, "dir": synthetic.DIRS}
RNG = np.random.default_rng(3)
BATCHES = {
    OPENS.name: synthetic.opens(400, synthetic.START, RNG),
    EXECS.name: synthetic.execs(200, synthetic.START, RNG, 1),
    CONNECTS.name: synthetic.connects(200, synthetic.START, RNG),
}


def held(tool: Tool, text: str, names=NAMES) -> list[dict]:
    """The rows that hold, as dictionaries of Python values."""
    batch = BATCHES[tool.name]
    chosen = batch[parse(tool, text).mask(batch, names)]
    columns = {c.key: values(c, chosen, names) for c in tool.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize(
    ("tool", "text", "true"),
    [
        (OPENS, "ret<0", lambda r: r["ret"] < 0),
        (OPENS, "err!=0", lambda r: r["ret"] < 0),
        (OPENS, "err=0", lambda r: r["ret"] >= 0),
        (OPENS, "err=ENOENT", lambda r: r["ret"] == -2),
        (OPENS, "ret=eacces", lambda r: r["ret"] == -13),
        (OPENS, "err~^ENO", lambda r: r["ret"] == -2),
        (OPENS, "err!~.", lambda r: r["ret"] >= 0),
        (OPENS, "lat>5us", lambda r: r["latency_ns"] > 5000),
        (OPENS, "latency>=.002ms lat<4us", lambda r: 2000 <= r["latency_ns"] < 4000),
        (OPENS, "comm~NGINX", lambda _: False),
        (OPENS, "comm~nGinx", lambda _: False),
        (OPENS, "comm~ngi", lambda r: r["comm"] == "nginx"),
        (OPENS, "comm=nginx ret>=0", lambda r: r["comm"] == "nginx" and r["ret"] >= 0),
        (OPENS, "comm!=nginx", lambda r: r["comm"] != "nginx"),
        (OPENS, "path~^/etc", lambda r: r["path"].startswith("/etc")),
        (OPENS, "path !~ ^/", lambda r: not r["path"].startswith("/")),
        (OPENS, "abspath=/srv/app/templates/base.html", lambda r: r["abspath"] == "/srv/app/templates/base.html"),
        (OPENS, "cgroup~nginx", lambda r: "nginx" in r["cgroup"]),
        (OPENS, "flags=CREAT", lambda r: "CREAT" in r["flags"]),
        (OPENS, 'flags="WRONLY CREAT CLOEXEC"', lambda r: r["flags"] == ["WRONLY", "CREAT", "CLOEXEC"]),
        (OPENS, "flags!=CREAT", lambda r: "CREAT" not in r["flags"]),
        (OPENS, "user=root", lambda r: r["uid"] == 0),
        (OPENS, "uid!=0", lambda r: r["uid"] != 0),
        (OPENS, "toml", lambda r: "toml" in r["path"]),
        (OPENS, "python", lambda r: "python" in r["path"] or r["comm"] == "python"),
        (OPENS, '"\\x1b]0;"', lambda r: "\x1b]0;" in r["path"] + r["comm"]),
        (OPENS, "データ", lambda r: "データ" in r["path"]),
        (OPENS, "", lambda _: True),
        (EXECS, "argv=-n", lambda r: "-n" in r["argv"]),
        (EXECS, "argv~out.dir", lambda r: any("out dir" in a for a in r["argv"])),
        (EXECS, "truncated=no", lambda _: True),
        (CONNECTS, "daddr=10.0.3.7 dport=443", lambda r: r["daddr"] == "10.0.3.7" and r["dport"] == 443),
        (CONNECTS, "ip=ipv6", lambda r: r["family"] == "ipv6"),
        (CONNECTS, "lat>1ms", lambda r: r["latency_ns"] > 1e6),
    ],
)  # fmt: skip
def test_a_filter_holds_for_the_rows_it_means(tool, text, true):
    every = held(tool, "")
    assert held(tool, text) == [row for row in every if true(row)]


def test_what_is_not_known_holds_for_no_number():
    assert held(EXECS, "exit=0") == held(EXECS, "exit!=0") == []
    names = {**NAMES, "exit_code": {1: 0, 2: 7}}
    assert [r["exec_id"] for r in held(EXECS, "exit=0", names)] == [1]
    assert [r["exec_id"] for r in held(EXECS, "exit!=0", names)] == [2]


def test_what_is_not_known_is_the_empty_text():
    assert len(held(OPENS, "cgroup!~nginx", {})) == len(held(OPENS, ""))
    assert held(OPENS, "cgroup~.", {}) == []


def test_time_of_day(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    rows = held(OPENS, "time>=11:06:40.5")
    assert rows == [r for r in held(OPENS, "") if r["ts"] >= synthetic.START + 500_000_000]
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("tool", "text", "said"),
    [
        (OPENS, "pth=1", "did you mean path"),
        (OPENS, "p=1", "p may mean pid, path"),
        (OPENS, "path~(", "not a regular expression"),
        (OPENS, "pid=abc", "no number"),
        (OPENS, "lat>5parsec", "no unit 'parsec'"),
        (OPENS, "err=ENOENTT", "did you mean ENOENT"),
        (OPENS, "user=roooot", "no user 'roooot'"),
        (OPENS, "path>3", "is text"),
        (OPENS, "ret<", "needs a value"),
        (OPENS, 'comm="x', "closing quote"),
        (OPENS, "time>25h:x", "time of day"),
    ],
)
def test_a_wrong_filter_says_what_is_wrong_in_one_line(tool, text, said):
    with pytest.raises(FilterError, match=re.escape(said)) as caught:
        parse(tool, text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_anything_typed_is_a_filter_or_a_filter_error(text):
    try:
        compiled = parse(OPENS, text)
    except FilterError as error:
        assert "\n" not in str(error).strip() or "\n" in text
    else:
        assert len(compiled.mask(BATCHES[OPENS.name][:5], NAMES)) == 5


@given(st.text(max_size=30).filter(lambda s: "\0" not in s))
@settings(max_examples=300, deadline=None)
def test_a_quoted_value_means_itself(value):
    raw = value.encode("utf-8", "surrogatepass")[:64]
    column = Column("x", "X", Type.TEXT, "")
    tool = Tool("t", "9", Kind.EVENTS, "", "", (), (column,))
    batch = np.array([(raw,), (b"other value",)], dtype=[("x", "S256")])
    text = values(column, batch, {})[0]
    assert parse(tool, f"x={quote(str(text))}").mask(batch, {}).tolist() == [True, str(text) == "other value"]


def test_derived_columns_are_made_once_per_distinct_value():
    seen = []

    def derive(batch, names):
        seen.append(len(batch))
        return [known.get(i) for known in [names.get("d", {})] for i in batch["id"].tolist()]

    column = Column("x", "X", Type.TEXT, "", derive=derive)
    tool = Tool("t", "9", Kind.EVENTS, "", "", (), (column, Column("y", "Y", Type.TEXT, "", derive=named("d", "id"))))
    batch = np.zeros(10_000, dtype=[("id", "u4")])
    batch["id"] = np.arange(10_000) % 7
    names = {"d": {3: "three"}}
    assert parse(tool, "x=three").mask(batch, names).sum() == np.count_nonzero(batch["id"] == 3)
    assert max(seen) <= 7
    assert parse(tool, "y=three").uses_names(batch)


@pytest.mark.parametrize(
    "text", ["ret<0", "comm~ngi", "path~toml$", "lat>5us", "abspath~base", "ret<0 path~^/etc lat>2us"]
)
def test_many_events_are_filtered_as_arrays_not_one_by_one(text):
    batch = synthetic.opens(400_000, synthetic.START, np.random.default_rng(5))
    compiled = parse(OPENS, text)
    with pace.at_most(40):
        compiled.mask(batch, NAMES)
