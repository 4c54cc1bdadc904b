"""Terminals of any size, resized while hostile names are on them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from ebtop.tool import Tool
from tests.hostile import examples
from tests.hostile.emulator import acting
from tests.hostile.machine import Machine
from tests.hostile.words import ATTACKS
from tests.ui.screen import TOOLS, dashboard, until
from tests.ui.synthetic import Scripted

EDGES = [
    (1, 1),
    (1, 200),
    (500, 1),
    (2, 2),
    (3, 10),
    (39, 9),
    (40, 10),
    (41, 11),
    (80, 24),
    (99, 10),
    (100, 30),
    (500, 200),
]
KEYS = ["enter", "escape", "down", "up", "end", "home", "pagedown", "g", "s", "b", "w", "i", "n", "t", "question_mark",
"slash",
        "colon", "space", "tab", "right", "backspace", "r"]  # fmt: skip


def drawn(pilot: Pilot[Any]) -> None:
    """As many lines as there are, none of them wider than the screen, nothing in them that acts."""
    screen = pilot.app.screen
    strips = screen._compositor.render_strips(screen.size)
    assert len(strips) <= screen.size.height
    assert max(strip.cell_length for strip in strips) <= screen.size.width
    assert not acting("".join(segment.text for strip in strips for segment in strip))


async def resized(tool: Tool, steps: Sequence[tuple[tuple[int, int], str]]) -> None:
    """Sizes and keys in turn; an exception in any widget ends the test."""
    source = Scripted(Machine(ATTACKS).messages())
    async with dashboard(source, first=tool.name).run_test(size=steps[0][0]) as pilot:
        await until(pilot, lambda: pilot.app.screen.view)
        source.say(Machine(ATTACKS).details(2114))
        for size, key in steps:
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: pilot.app.screen.size == pilot.app.size)
            drawn(pilot)
            await pilot.press(key)
            await pilot.pause()
            drawn(pilot)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
def test_the_smallest_and_the_largest(tool: Tool) -> None:
    keys = ["enter", "down", "g", "escape", "b", "question_mark", "escape", "n", "enter", "s", "escape", "slash"]
    asyncio.run(resized(tool, list(zip(EDGES, keys, strict=True))))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
@examples(2)
@given(steps=st.lists(st.tuples(st.one_of(st.sampled_from(EDGES), st.tuples(st.integers(1, 160), st.integers(1, 60))),
                                st.sampled_from(KEYS)), min_size=4, max_size=8))  # fmt: skip
def test_any_sizes(tool: Tool, steps: list[tuple[tuple[int, int], str]]) -> None:
    asyncio.run(resized(tool, steps))
