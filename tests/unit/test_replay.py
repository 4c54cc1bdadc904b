"""Any time of a recording: what is shown at once, and what follows as soon as nothing else is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ebtop.model.history import History
from ebtop.record.reader import Recording
from ebtop.source import replay
from ebtop.source.replay import PAST, SOON, ReplaySource
from ebtop.tick import Message, Past, Tick
from ebtop.tool import values
from tests.ui import synthetic
from tests.ui.synthetic import SECOND, START
from tests.unit.recordings import OPENS, TOOLS, record, ticks

SECONDS = PAST[1] + 20


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recorded") / "r", ticks(SECONDS, 20))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if what is recorded were too much to be read at once."""
    monkeypatch.setattr(replay, "AT_ONCE", 0)


def told(source: ReplaySource) -> Iterator[Past]:
    return (message for message in source.messages() if isinstance(message, Past))


def held(past: Past) -> dict[str, int]:
    """Ticks of each tool."""
    return Counter(tick.tool for tick in past.ticks)


def at(second: int) -> int:
    return START + second * SECOND


@pytest.mark.usefixtures("slow")
def test_the_last_seconds_come_first(recorded: Path) -> None:
    source = ReplaySource(Recording(recorded), TOOLS, steady=lambda: 0.0)
    source.stand(at(SECONDS))
    said = told(source)
    soon, whole = next(said), next(said)
    assert (soon.time, whole.time) == (at(SECONDS), at(SECONDS))
    assert held(soon) == {tool.name: SOON[1] for tool in TOOLS}
    assert held(whole) == {tool.name: PAST[1] for tool in TOOLS}
    ends = [[(tick.end, tick.tool) for tick in past.ticks] for past in (soon, whole)]
    assert sorted(ends[1])[-len(ends[0]) :] == sorted(ends[0])
    made = sum(len(batch) for tick in ticks(SECONDS, 20, [OPENS]) for batch in tick.events)
    assert [_events(past) for past in (soon, whole)] == [made, made]


def _events(past: Past) -> int:
    history = History(TOOLS)
    history.add(past)
    return history.tool(OPENS.name).events


@pytest.mark.usefixtures("slow")
def test_what_is_asked_for_meanwhile_comes_before_the_rest(recorded: Path) -> None:
    source = ReplaySource(Recording(recorded), TOOLS, steady=lambda: 0.0)
    said, seen = told(source), list[tuple[int, bool]]()
    for second in (70, 50, 60):
        source.stand(at(second))
        past = next(said)
        seen.append((past.time, len(past.ticks) == SOON[1] * len(TOOLS)))
    past = next(said)
    assert seen == [(at(70), True), (at(50), True), (at(60), True)]
    assert (past.time, held(past)) == (at(60), {tool.name: 60 for tool in TOOLS})


@pytest.mark.usefixtures("slow")
def test_reading_the_rest_is_left_for_what_is_asked_for(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording(recorded)
    source = ReplaySource(recording, TOOLS, steady=lambda: 0.0)
    source.stand(at(70))
    said = told(source)
    assert next(said).time == at(70)
    read, asked = recording.ticks, list[set[str]]()

    def ticks_while_somebody_goes_on(*arguments: Any) -> Iterator[Tick]:
        if len(arguments) == 3:  # of the past; without an end it is what follows
            if not asked:
                source.stand(at(40))
            asked.append(arguments[0])
        return read(*arguments)

    monkeypatch.setattr(recording, "ticks", ticks_while_somebody_goes_on)
    assert next(said).time == at(40)
    assert len(asked) == 1 + len(TOOLS)  # one tool's at 70, and all of them at 40


def test_a_small_past_comes_once(recorded: Path) -> None:
    source = ReplaySource(Recording(recorded), TOOLS, steady=lambda: 0.0)
    source.stand(at(SECONDS))
    said = source.messages()
    first = next(message for message in said if isinstance(message, Past))
    source.close()
    rest: list[Message] = list(said)
    assert held(first) == {tool.name: PAST[1] for tool in TOOLS}
    assert not any(isinstance(message, Past) for message in rest)


def test_events_have_their_stacks_where_what_told_them_is_before_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a flood ticks are shorter than the second after which a stack is told again, and few of them are read."""
    monkeypatch.setattr(replay, "PAST", (1, 150))
    made = [synthetic.tick(OPENS, number, 20, stacks=True) for number in range(10)]
    quiet = [replace(tick, names={**tick.names, "stack": {}, "kstack": {}}) for tick in made]
    recording = record(tmp_path / "r", [*made[:4], *quiet[4:6], *quiet[6:]])
    for second, has in ((4, True), (5, True), (6, True), (10, False)):
        source = ReplaySource(Recording(recording), TOOLS, steady=lambda: 0.0)
        source.stand(at(second))
        past = next(told(source))
        source.close()
        (tick,) = past.ticks
        history = History(TOOLS)
        history.add(past)
        found = _stacks(history, tick)
        wanted = _stacks_of(made[second - 1])
        assert found == (wanted if has else [None] * len(wanted))


def _stacks(history: History, tick: Tick) -> list[Any]:
    column = OPENS.column("stack")
    assert column is not None
    return [stack for batch in tick.events for stack in values(column, batch, history.tool(OPENS.name).names)]


def _stacks_of(tick: Tick) -> list[Any]:
    history = History(TOOLS)
    history.add(tick)
    return _stacks(history, tick)
