"""The histogram's view, driven by keys and mouse."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from textual.widgets import Static

from ebtop.model.groups import By
from ebtop.tick import Histogram
from ebtop.ui.heatmap import SHADES, Chart, bar
from ebtop.ui.histogram import HistogramView, Sought
from ebtop.ui.ranked import RankedTable
from tests.ui.aggregates import LATENCIES, Stage, contended, counts, snapshot, tick

SIZES = [(80, 19), (120, 30)]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of day are the same everywhere."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def stage(seconds: int = 90) -> Stage:
    return Stage(HistogramView, LATENCIES, contended(seconds))


def screen(app: Stage) -> list[str]:
    """The lines of the screen."""
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


def panel(app: Stage) -> str:
    return str(app.query_one(".histogram--panel", Static).render())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", [(), ("left", "left", "up"), ("b", "down"), ("b", "b"), ("w",)])
def test_looks(snap_compare: Callable[..., bool], size: tuple[int, int], keys: tuple[str, ...]) -> None:
    assert snap_compare(stage(), press=keys, terminal_size=size)


def test_bars_are_in_eighths_and_nothing_small_is_lost() -> None:
    assert [bar(v, 16, 2) for v in (0, 1, 8, 12, 16)] == ["  ", "▏ ", "█ ", "█▌", "██"]
    assert bar(1, 10**9, 4) == "▏   "
    assert bar(0, 0, 3) == "   "


@pytest.mark.parametrize("size", SIZES)
async def test_says_percentiles_and_total(size: tuple[int, int]) -> None:
    app = stage()
    async with app.run_test(size=size):
        said = panel(app)
        assert all(word in said for word in ("p50", "p90", "p99", "max <", "9.5 us", "4.8 ms", "90.6 k"))
        assert any(SHADES[-1] * 5 in line for line in screen(app))


async def test_a_cell_says_who_waited_then() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        chart = app.query_one(Chart)
        await pilot.press("left", *["left"] * 25, *["up"] * 20, "down")
        cell = chart.picked()
        assert cell is not None
        assert cell.last - cell.first == 1
        picture = chart.picture
        assert picture is not None
        assert cell.count == picture.by_tick[cell.first, cell.low : cell.high].sum() > 0
        assert "nginx 2114" in panel(app)
        assert "4.2 ms – 8.4 ms" in panel(app)
        assert f"{cell.count} of 1,510" in panel(app)
        assert app.view.selected_pid() == 2114


async def test_the_cell_stays_with_its_second() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        chart = app.query_one(Chart)
        await pilot.press("left", "left", "left")
        before = panel(app)
        app.give(snapshot(LATENCIES, contended(93)))
        await pilot.pause()
        assert panel(app).split("\n")[6:9] == before.split("\n")[6:9]
        for second in (140, 250):
            app.give(snapshot(LATENCIES, contended(second)))  # moved out at the left: the oldest that is there
        await pilot.pause()
        cell = chart.picked()
        assert cell is not None
        assert cell.first == 250 - len(chart._layout_now.columns.starts)  # type: ignore[union-attr]


async def test_mouse_picks_a_cell() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        chart = app.query_one(Chart)
        await pilot.click(Chart, offset=(chart.size.width - 1, 1))
        cell = chart.picked()
        assert cell is not None
        assert (cell.first, cell.last) == (89, 90)
        assert app.view.back()
        assert chart.picked() is None
        await pilot.click(Chart, offset=(2, 1))  # the axis is no cell
        assert chart.picked() is None
        assert not app.view.back()


async def test_groups_are_ranked_and_the_cursor_picks() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("b")
        table = app.query_one(RankedTable)
        assert table.has_focus
        assert app.view.selected_pid() == 4242
        await pilot.press("down", "down")
        assert app.view.selected_pid() == 2114
        assert "54.0 k" in panel(app)
        view = app.view
        assert isinstance(view, HistogramView)
        view.sort_by("name")
        await pilot.pause()
        assert app.view.selected_pid() == 2114  # another row, the same process
        assert table.cursor == 1
        view.sort_by("name")
        await pilot.pause()
        assert table.cursor == 3
        await pilot.press("enter")
        assert app.query_one(Chart).has_focus
        assert app.view.back()
        await pilot.pause()
        assert table.has_focus
        assert app.view.back()
        assert view.sought.by is By.ALL


async def test_the_choice_stays_when_another_becomes_the_worst() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("b")
        worst = Histogram("pid", 999, "late", counts(np.full(500, 3e9)))
        later = [*contended(), tick(90, LATENCIES, histograms=(worst,))]
        app.give(snapshot(LATENCIES, later))
        await pilot.pause()
        assert app.view.selected_pid() == 4242
        assert app.query_one(RankedTable).cursor == 1


async def test_windows_add_up_what_they_say() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        totals = []
        for _ in range(3):
            totals.append(int(app.query_one(Chart).picture.counts.sum()))  # type: ignore[union-attr]
            await pilot.press("w")
        assert totals == [90_600, 135_900, 1_510]


@pytest.mark.parametrize("size", [(80, 19), (120, 30), (40, 8), (20, 3)])
@pytest.mark.parametrize("ticks", [[], [tick(0, LATENCIES)], contended(1)])
async def test_little_data_and_little_room(size: tuple[int, int], ticks: list) -> None:
    app = Stage(HistogramView, LATENCIES, ticks)
    async with app.run_test(size=size) as pilot:
        await pilot.press("left", "up", "b", "down", "w", "b", "enter", "left", "b")
        assert app.is_running


async def test_nothing_yet_is_said() -> None:
    app = Stage(HistogramView, LATENCIES, [])
    async with app.run_test(size=(80, 19)):
        assert any("nothing yet" in line for line in screen(app))


async def test_one_wait() -> None:
    one = Histogram("all", 0, "", counts(np.array([5000.0])))
    app = Stage(HistogramView, LATENCIES, [tick(0, LATENCIES, histograms=(one,))])
    async with app.run_test(size=(80, 19)) as pilot:
        await pilot.press("right")
        cell = app.query_one(Chart).picked()
        assert cell is not None
        assert (cell.count, cell.of) == (1, 1)


async def test_hostile_names_do_nothing() -> None:
    evil = "\x1b]0;owned\x07[red]x[/red]\u202e\udc9b日本"
    values = counts(np.full(9, 5000.0))
    parts = [Histogram(group, 7, evil, values) for group in ("all", "pid", "cgroup")]
    app = Stage(HistogramView, LATENCIES, [tick(0, LATENCIES, histograms=tuple(parts))])
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("right")
        for keys in ((), ("b",), ("b",)):
            await pilot.press(*keys)
            lines = screen(app)
            assert not any(char in line for line in lines for char in "\x1b\x07\u202e\udc9b")
            assert any("\\x1b]0;owned\\x07" in line for line in lines)


def test_preparing_needs_no_app() -> None:
    view = HistogramView(LATENCIES)
    assert view.prepare(snapshot(LATENCIES, contended(5)), Sought(by=By.PID)) is not None
    assert view.prepare(snapshot(LATENCIES, []), None) is not None
