"""Driving the dashboard in tests: build it on a scripted source, wait for what is to happen, read what is drawn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from textual.pilot import Pilot

from ebtop import registry
from ebtop.config import Config
from ebtop.tick import Message
from ebtop.tool import Kind, Tool
from ebtop.ui.app import Dashboard
from ebtop.ui.details import Details
from ebtop.ui.table import Table
from tests.ui import synthetic
from tests.ui.synthetic import SECOND, START, Scripted, Synthetic

TOOLS = registry.tools()
STREAMS = [t for t in TOOLS if t.kind is Kind.EVENTS]


def tool(key: str) -> Tool:
    """The tool whose events have such a column and no late ones, or those of `late`."""
    if key == "late":
        return next(t for t in STREAMS if t.row_key)
    return next(t for t in STREAMS if t.column(key) and not t.row_key)


OPENS, EXECS, CONNECTS = tool("path"), tool("late"), tool("daddr")
PROCESSES = next(t for t in TOOLS if t.kind is Kind.PROCESSES)
SECONDS = 32


def ticks(count: int = 3, rate: int = 200, tools: Sequence[Tool] = TOOLS) -> list[Message]:
    """Some seconds of all tools."""
    return [synthetic.tick(t, number, rate) for number in range(count) for t in tools]


def started(count: int = 3, rate: int = 200) -> list[Message]:
    """What a source says when all is well."""
    return [synthetic.vitals(), *(synthetic.running(t) for t in TOOLS), *ticks(count, rate)]


def dashboard(source: Scripted | Synthetic, first: str = OPENS.name, config: Config | None = None, **more) -> Dashboard:
    """A dashboard on a source, at a fixed time."""
    return Dashboard(source, TOOLS, first=first, config=config, clock=lambda: START + 3_500_000_000, **more)


def machine(seconds: int = SECONDS) -> Scripted:
    """So many seconds of a machine's processes."""
    said = [synthetic.tick(PROCESSES, number, 0) for number in range(seconds)]
    return Scripted([synthetic.vitals(), synthetic.running(PROCESSES), *said])


def watched(source: Scripted, **more) -> Dashboard:
    """A dashboard on its processes, just after the last tick."""
    now = START + SECONDS * SECOND + SECOND // 2
    return Dashboard(source, TOOLS, first=PROCESSES.name, clock=lambda: now, **more)


async def until(pilot: Pilot, true: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while True:
        await pilot.pause()
        try:
            if true():
                return
        except Exception:
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {seconds} s; the screen:\n" + "\n".join(lines(pilot)))
        await asyncio.sleep(0.02)


async def settled(pilot: Pilot, seconds: float = 0.3) -> None:
    """Wait until what is drawn, colours included, has not changed for so long."""
    last: object = None
    for _ in range(40):
        screen = pilot.app.screen
        now = [list(strip) for strip in screen._compositor.render_strips(screen.size)]
        if now == last:
            return
        last = now
        await pilot.pause(seconds)
    raise AssertionError("the screen does not come to rest")


def table(pilot: Pilot) -> Table:
    """The rows of the shown pane."""
    view = pilot.app.screen_stack[0].view
    assert view is not None
    return view.query_one(Table)


async def filled(pilot: Pilot) -> Table:
    """The table, once there are rows in it and the keyboard is its."""
    await until(pilot, lambda: len(table(pilot).model or ()) and table(pilot).has_focus)
    return table(pilot)


def lines(pilot: Pilot) -> list[str]:
    """What is drawn, line by line, whatever screens lie on top of each other."""
    screen = pilot.app.screen
    return ["".join(segment.text for segment in strip) for strip in screen._compositor.render_strips(screen.size)]


def shown(pilot: Pilot) -> str:
    """What is drawn, as one text."""
    return "\n".join(lines(pilot))


def details(pilot: Pilot) -> Details:
    """The panel below."""
    return pilot.app.screen_stack[0].query_one(Details)
