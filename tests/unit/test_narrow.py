"""What is left of the tools' data for one process, and what they tell of it and its family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ebtop.model.doing import doing
from ebtop.model.history import History
from ebtop.model.kin import MOST_CHILDREN, children, known
from ebtop.model.narrow import Narrow
from ebtop.model.processfacts import ProcessReader
from ebtop.tick import Ancestor, Phase, ProcessDetails, Tick, ToolState
from ebtop.tool import Column, Kind, Tool, Type, values
from tests.ui import synthetic
from tests.ui.screen import EXECS, OPENS, TOOLS, started

PYTHON, BASH = 8944, 8801
HISTOGRAM = next(t for t in TOOLS if t.kind is Kind.HISTOGRAM)
STACKS = next(t for t in TOOLS if t.kind is Kind.STACKS)
TABLE = Tool(
    "table", "1", Kind.PROCESSES, "processes", "", (),
    (Column("pid", "PID", Type.INT, ""), Column("ppid", "PPID", Type.INT, ""), Column("comm", "COMM", Type.TEXT, ""),
     Column("cpu_ns", "CPU", Type.DURATION, "")),
)  # fmt: skip
ROWS = np.dtype([("pid", "u4"), ("ppid", "u4"), ("comm", "S16"), ("cpu_ns", "u8")])


def held(*messages, tools=TOOLS):
    history = History(tools)
    for message in messages or started(4):
        history.add(message)
    return history


def column(snapshot, key):
    found = snapshot.tool.column(key)
    return [v for t in snapshot.ticks for b in t.events for v in values(found, b, snapshot.names)]


def test_events_are_those_of_the_process_in_the_same_order():
    whole = held().tool(OPENS.name)
    mine = Narrow(OPENS, PYTHON)(whole)
    assert set(column(mine, "pid")) == {PYTHON}
    expected = [ts for ts, pid in zip(column(whole, "ts"), column(whole, "pid"), strict=True) if pid == PYTHON]
    assert column(mine, "ts") == expected
    assert mine.events == len(expected) == sum(moment.amount for moment in mine.activity)
    assert [t.end for t in mine.ticks] == [t.end for t in whole.ticks]
    assert mine.lost == whole.lost


def test_children_count_where_parents_are_told():
    mine = Narrow(EXECS, BASH)(held().tool(EXECS.name))
    assert set(column(mine, "ppid")) == {BASH}
    assert mine.events == held().tool(EXECS.name).events
    assert Narrow(EXECS, PYTHON)(held().tool(EXECS.name)).events == 0


def test_a_histogram_takes_the_place_of_the_whole():
    whole = held().tool(HISTOGRAM.name)
    mine = Narrow(HISTOGRAM, PYTHON)(whole)
    for before, after in zip(whole.ticks, mine.ticks, strict=True):
        (own,) = [h for h in before.histograms if (h.group, h.key) == ("pid", PYTHON)]
        assert {h.group: h.counts.tolist() for h in after.histograms} == {"all": own.counts.tolist(),
                                                                         "pid": own.counts.tolist()}  # fmt: skip


def test_stacks_are_those_of_the_process():
    mine = Narrow(STACKS, PYTHON)(held().tool(STACKS.name))
    assert {stack.pid for tick in mine.ticks for stack in tick.stacks} == {PYTHON}


def test_a_tick_is_narrowed_once_and_let_go_with_it():
    history, narrow = held(), Narrow(OPENS, PYTHON)
    first = narrow(history.tool(OPENS.name))
    history.add(synthetic.tick(OPENS, 4, 200))
    second = narrow(history.tool(OPENS.name))
    assert len(second.ticks) == len(first.ticks) + 1
    assert all(a is b for a, b in zip(first.ticks, second.ticks, strict=False))
    earlier = narrow(history.tool(OPENS.name).until(first.ticks[1].end))
    assert [a is b for a, b in zip(first.ticks, earlier.ticks, strict=False)] == [True, True]
    assert len(narrow._known) == 2


def test_what_is_kept_does_not_hold_the_whole():
    """A slice would keep the batch alive, and with it the memory that capture lends."""
    mine = Narrow(OPENS, PYTHON)(held().tool(OPENS.name))
    assert all(batch.base is None for tick in mine.ticks for batch in tick.events)


def test_lines_of_what_it_does():
    snapshot = held(*started(20))
    lines = {t.name: doing(Narrow(t, BASH)(snapshot.tool(t.name))) for t in TOOLS}
    execs = lines[EXECS.name]
    assert execs.total == 20 * 10
    assert execs.rate == pytest.approx(10.0)
    assert execs.recent == (10,) * 12
    newest = snapshot.tool(EXECS.name).ticks[-1].events[0]
    failed = newest["ret"][-1] < 0
    assert execs.failed is bool(failed)
    assert ("ENOENT" in execs.latest) is bool(failed)
    assert "p99" in lines[HISTOGRAM.name].latest
    python = doing(Narrow(STACKS, PYTHON)(snapshot.tool(STACKS.name)))
    assert python.latest == "[unknown] 100 %"
    assert doing(Narrow(OPENS, 1)(snapshot.tool(OPENS.name))).latest == ""


def test_a_tool_that_failed_is_no_process_that_did_nothing():
    history = held(ToolState(OPENS.name, Phase.FAILED, reason="no\x1b such probe"))
    line = doing(Narrow(OPENS, BASH)(history.tool(OPENS.name)))
    assert (line.latest, line.failed) == ("× cannot run here: no\\x1b such probe", True)


def test_children_that_were_seen_and_how_they_ended():
    history = held()
    mine = Narrow(EXECS, BASH)(history.tool(EXECS.name))
    found = children([mine], BASH)
    pids = sorted(set(column(mine, "pid")))
    assert sorted(child.process.pid for child in found) == pids
    assert [child.time for child in found] == sorted(child.time for child in found)
    ended = dict(zip(column(mine, "pid"), column(mine, "exit_code"), strict=True))
    for child in found:
        code = ended[child.process.pid]
        assert child.ended.endswith(f"exit {code}") if code is not None else child.ended == ""
    assert children([Narrow(OPENS, BASH)(history.tool(OPENS.name))], BASH) == ()


def test_only_the_newest_of_very_many_children():
    history = held(*(synthetic.tick(EXECS, number, 8000) for number in range(3)))
    mine = Narrow(EXECS, BASH)(history.tool(EXECS.name))
    found = children([mine], BASH)
    assert len(found) == MOST_CHILDREN
    assert [c.time for c in found] == sorted(column(mine, "ts"))[-MOST_CHILDREN:]


def test_who_it_is_by_its_own_events():
    history = held()
    first = history.tool(EXECS.name).ticks[0].events[0]
    row = int(np.flatnonzero(first["ret"] == 0)[0])
    pid = int(first["pid"][row])
    told = known([Narrow(t, pid)(history.tool(t.name)) for t in TOOLS], pid)
    assert told.values["ppid"] == BASH
    assert told.values["argv"] == values(EXECS.column("argv"), first[[row]], {})[0]
    assert told.first == told.last == int(first["ts"][row])
    assert "exit" in told.ended
    failed = int(first["pid"][np.flatnonzero(first["ret"] < 0)[0]]) if (first["ret"] < 0).any() else None
    if failed is not None:  # what it tried to become it is not
        assert "argv" not in known([Narrow(t, failed)(history.tool(t.name)) for t in TOOLS], failed).values


def test_ancestors_by_events_where_nobody_can_be_asked():
    batch = synthetic.tick(EXECS, 0, 100).events[0][:3].copy()
    batch["ret"] = 0
    batch["pid"], batch["ppid"] = [50, 60, 70], [BASH, 50, 60]
    tick = replace(synthetic.tick(EXECS, 0, 100), events=(batch,))
    snapshot = held(tick, *started(2)[1:], synthetic.tick(OPENS, 0, 200)).snapshot(0)
    reader = ProcessReader([Narrow(t, 70) for t in TOOLS], 70)
    above = reader.read(snapshot).ancestors
    assert [a.pid for a in above] == [60, 50, BASH]
    assert above[0].argv == tuple(values(EXECS.column("argv"), batch[1:2], {})[0])
    assert above[2] == Ancestor(BASH, "bash")  # of which only other tools told
    asked = held(tick, ProcessDetails(70, True, ancestors=(Ancestor(1, "init"),))).snapshot(0)
    assert reader.read(asked).ancestors == ()  # /proc knows better


def test_a_loop_of_parents_ends():
    batch = synthetic.tick(EXECS, 0, 100).events[0][:2].copy()
    batch["pid"], batch["ppid"] = [50, 60], [60, 50]
    snapshot = held(replace(synthetic.tick(EXECS, 0, 100), events=(batch,))).snapshot(0)
    above = ProcessReader([Narrow(EXECS, 50)], 50).read(snapshot).ancestors
    assert [a.pid for a in above] == [60]


def test_rows_of_a_view_of_processes_are_figures_and_children():
    rows = np.array([(7, 1, b"sh", 2_100), (8, 7, b"sed", 900), (9, 1, b"x", 0)], ROWS)
    history = held(Tick(TABLE.name, 0, 10**9, rows=rows, gauges={"load": 1.0}), tools=[TABLE])
    facts = ProcessReader([Narrow(TABLE, 7)], 7).read(history.snapshot(10**9))
    assert facts.figures == (("cpu", "2.1 us"),)
    assert [(c.process.pid, c.process.comm) for c in facts.children] == [(8, "sed")]
    assert facts.doings == ()
