"""The dashboard on a recording: the same numbers as live, and any time in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ebtop.record.reader import Recording
from ebtop.record.writer import RecordingWriter
from ebtop.source.replay import ReplaySource
from ebtop.tick import Message
from ebtop.ui.app import Dashboard
from ebtop.ui.timebar import TimeBar
from tests.ui import synthetic
from tests.ui.screen import OPENS, TOOLS, dashboard, filled, lines, settled, shown, started, table, until
from tests.ui.synthetic import SECOND, START, Scripted


class Hand:
    """A clock that a test turns on."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def recorded(path: Path, messages: Sequence[Message], closed: bool = True) -> Path:
    """A recording of these messages."""
    writer = RecordingWriter(path, force=True, tools=TOOLS)
    for message in messages:
        writer.add(message)
    writer.commit()
    if closed:
        writer.close()
    else:
        writer.abandon()
    return path


def replayed(path: Path, hand: Callable[[], float], first: str = OPENS.name) -> Dashboard:
    """A dashboard on a recording."""
    source = ReplaySource(Recording(path), TOOLS, hand)
    return Dashboard(source, TOOLS, first=first, clock=source.now)


async def times(pilot) -> list[int]:
    rows = table(pilot).model
    return [rows.value(r, "ts") for r in range(len(rows))]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
async def test_every_pane_shows_the_same_numbers_as_live(tmp_path, tool):
    said = started(3)
    recorded(tmp_path / "r", said)
    screens = []
    hand = Hand()
    for app in (dashboard(Scripted(said), first=tool.name), replayed(tmp_path / "r", hand, tool.name)):
        async with app.run_test(size=(120, 36)) as pilot:
            hand.seconds += 3.5
            app.reader.change_speed(0)
            await until(pilot, lambda: "[ back" in shown(pilot))
            await until(pilot, lambda app=app: len(app._panes._snapshot.tools[tool.name].ticks) == 3)
            await pilot.press("space")
            await settled(pilot)
            # Where a row of equal ones stands depends on the pictures that were drawn before.
            screens.append("\n".join(sorted(lines(pilot)[2:-2])))
    assert screens[0] == screens[1]


async def test_any_time_is_shown_as_it_was_live(tmp_path):
    said = started(30)
    hand = Hand()
    async with replayed(recorded(tmp_path / "r", said), hand).run_test(size=(120, 36)) as pilot:
        hand.seconds += 30
        pilot.app.reader.change_speed(0)
        await filled(pilot)
        for wanted in (12, 3, 29):
            pilot.app.screen._look_at(START + wanted * SECOND)
            held = Scripted([m for m in said if getattr(m, "end", 0) <= START + wanted * SECOND])
            await until(pilot, lambda wanted=wanted: snapshot(pilot).playback.time == START + wanted * SECOND)
            await until(pilot, lambda wanted=wanted: len(snapshot(pilot).tools[OPENS.name].ticks) == wanted)
            async with dashboard(held).run_test(size=(120, 36)) as live:
                await until(live, lambda wanted=wanted: len(snapshot(live).tools[OPENS.name].ticks) == wanted)
                for name, tool in snapshot(live).tools.items():
                    again = snapshot(pilot).tools[name]
                    assert (again.events, again.lost, again.names) == (tool.events, tool.lost, tool.names)
                    assert [t.end for t in again.ticks] == [t.end for t in tool.ticks]


def snapshot(pilot):
    return pilot.app.screen_stack[0]._snapshot


async def test_it_plays_stands_and_steps(tmp_path):
    hand = Hand()
    async with replayed(recorded(tmp_path / "r", started(20)), hand).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "▶ REPLAY" in lines(pilot)[0])
        hand.seconds += 2.5
        await pilot.press("greater_than_sign")
        await until(pilot, lambda: " 2x" in lines(pilot)[0] and len(table(pilot).model) == 2 * 201)
        hand.seconds += 2
        await pilot.press("space")  # 2.5 s, and twice 2 s
        await until(pilot, lambda: "║ REPLAY" in lines(pilot)[0] and len(table(pilot).model) == 6 * 201)
        hand.seconds += 5
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(pilot, lambda: len(table(pilot).model) == 4 * 201)
        await pilot.press("right_curly_bracket")
        await until(pilot, lambda: len(table(pilot).model) == 14 * 201)
        await pilot.press(*["left_curly_bracket"] * 3)
        await until(pilot, lambda: len(table(pilot).model or ()) == 0)
        await pilot.press("right_square_bracket", "space")
        hand.seconds += 1
        await pilot.press("less_than_sign")
        await until(pilot, lambda: len(table(pilot).model) == 3 * 201 and "2x" not in lines(pilot)[0])
        await pilot.press("end")
        await until(pilot, lambda: len(table(pilot).model) == 20 * 201 and " end" in lines(pilot)[0])


async def test_the_time_bar_spans_the_whole_recording(tmp_path):
    hand = Hand()
    async with replayed(recorded(tmp_path / "r", started(200, rate=20)), hand).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "REPLAY" in lines(pilot)[0] and "3.3 m" in lines(pilot)[-2])
        bar = pilot.app.screen.query_one(TimeBar)
        assert len(bar._activity) == 200
        await pilot.click("#timebar", offset=(60, 0))
        await until(pilot, lambda: "║ REPLAY" in lines(pilot)[0])
        at = snapshot(pilot).playback.time
        assert START + 60 * SECOND < at < START + 180 * SECOND
        await until(pilot, lambda: snapshot(pilot).tools[OPENS.name].ticks[-1].end <= at)
        assert snapshot(pilot).tools[OPENS.name].ticks[-1].end > at - SECOND
        assert len(bar._activity) == 200


async def test_what_a_recording_cannot_do_is_said(tmp_path):
    hand = Hand()
    said = [m for m in started(3) if getattr(m, "tool", OPENS.name) == OPENS.name]
    async with replayed(recorded(tmp_path / "r", said, closed=False), hand).run_test(
        size=(120, 36), notifications=True
    ) as pilot:
        hand.seconds += 3
        pilot.app.reader.change_speed(0)
        await filled(pilot)
        assert "not closed" in lines(pilot)[0]
        await pilot.press("f")
        await until(pilot, lambda: "a recording holds what" in shown(pilot))
        other = next(t for t in TOOLS if t.name != OPENS.name)
        await pilot.press(other.key)
        await until(pilot, lambda: "has nothing of it" in shown(pilot))


async def test_a_recording_that_goes_on_is_followed(tmp_path):
    hand = Hand()
    said = started(4)
    writer = RecordingWriter(tmp_path / "r", tools=TOOLS)
    first = 1 + 2 * len(TOOLS)  # vitals, states, the first second
    for message in said[:first]:
        writer.add(message)
    writer.commit()
    async with replayed(tmp_path / "r", hand).run_test(size=(120, 36)) as pilot:
        await pilot.press("end")
        await until(pilot, lambda: len(table(pilot).model or ()) == 201)
        hand.seconds += 10
        for message in said[first:]:
            writer.add(message)
        writer.commit()
        await until(pilot, lambda: len(table(pilot).model) == 4 * 201)
        assert "not closed" in lines(pilot)[0]
        writer.close()
        await until(pilot, lambda: "not closed" not in lines(pilot)[0])


async def test_the_last_vitals_of_a_time_are_shown(tmp_path):
    said = started(3)
    said.append(synthetic.vitals())
    hand = Hand()
    async with replayed(recorded(tmp_path / "r", said), hand).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "web-03" in lines(pilot)[0])
