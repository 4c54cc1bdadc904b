"""Rows, sorting and tops, each against a plain Python account of the same events."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebtop import registry
from ebtop.model import query as query_module
from ebtop.model import sort as sort_module
from ebtop.model.distinct import combined, distinct, keys
from ebtop.model.filter import parse
from ebtop.model.history import History
from ebtop.model.query import Query, StreamQuery
from ebtop.model.rows import RowId
from ebtop.tick import Tick
from ebtop.tool import values
from tests.ui import synthetic

TOOLS = registry.tools()
OPENS = next(t for t in TOOLS if t.column("abspath"))
EXECS = next(t for t in TOOLS if any(c.late for c in t.columns))


def filled(tool=OPENS, ticks=4, rate=300) -> History:
    held = History(TOOLS)
    for number in range(ticks):
        held.add(synthetic.tick(tool, number, rate))
    return held


def everything(snapshot) -> list[dict]:
    """All events held as dictionaries, in the order of time."""
    found = []
    for tick in snapshot.ticks:
        here = []
        for batch in tick.events:
            columns = {c.key: values(c, batch, snapshot.names) for c in snapshot.tool.columns}
            here += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        found += sorted(here, key=lambda r: r["ts"])
    return found


def listed(rows, key: str, tool=OPENS) -> list:
    return [values(tool.column(key), rows.event(rows.id(i)), rows.names)[0] for i in range(len(rows))]


def test_rows_are_all_events_in_the_order_of_time():
    snapshot = filled().tool(OPENS.name)
    rows = StreamQuery(OPENS).run(snapshot, Query())
    assert listed(rows, "ts") == [r["ts"] for r in everything(snapshot)]
    assert len(snapshot.ticks[0].events) == 2  # of two widths, merged by time
    turned = StreamQuery(OPENS).run(snapshot, Query(descending=True))
    assert listed(turned, "ts") == [r["ts"] for r in everything(snapshot)][::-1]


@pytest.mark.parametrize("text", ["ret<0", "comm~python lat>2us", "abspath~base", "nothing-has-this"])
def test_filtered_rows(text):
    snapshot = filled().tool(OPENS.name)
    rows = StreamQuery(OPENS).run(snapshot, Query(filter=parse(OPENS, text)))
    plain = StreamQuery(OPENS).run(snapshot, Query())
    assert rows.total == len(plain)
    assert set(listed(rows, "ts")) <= set(listed(plain, "ts"))
    assert len(rows) == sum(
        int(parse(OPENS, text).mask(b, snapshot.names).sum()) for t in snapshot.ticks for b in t.events
    )


@pytest.mark.parametrize("chosen", [Query(), Query(filter=parse(OPENS, "ret<0")), Query(descending=True),
                                    Query(sort="latency_ns", descending=True), Query(sort="path")])  # fmt: skip
def test_a_row_is_found_by_its_id(chosen):
    rows = StreamQuery(OPENS).run(filled().tool(OPENS.name), chosen)
    assert [rows.find(rows.id(i)) for i in range(len(rows))] == list(range(len(rows)))
    assert rows.find(RowId(99, 0)) is None
    with pytest.raises(IndexError):
        rows.id(len(rows))


def test_ids_stay_when_ticks_come_and_go():
    held = filled(ticks=3)
    asked = StreamQuery(OPENS)
    first = asked.run(held.tool(OPENS.name), Query())
    event = first.id(len(first) - 5)
    when = values(OPENS.column("ts"), first.event(event), {})
    held._tools[OPENS.name].drop_oldest()
    held.add(synthetic.tick(OPENS, 3, 300))
    second = asked.run(held.tool(OPENS.name), Query())
    assert second.find(event) != first.find(event)
    assert values(OPENS.column("ts"), second.event(event), {}) == when


def test_a_new_tick_costs_only_itself(monkeypatch):
    made = []
    real = query_module.part
    monkeypatch.setattr(query_module, "part", lambda tick, *more: made.append(tick.start) or real(tick, *more))
    held, asked = filled(), StreamQuery(OPENS)
    wanted = Query(filter=parse(OPENS, "ret<0"))
    asked.run(held.tool(OPENS.name), wanted)
    assert len(made) == 4
    held.add(
        Tick(OPENS.name, 5, 6, (synthetic.opens(50, synthetic.START + 9 * synthetic.SECOND, np.random.default_rng(1)),))
    )
    asked.run(held.tool(OPENS.name), wanted)
    assert made[4:] == [5]


def test_names_that_come_late_change_the_answer():
    tick = synthetic.tick(OPENS, 0, 300)
    held, asked = History(TOOLS), StreamQuery(OPENS)
    held.add(Tick(OPENS.name, tick.start, tick.end, tick.events))
    wanted = Query(filter=parse(OPENS, "cgroup~nginx"))
    assert len(asked.run(held.tool(OPENS.name), wanted)) == 0
    held.add(Tick(OPENS.name, tick.end, tick.end + 1, names=tick.names))
    assert len(asked.run(held.tool(OPENS.name), wanted)) > 50


def test_late_columns_are_filtered_however_old_the_event():
    held, asked = History(TOOLS), StreamQuery(EXECS)
    first = synthetic.tick(EXECS, 0, 200)
    held.add(Tick(EXECS.name, first.start, first.end, first.events))
    wanted = Query(filter=parse(EXECS, "exit=0"))
    for number in range(1, 8):
        held.add(Tick(EXECS.name, number, number + 1))
        assert len(asked.run(held.tool(EXECS.name), wanted)) == 0
    rows = synthetic.exits(first.events[0])
    held.add(Tick(EXECS.name, 9, 10, rows=rows))
    assert len(asked.run(held.tool(EXECS.name), wanted)) == int((rows["exit_code"] == 0).sum())


@pytest.mark.parametrize("key", ["latency_ns", "pid", "comm", "path", "abspath", "flags", "ret"])
@pytest.mark.parametrize("descending", [False, True])
def test_sorted_rows(key, descending):
    snapshot = filled().tool(OPENS.name)
    rows = StreamQuery(OPENS).run(snapshot, Query(sort=key, descending=descending))
    found = listed(rows, key)
    by = (
        (lambda v: (" ".join(v) if isinstance(v, list) else v).casefold())
        if isinstance(found[0], (str, list))
        else None
    )
    assert (
        [by(v) for v in found] == sorted(map(by, found), reverse=descending)
        if by
        else found == sorted(found, reverse=descending)
    )
    assert len(found) == len(everything(snapshot))


def test_unknown_values_are_last_either_way():
    held = filled(EXECS)
    for descending in (False, True):
        rows = StreamQuery(EXECS).run(held.tool(EXECS.name), Query(sort="duration_ns", descending=descending))
        found = [v is None for v in listed(rows, "duration_ns", EXECS)]
        assert found == sorted(found)
        assert any(found)
        assert not all(found)


def test_sorting_is_bounded_to_the_newest(monkeypatch):
    monkeypatch.setattr(sort_module, "SORTED", 500)
    snapshot = filled().tool(OPENS.name)
    rows = StreamQuery(OPENS).run(snapshot, Query(sort="latency_ns"))
    newest = [r["ts"] for r in everything(snapshot)][-500:]
    assert sorted(listed(rows, "ts")) == newest
    assert rows.held > len(rows) == 500


@pytest.mark.parametrize("key", ["comm", "path", "pid", "abspath", "flags", "ret", "cgroup"])
@pytest.mark.parametrize("text", ["", "ret<0"])
def test_a_top_is_what_counting_by_hand_gives(key, text):
    held = filled()
    asked = StreamQuery(OPENS)
    wanted = Query(filter=parse(OPENS, text) if text else None, group=key)
    asked.run(held.tool(OPENS.name), wanted)
    held.add(synthetic.tick(OPENS, 4, 300))  # counted tick by tick, then together
    snapshot = held.tool(OPENS.name)
    top = asked.run(snapshot, wanted)
    by_hand: dict = defaultdict(list)
    for row in everything(snapshot):
        if not text or row["ret"] < 0:
            by_hand[tuple(row[key]) if isinstance(row[key], list) else row[key]].append(row)
    found = {}
    for row in range(len(top)):
        place, value = top.place(row), top.value(row)
        counted = top.counted
        found[tuple(value) if isinstance(value, list) else value] = (
            counted.count[place], counted.failed[place], counted.total[place], counted.max[place], counted.mean[place],
        )  # fmt: skip
        assert top.find(top.key(row)) == row
    assert found == {
        value: (
            len(rows),
            sum(r["ret"] < 0 for r in rows),
            sum(r["latency_ns"] for r in rows),
            max(r["latency_ns"] for r in rows),
            pytest.approx(sum(r["latency_ns"] for r in rows) / len(rows)),
        )
        for value, rows in by_hand.items()
    }
    assert top.span_s == pytest.approx(5.0)
    counts = [top.counted.count[top.place(r)] for r in range(len(top))]
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("by", ["failed", "total", "mean", "max", "value"])
def test_a_top_sorted_by_any_measure(by):
    top = StreamQuery(OPENS).run(filled().tool(OPENS.name), Query(group="path", top_by=by))
    if by == "value":
        found = [str(top.value(r)).casefold() for r in range(len(top))]
    else:
        found = [getattr(top.counted, by)[top.place(r)] for r in range(len(top))]
    assert found == sorted(found, reverse=True)


def test_a_top_of_the_last_seconds_only():
    snapshot = filled(ticks=6).tool(OPENS.name)
    top = StreamQuery(OPENS).run(snapshot, Query(group="comm", window_s=2))
    assert top.total == sum(t.event_count for t in snapshot.ticks[-2:])
    assert top.span_s == pytest.approx(2.0)


def test_a_top_of_nothing():
    top = StreamQuery(OPENS).run(History(TOOLS).tool(OPENS.name), Query(group="comm"))
    assert len(top) == top.total == 0


@given(st.lists(st.integers(0, 2**64 - 1), max_size=300))
@settings(max_examples=150, deadline=None)
def test_distinct_keys(numbers):
    data = np.array(numbers, dtype=np.uint64)
    first, codes = distinct(data)
    assert len(first) == len(set(numbers))
    assert [int(data[first[c]]) for c in codes] == numbers
    assert all(numbers.index(int(data[f])) == f for f in first)


def test_distinct_with_far_more_values_than_slots():
    data = np.random.default_rng(1).permutation(np.repeat(np.arange(200_000, dtype=np.uint64), 2))
    first, codes = distinct(data)
    assert len(first) == 200_000
    assert (data[first][codes] == data).all()


@given(st.lists(st.binary(max_size=20).filter(lambda b: not b.endswith(b"\0")), min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_keys_of_strings_do_not_depend_on_the_width_of_the_field(words):
    narrow, wide = np.array(words, dtype="S20"), np.array(words, dtype="S67")
    assert keys(narrow).tolist() == keys(wide).tolist()
    assert len(set(keys(narrow).tolist())) == len(set(words))
    order = combined([keys(narrow), keys(wide[::-1].copy())])
    assert len(set(order.tolist())) == len(set(zip(words, words[::-1], strict=True)))
