"""The page of a process full of hostile names, and the choice of what to copy of it: the terminal is afterwards what it
is after harmless names, and so is the clipboard."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

from hypothesis import given

from tests.hostile import examples
from tests.hostile.emulator import acting
from tests.hostile.machine import Machine
from tests.hostile.test_screens import SIZE, drawn, look
from tests.hostile.words import ATTACKS, harmless, pool
from tests.ui.screen import EXECS, TOOLS, dashboard, filled, until
from tests.ui.synthetic import Scripted

_PARENT = 8801  # of all programs that the synthetic machine starts


async def page_states(words: Sequence[bytes]) -> list[dict[str, Any]]:
    """What a terminal is after each thing that a page shows."""
    machine = Machine(words)
    source = Scripted(machine.messages())
    states = []
    async with dashboard(source, first=EXECS.name).run_test(size=SIZE, notifications=True) as pilot:
        await filled(pilot)
        pilot.app.open_process(_PARENT)
        await until(pilot, lambda: pilot.app.screen.query("Sheet") and pilot.app.screen.view.facts.doings)
        states.append(look(pilot))  # as events tell of it
        source.say(machine.details(_PARENT))
        await until(pilot, lambda: pilot.app.screen._details)
        states.append(look(pilot))
        for keys in (["end"], ["pageup"], *([tool.key] for tool in TOOLS)):
            await pilot.press(*keys)
            await pilot.pause(0.1)
            states.append(look(pilot))
        await pilot.press(EXECS.key, "home")
        await pilot.pause(0.1)
        for place in range(6):
            await pilot.press("y", *["down"] * place)
            drawn(pilot)
            await pilot.press("enter")
            await pilot.pause()
            states.append(look(pilot))
            assert not acting(pilot.app.clipboard.replace("\t", "")), repr(pilot.app.clipboard)
        await pilot.press("1", "end", "enter")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 3)
        states.append(look(pilot))  # its way here has hostile names
    return states


@cache
def after_harmless() -> list[dict[str, Any]]:
    """The same of names that do nothing, and take as many cells."""
    return asyncio.run(page_states([harmless(word) for word in ATTACKS]))


def test_known_attacks() -> None:
    assert asyncio.run(page_states(ATTACKS)) == after_harmless()


@examples(1)
@given(words=pool(40))
def test_any_names(words: list[bytes]) -> None:
    assert asyncio.run(page_states(words)) == after_harmless()
