"""Copying what is selected, through the terminal."""

from __future__ import annotations

import unicodedata

from ebtop.model.copying import LONGEST
from ebtop.tick import Ancestor, Namespace
from ebtop.tool import Kind
from ebtop.ui.choose import Choose
from tests.ui.processes import SSHD, bash, opened
from tests.ui.screen import TOOLS, dashboard, filled, shown, started, until
from tests.ui.synthetic import Scripted

STACKS = next(t for t in TOOLS if t.kind is Kind.STACKS)


async def test_copying_a_field_says_what_was_copied():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36), notifications=True) as pilot:
        rows = await filled(pilot)
        await pilot.press("y", "enter")
        path = rows.model.value(rows.cursor, "path")
        await until(pilot, lambda: "copied path: " in shown(pilot))
        assert pilot.app.clipboard == path
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choose))
        assert "row" in shown(pilot)
        await pilot.press("escape")
        assert pilot.app.clipboard == path


async def test_copying_a_command_of_a_process_page():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 36), notifications=True) as pilot:
        await filled(pilot)
        await opened(pilot, source, says=bash())
        await pilot.press("y", "down", "enter")
        await until(pilot, lambda: "copied command, there" in shown(pilot))
        assert pilot.app.clipboard == "(cd -- '/srv/app dir' && bash deploy.sh --to 'the moon')"
        source.say(bash(argv=("x" * (LONGEST + 1),)))
        await until(pilot, lambda: "more characters of arguments" in shown(pilot))
        await pilot.press("y", "enter")
        await until(pilot, lambda: "command is too long to copy" in shown(pilot))
        assert "the moon" in pilot.app.clipboard


async def test_copying_a_function_and_nothing():
    source = Scripted(started())
    async with dashboard(source, first=STACKS.name).run_test(size=(120, 36), notifications=True) as pilot:
        await until(pilot, lambda: pilot.app.screen.view and pilot.app.screen.view._calls is not None)
        await pilot.press("y")
        await until(pilot, lambda: "nothing is selected here to copy" in shown(pilot))
        await pilot.press("down", "down", "down", "y", "down", "enter")
        await until(pilot, lambda: ";" in pilot.app.clipboard)


async def test_nothing_that_acts_on_a_terminal_is_drawn_or_copied():
    odd = "\x1b]0;owned\x07\x1b[2J\r\n\u202e\udcff"
    source = Scripted(started())
    hostile = bash(
        comm=odd, exe=f"/{odd}", cwd=f"/{odd}", user=odd, cgroup=odd, container=odd, argv=(odd, odd), state=odd,
        ancestors=(Ancestor(SSHD, odd, (odd,)),), children=(Ancestor(9, odd),), capabilities=(odd,),
        namespaces=(Namespace(odd, 1, False),),
    )  # fmt: skip
    async with dashboard(source).run_test(size=(120, 50), notifications=True) as pilot:
        await filled(pilot)
        await opened(pilot, source, says=hostile)
        for keys in ([], ["y"], ["enter"]):
            await pilot.press(*keys)
            await pilot.pause(0.2)
            bad = {c for c in shown(pilot) if unicodedata.category(c) in {"Cc", "Cf", "Cs"} and c != "\n"}
            assert bad == set()
        await until(pilot, lambda: pilot.app.clipboard)
        assert pilot.app.clipboard.isprintable()
