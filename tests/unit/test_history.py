"""History: bounded, fair between tools, and honest about what late rows say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ebtop import registry
from ebtop.model import history
from ebtop.model.history import History
from ebtop.model.told import SharedStacks
from ebtop.tick import Frame, Gone, Notice, Phase, ProcessDetails, Stack, Tick, ToolState, Vitals
from ebtop.tool import Kind, values
from tests.ui import synthetic

TOOLS = registry.tools()
OPENS = next(t for t in TOOLS if t.column("abspath"))
EXECS = next(t for t in TOOLS if any(c.late for c in t.columns))


def test_a_flood_in_one_tool_leaves_the_others_theirs():
    quiet = synthetic.tick(EXECS, 0, 100)
    budget = 40 * synthetic.tick(OPENS, 0, 20_000).nbytes
    held = History(TOOLS, budget)
    held.add(quiet)
    for number in range(60):
        held.add(synthetic.tick(OPENS, number, 20_000))
    assert held.tool(EXECS.name).ticks == (quiet,)
    assert 35 < len(held.tool(OPENS.name).ticks) <= 40
    assert held.nbytes <= budget
    assert held.tool(OPENS.name).events == sum(synthetic.tick(OPENS, n, 20_000).event_count for n in range(60))


def test_two_floods_share():
    one = synthetic.tick(OPENS, 0, 2000)
    held = History(TOOLS, 20 * one.nbytes)
    for number in range(20):
        held.add(synthetic.tick(OPENS, number, 2000))
    for number in range(250):
        held.add(synthetic.tick(EXECS, number, 500))
    opens, execs = (held.tool(tool.name).ticks for tool in (OPENS, EXECS))
    assert held.nbytes <= 20 * one.nbytes
    assert 0.3 < sum(t.nbytes for t in opens) / (20 * one.nbytes) < 0.75
    assert len(execs) > 1


def test_the_newest_tick_stays_however_large():
    held = History(TOOLS, 1000)
    for number in range(3):
        held.add(synthetic.tick(OPENS, number, 1000))
    assert [t.start for t in held.tool(OPENS.name).ticks] == [synthetic.START + 2 * synthetic.SECOND]


def test_a_snapshot_does_not_change():
    held = History(TOOLS)
    held.add(synthetic.tick(EXECS, 0, 100))
    before = held.snapshot(5)
    names = {d: dict(n) for d, n in before.tools[EXECS.name].names.items()}
    held.add(synthetic.tick(EXECS, 1, 100))
    held.add(Tick(EXECS.name, 0, 1, names={"cgroup": {1: "renamed"}}, lost={"ring full": 3}))
    held.add(Notice("x"))
    assert len(before.tools[EXECS.name].ticks) == 1
    assert {d: dict(n) for d, n in before.tools[EXECS.name].names.items()} == names
    assert before.tools[EXECS.name].lost == {}
    assert before.notices == ()
    assert held.snapshot(6).tools[EXECS.name].lost == {"ring full": 3}
    assert held.snapshot(6).tools[EXECS.name].names["cgroup"][1] == "renamed"
    assert held.tool(OPENS.name) is before.tools[OPENS.name]


def test_stacks_that_are_told_again_are_held_once(monkeypatch):
    profile = next(t for t in registry.tools() if t.kind is Kind.STACKS)
    kept = History((profile,))
    told = [Stack((Frame("main", "a.out", False), Frame(f"f{n % 3}", "a.out", False)), n, 1, 1, "a") for n in range(6)]
    for second in range(2):
        fresh = tuple(replace(s, frames=tuple(Frame(*f) for f in s.frames)) for s in told)
        kept.add(Tick(profile.name, second, second + 1, stacks=fresh))
    held = kept.tool(profile.name).ticks
    assert [tick.stacks for tick in held] == [tuple(told)] * 2
    assert len({id(stack.frames) for tick in held for stack in tick.stacks}) == 3
    assert len({id(frame) for tick in held for stack in tick.stacks for frame in stack.frames}) == 4
    monkeypatch.setattr(SharedStacks, "MOST", 3)
    kept.add(Tick(profile.name, 2, 3, stacks=tuple(told)))
    assert kept.tool(profile.name).ticks[-1].stacks == tuple(told)


def test_late_rows_complete_their_events_and_go_with_them():
    held = History(TOOLS)
    first = synthetic.tick(EXECS, 0, 200)
    held.add(Tick(EXECS.name, first.start, first.end, first.events))
    column = EXECS.column("exit_code")
    assert set(values(column, first.events[0], held.tool(EXECS.name).names)) == {None}
    rows = synthetic.exits(first.events[0])
    held.add(Tick(EXECS.name, first.start, first.end, rows=rows))
    assert values(column, first.events[0], held.tool(EXECS.name).names) == rows["exit_code"].tolist()
    small = History(TOOLS, 1)
    for number in range(50):
        small.add(synthetic.tick(EXECS, number, 200))
    kept = {len(small.tool(EXECS.name).names[key]) for key in ("exit_code", "duration_ns", "signal")}
    assert max(kept) <= 10


def test_a_row_that_comes_before_its_event_is_kept_and_one_without_an_event_is_not():
    event = synthetic.execs(1, synthetic.START, np.random.default_rng(1), 77)
    held = History(TOOLS, 1)
    held.add(Tick(EXECS.name, 0, 1, rows=synthetic.exits(event)))
    assert 77 in held.tool(EXECS.name).names["exit_code"]
    held.add(Tick(EXECS.name, 1, 2, (event,)))
    assert 77 in held.tool(EXECS.name).names["exit_code"]
    held.add(Tick(EXECS.name, 2, 3))
    assert not held.tool(EXECS.name).names["exit_code"]


def test_names_outlive_their_tick_but_not_without_bound(monkeypatch):
    monkeypatch.setattr(history, "NAMES_KEPT", 100)
    held = History(TOOLS, 1)
    held.add(Tick(OPENS.name, 0, 1, names={"cgroup": {1: "/a"}}))
    held.add(synthetic.tick(OPENS, 1, 10))
    assert held.tool(OPENS.name).names["cgroup"][1]
    for number in range(30):
        learnt = {1: "/a"} | {10 * number + i + 1000: f"/{i}" for i in range(10)}
        held.add(Tick(OPENS.name, 0, 1, names={"cgroup": learnt}))
    known = held.tool(OPENS.name).names["cgroup"]
    assert len(known) == 100
    assert known[1] == "/a"
    assert 1000 not in known


def test_events_have_their_stack_after_the_tick_is_gone_that_told_it():
    held = History(TOOLS, 1)
    for number in range(20):
        tick = synthetic.tick(OPENS, number, 10, stacks=True)
        own = dict.fromkeys((number, number + 1), f'["f{number}"]')
        names = {**tick.names, "stack": own, "kstack": {}} if number % 4 == 0 else {}
        held.add(replace(tick, names=names))
        found = held.tool(OPENS.name).names["stack"]
        assert len(held.tool(OPENS.name).ticks) == 1
        assert found[number - number % 4] == f'["f{number - number % 4}"]'
        assert len(found) <= 4
    assert held.nbytes < 10_000


def test_every_kind_of_message_is_taken_over():
    held = History(TOOLS)
    vitals, state = synthetic.vitals(), ToolState(OPENS.name, Phase.RUNNING, ("kprobe:x",))
    for message in (vitals, state, ProcessDetails(7, True), Notice("a"), Gone("died")):
        held.add(message)
    held.add(ToolState("stranger", Phase.RUNNING))
    held.add(Tick("stranger", 0, 1))
    found = held.snapshot(9)
    assert isinstance(found.vitals, Vitals)
    assert found.tools[OPENS.name].state is state
    assert found.processes == {7: ProcessDetails(7, True)}
    assert found.gone == "died"
    assert "stranger" not in found.tools
    held.restarted()
    assert held.snapshot(10).gone is None


@pytest.mark.parametrize("count", [60, 200])
def test_notices_are_bounded(count):
    held = History(TOOLS)
    for number in range(count):
        held.add(Notice(str(number)))
    assert [n.text for n in held.snapshot(0).notices] == [str(n) for n in range(count - 50, count)]


def test_ticks_of_processes_are_measured_with_the_arguments_that_they_tell():
    tool = next(t for t in TOOLS if t.kind is Kind.PROCESSES)
    plain = synthetic.tick(tool, 1, 0)
    long = replace(plain, names={"argv": {1: "x" * 1_000_000}})
    held = History(TOOLS, 10_000_000)
    held.add(plain)
    small = held.nbytes
    assert plain.nbytes <= small < plain.nbytes + 10_000
    for _ in range(50):
        held.add(long)
    assert 5 <= len(held.tool(tool.name).ticks) <= 10
    assert held.nbytes <= 10_000_000


def test_the_activity_of_processes_is_their_time_on_cpus():
    tool = next(t for t in TOOLS if t.kind is Kind.PROCESSES)
    held = History(TOOLS)
    ticks = [synthetic.tick(tool, n, 0) for n in (0, 30)]
    for tick in ticks:
        held.add(tick)
    amounts = [moment.amount for moment in held.tool(tool.name).activity]
    assert amounts == [int(tick.rows["cpu_ns"].sum()) // 1_000_000 for tick in ticks]
    assert 3000 < amounts[0] < amounts[1]
