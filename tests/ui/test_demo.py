"""How every pane looks on a real machine's data: the incident that ships with ebtop, at one moment of it."""

from __future__ import annotations

import lzma
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ebtop.commands.demo import INCIDENT
from ebtop.record.reader import Recording
from ebtop.source.recordedprocess import details
from ebtop.source.replay import ReplaySource
from ebtop.tick import Phase
from ebtop.tool import Kind
from ebtop.ui.app import Dashboard
from ebtop.ui.process_page import ProcessPage
from tests.ui.screen import TOOLS, settled, shown, table, until

SIZES = [(80, 24), (120, 36)]
by_size = pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
NEAR_THE_END = 0.9
CONNECTS = next(t for t in TOOLS if t.column("daddr"))
PROCESSES = next(t for t in TOOLS if t.kind is Kind.PROCESSES)


@pytest.fixture(scope="module")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The recording, unpacked."""
    file = tmp_path_factory.mktemp("demo") / "incident.ebtop"
    with lzma.open(INCIDENT) as packed, file.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    yield file


def at_a_moment(file: Path, first: str) -> tuple[Dashboard, int]:
    """A dashboard on it, and a time (Unix ns) after the deploy."""
    recording = Recording(file)
    source = ReplaySource(recording, TOOLS, lambda: 0.0)
    meta = recording.meta
    return Dashboard(source, TOOLS, first=first, clock=source.now), int(
        meta.start + NEAR_THE_END * (meta.end - meta.start)
    )


def there(time: int, *keys: str, then=None):
    """Go to the time, press keys, wait for what they do."""

    async def run(pilot: Pilot) -> None:
        await until(pilot, lambda: pilot.app._panes.view is not None)
        pilot.app.screen._look_at(time)
        panes = pilot.app._panes
        await until(pilot, lambda: panes._snapshot and panes._snapshot.playback.time == time and panes.pane.ticks)
        await settled(pilot)
        await pilot.press(*keys)
        if then is not None:
            await until(pilot, lambda: then(pilot))
        await settled(pilot, 0.5)

    return run


@by_size
@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
def test_every_pane(snap_compare, incident, tool, size):
    with Recording(incident) as recording:
        if tool.name not in recording.states:
            pytest.skip("the demo was recorded before this pane was there")
    app, time = at_a_moment(incident, tool.name)
    assert snap_compare(app, terminal_size=size, run_before=there(time))


@by_size
def test_the_tree(snap_compare, incident, size):
    app, time = at_a_moment(incident, PROCESSES.name)
    assert snap_compare(app, terminal_size=size, run_before=there(time, "t", then=lambda p: "▾ " in shown(p)))


@by_size
def test_the_page_of_what_eats_the_cpu(snap_compare, incident, size):
    app, time = at_a_moment(incident, PROCESSES.name)
    page = lambda p: isinstance(p.app.screen, ProcessPage) and "thumbnails" in shown(p) and "staging.py" in shown(p)  # noqa: E731
    opened = there(time, "enter", then=page)
    assert snap_compare(app, terminal_size=size, run_before=opened)


@by_size
def test_the_stack_of_a_connection_that_was_refused(snap_compare, incident, size):
    app, time = at_a_moment(incident, CONNECTS.name)

    async def details(pilot: Pilot) -> None:
        await there(time, "slash", *"ret=ECONNREFUSED", "enter")(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "sport " in shown(pilot) and len(table(pilot).model))
        await settled(pilot, 0.5)

    assert snap_compare(app, terminal_size=size, run_before=details)


def test_who_a_process_was(incident: Path) -> None:
    """As far as the overview told it."""
    with Recording(incident) as recording:
        end = recording.meta.end - 5_000_000_000
        rows = [tick.rows for tick in recording.ticks([PROCESSES.name], 0, end)]
        pid = next(int(row["pid"]) for row in rows[-1] if row["comm"] == b"thumbnails")
        found = details(recording, TOOLS, pid, end)
        assert found is not None
        assert (found.alive, found.argv, found.user, found.threads) == (True, ("./thumbnails", "29"), "root", 1)
        assert found.ancestors[0].argv == ("/usr/bin/python3", "staging.py")
        shop = details(recording, TOOLS, found.ancestors[0].pid, end)
        assert shop is not None
        assert "./thumbnails" in {child.argv[0] for child in shop.children if child.argv}
        assert details(recording, TOOLS, 4_000_000, end) is None


def test_the_incident_is_all_there(incident: Path) -> None:
    """What the demo's help promises to be found."""
    with Recording(incident) as recording:
        assert recording.meta.closed
        assert {state.phase for state in recording.states.values()} == {Phase.RUNNING}
        assert len(set(recording.states) & {tool.name for tool in TOOLS}) == len(recording.states) >= 6
        rows = [tick.rows for tick in recording.ticks([PROCESSES.name]) if tick.rows is not None]
        assert max(int(batch["count"].sum()) for batch in rows) > 50  # a deploy of many short programs
        refused = sum(tick.gauges["refused"] for tick in recording.ticks([PROCESSES.name]))
        assert refused > 100
        stacks = [stack for tick in recording.ticks() for stack in tick.stacks if stack.comm == "thumbnails"]
        assert any("average_block" in frame.name for stack in stacks for frame in stack.frames)
        assert sum(tick.lost_count for tick in recording.ticks()) == 0
    assert INCIDENT.stat().st_size <= 2_000_000
