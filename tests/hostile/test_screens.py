"""Every pane, panel and message of the dashboard full of hostile names: drawn as the bytes that a terminal gets, the
terminal is afterwards what it is after harmless names."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given
from textual import events
from textual._compositor import LayoutUpdate
from textual.pilot import Pilot
from textual.widgets import Input

from ebtop.sanitise import joins
from ebtop.tick import Gone
from ebtop.tool import Kind, Tool
from ebtop.ui.streammodel import TopModel
from tests.hostile import TIMES, examples
from tests.hostile.emulator import Emulator, acting
from tests.hostile.machine import Machine
from tests.hostile.words import ATTACKS, harmless, pool
from tests.ui.screen import STREAMS, TOOLS, dashboard, details, filled, until
from tests.ui.synthetic import Scripted

SIZE = (110, 36)
STEP = 5 if TIMES == 1 else 1
AGGREGATES = [t for t in TOOLS if t.kind is not Kind.EVENTS]


def drawn(pilot: Pilot[Any]) -> LayoutUpdate:
    """The whole screen as it is now; nothing in it acts."""
    update = pilot.app.screen._compositor.render_update(full=True)
    assert isinstance(update, LayoutUpdate)
    for strip in update.strips:
        for segment in strip:
            assert not acting(segment.text), repr(segment.text)
    return update


def look(pilot: Pilot[Any]) -> dict[str, Any]:
    """Draw the whole screen on a terminal: what it then is; it reads as the segments say, cell by cell."""
    app, columns, rows = pilot.app, *pilot.app.size
    terminal, update = Emulator(columns, rows), drawn(pilot)
    terminal.feed(update.render_segments(app.console).encode())
    read = ["".join(c for segment in strip for c in segment.text if not joins(c)) for strip in update.strips]
    assert terminal.lines() == read
    return terminal.state


async def stream_states(words: Sequence[bytes], tool: Tool) -> list[dict[str, Any]]:
    """What a terminal is after each thing that a stream's pane shows."""
    machine = Machine(words)
    source = Scripted(machine.messages())
    states = []
    async with dashboard(source, first=tool.name, notes=(machine.word(),)).run_test(size=SIZE) as pilot:
        await filled(pilot)
        states.append(look(pilot))
        await pilot.press("home", "enter")
        pid = pilot.app.screen.view.selected_pid()
        source.say(machine.details(pid))
        await until(pilot, lambda: details(pilot)._process)
        states.append(look(pilot))
        await pilot.press("escape", "g", "enter")
        await until(pilot, lambda: pilot.app.screen.view.sought.group)
        await filled(pilot)
        states.append(look(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen.view.sought.filter)
        await filled(pilot)
        states.append(look(pilot))
        await pilot.press("slash")
        states.append(look(pilot))
        await pilot.press("escape", "question_mark")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
        states.append(look(pilot))
    return states


async def aggregate_states(words: Sequence[bytes], tool: Tool) -> list[dict[str, Any]]:
    """The same for histograms and stacks."""
    machine = Machine(words)
    source = Scripted(machine.messages())
    states = []
    async with dashboard(source, first=tool.name).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: pilot.app.screen.view.selected_pid is not None and pilot.app.focused)
        await pilot.pause(0.1)
        for keys in (["b"], ["b", "down"], ["enter", "up", "enter"], ["n", "down"], ["i", "down", "down"]):
            await pilot.press(*keys)
            await pilot.pause(0.05)
            states.append(look(pilot))
        source.say(*(machine.failed(t) for t in TOOLS))
        await pilot.pause(0.3)
        states.append(look(pilot))
        source.say(Gone(machine.word()))
        await pilot.pause(0.3)
        states.append(look(pilot))
    return states


def states(words: Sequence[bytes], tool: Tool) -> list[dict[str, Any]]:
    """What a terminal is after each of a pane's sights."""
    return asyncio.run((stream_states if tool in STREAMS else aggregate_states)(words, tool))


@cache
def after_harmless(tool: str) -> list[dict[str, Any]]:
    """The same of names that do nothing, and take as many cells."""
    return states([harmless(word) for word in ATTACKS], next(t for t in TOOLS if t.name == tool))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
@pytest.mark.parametrize("turned", [0] if TIMES == 1 else [0, 25, 50, 75])
def test_known_attacks(tool: Tool, turned: int) -> None:
    assert states([*ATTACKS[turned:], *ATTACKS[:turned]], tool) == after_harmless(tool.name)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
@examples(1)
@given(words=pool(40))
def test_any_names(words: list[bytes], tool: Tool) -> None:
    assert states(words, tool) == after_harmless(tool.name)


async def test_what_is_pasted_and_what_is_wrong_with_it() -> None:
    source = Scripted(Machine([b"name"]).messages())
    async with dashboard(source).run_test(size=SIZE) as pilot:
        await filled(pilot)
        quiet = look(pilot)
        await pilot.press("slash")
        for attack, before in zip(ATTACKS[::STEP], cycle(["", "path~(", 'comm="', "pid="]), strict=False):
            text = attack.decode("utf-8", "surrogateescape")
            pilot.app.query_one(Input).value = before
            pilot.app.post_message(events.Paste(f"{text}\n{text}"))
            await pilot.pause()
            drawn(pilot)
        assert look(pilot) == quiet
        await pilot.press("escape", "colon")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
        pilot.app.post_message(events.Paste("\x1b]0;owned\x07\x1b[2J"))
        await pilot.pause()
        assert "owned" in pilot.app.screen.query_one(Input).value
        look(pilot)


async def test_a_search_that_is_no_regular_expression() -> None:
    flame = next(t for t in AGGREGATES if t.kind is Kind.STACKS)
    async with dashboard(Scripted(Machine(list(ATTACKS)).messages()), first=flame.name).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: pilot.app.screen.view and pilot.app.screen.view.graph.has_focus)
        await pilot.press("slash")
        for typed in ("(" * 500, "a{1000}{1000}", "[", "\\", "(?<=a)", "a{99999999999}", "\ud800", "(a*)*b"):
            pilot.app.screen.view.query_one(Input).value = typed
            await pilot.pause()
            drawn(pilot)
            await pilot.press("enter")
            await pilot.pause()
        look(pilot)


async def test_a_value_that_is_not_known_yet_is_chosen_from_a_top() -> None:
    """It is no number that could be filtered by; the dashboard says so and goes on."""
    execs = next(t for t in STREAMS if t.row_key)
    late = next(c for c in execs.columns if c.late and c.key != "signal")
    async with dashboard(Scripted(Machine([b"x"]).messages()), first=execs.name).run_test(size=SIZE) as pilot:
        await filled(pilot)
        view = pilot.app.screen.view
        view.group_by(late.key)
        await until(pilot, lambda: isinstance(view._table.model, TopModel))
        model = view._table.model
        view._table._go(next(row for row in range(len(model)) if model.top.value(row) is None))
        await pilot.press("enter")
        await pilot.pause()
        assert view.sought.group == late.key
        drawn(pilot)
