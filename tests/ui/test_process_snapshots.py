"""How the page of a process looks. After a wanted change run this with --snapshot-update, then look at what changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from ebtop.tick import Ancestor
from ebtop.tool import Kind
from tests.ui.processes import PYTHON, bash, go_to, opened
from tests.ui.screen import EXECS, OPENS, TOOLS, dashboard, filled, settled, shown, started, until
from tests.ui.synthetic import Scripted

HISTOGRAM = next(t for t in TOOLS if t.kind is Kind.HISTOGRAM)
by_size = pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda s: f"{s[0]}x{s[1]}")


def on_page(source: Scripted, *keys: str, says=None, then: Callable[[Pilot], object] | None = None):
    """Open the page, press keys, wait for what they do."""

    async def run(pilot: Pilot) -> None:
        await filled(pilot)
        await opened(pilot, source, says=says or bash())
        await until(pilot, lambda: "8801" in shown(pilot).splitlines()[1])
        await pilot.press(*keys)
        if then is not None:
            await until(pilot, lambda: then(pilot))
        await settled(pilot)

    return run


@by_size
def test_page(snap_compare, size):
    source = Scripted(started(14))
    assert snap_compare(dashboard(source), terminal_size=size, run_before=on_page(source))


@by_size
def test_page_of_one_that_has_gone(snap_compare, size):
    source = Scripted(started(14))
    gone = on_page(source, says=bash(alive=False))
    assert snap_compare(dashboard(source, first=EXECS.name), terminal_size=size, run_before=gone)


@by_size
def test_page_looking_back(snap_compare, size):
    source = Scripted(started(14))
    back = on_page(source, "left_curly_bracket", then=lambda p: "PAUSED" in shown(p) and "End now" in shown(p))
    assert snap_compare(dashboard(source), terminal_size=size, run_before=back)


@by_size
def test_page_by_events_alone(snap_compare, size):
    source = Scripted(started(14))

    async def run(pilot: Pilot) -> None:
        await filled(pilot)
        pilot.app.open_process(20_000 + 3001)
        await until(pilot, lambda: "/proc has not answered" in shown(pilot) and "first seen" in shown(pilot))
        await settled(pilot)

    assert snap_compare(dashboard(source), terminal_size=size, run_before=run)


@by_size
@pytest.mark.parametrize("tool", [OPENS, HISTOGRAM], ids=lambda t: t.name)
def test_pane_of_the_page(snap_compare, size, tool):
    source = Scripted(started(14))
    pane = on_page(source, tool.key, then=lambda p: p.app.screen.pane is not None and p.app.screen.current == tool.name)
    assert snap_compare(dashboard(source), terminal_size=size, run_before=pane)


@by_size
def test_several_levels(snap_compare, size):
    source = Scripted(started(14))

    async def run(pilot: Pilot) -> None:
        await on_page(source)(pilot)
        for pid in (PYTHON, 8790):
            await opened(pilot, source, pid)
        await go_to(pilot, "pid 1")
        await until(pilot, lambda: "8790" in shown(pilot).splitlines()[1])

    assert snap_compare(dashboard(source), terminal_size=size, run_before=run)


def test_copying(snap_compare):
    source = Scripted(started(14))
    assert snap_compare(dashboard(source), terminal_size=(80, 24), run_before=on_page(source, "y"))


def test_no_colour(snap_compare, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    source = Scripted(started(14))
    lines = on_page(source, "down", says=bash(ancestors=(Ancestor(1, "systemd"),)))
    assert snap_compare(dashboard(source), terminal_size=(80, 24), run_before=lines)
