"""Dialogs that were left do not pile up until their end holds up a key."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from ebtop.memory import settle
from ebtop.ui.help import Help
from tests.ui import synthetic
from tests.ui.screen import OPENS, dashboard, filled, started, until
from tests.ui.synthetic import Scripted

DIALOGS = 25


@pytest.fixture
def collections() -> Iterator[list[tuple[int, int]]]:
    """The generation of each collection and how many objects it found, as they are when the dashboard runs."""
    found: list[tuple[int, int]] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            found.append((info["generation"], info["collected"]))

    before = gc.get_threshold()
    gc.collect()
    settle()
    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)
    gc.set_threshold(*before)
    gc.unfreeze()


async def test_the_garbage_of_dialogs_goes_in_small_parts(collections: list[tuple[int, int]]) -> None:
    source = Scripted(started(8))
    async with dashboard(source, first=OPENS.name).run_test(size=(120, 36)) as pilot:
        await filled(pilot)
        for number in range(DIALOGS):
            await pilot.press("question_mark")
            await until(pilot, lambda: isinstance(pilot.app.screen, Help))
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(pilot.app.screen, Help))
            source.say(synthetic.tick(OPENS, 8 + number, 200))
        assert sum(generation > 0 for generation, _ in collections) >= 2
        assert max(found for _, found in collections) < 40_000
