"""The view of stacks, driven by keys and mouse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.cells import cell_len
from textual.widgets import Static

from ebtop.tick import Frame, Stack, Tick
from ebtop.ui.flame import FlameView
from ebtop.ui.functionnames import percent, shortened
from ebtop.ui.icicle import Icicle
from ebtop.ui.ranked import RankedTable
from tests.ui.aggregates import STACKS, Stage, profiled, snapshot, tick

SIZES = [(80, 19), (120, 30)]


def stage(ticks: list[Tick] | None = None) -> Stage:
    return Stage(FlameView, STACKS, profiled() if ticks is None else ticks)


def screen(app: Stage) -> list[str]:
    """The lines of the screen."""
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


def view(app: Stage) -> FlameView:
    assert isinstance(app.view, FlameView)
    return app.view


def cursor(app: Stage) -> str:
    """The name of the frame that the cursor is on."""
    graph = app.query_one(Icicle)
    assert graph.calls is not None
    return graph.calls.name(graph.cursor).name


def status(app: Stage) -> str:
    return str(app.query_one(".flame--status", Static).render())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", [("down", "down"), ("down", "down", "down", "enter"), ("i",), ("k", "t")])
def test_looks(snap_compare: Callable[..., bool], size: tuple[int, int], keys: tuple[str, ...]) -> None:
    assert snap_compare(stage(), press=keys, terminal_size=size)


def test_names_are_shortened_at_their_joints() -> None:
    name = "std::vector<std::pair<int, char>>::_M_realloc_insert(int const&)"
    assert shortened(name, 80) == name
    assert shortened(name, 56) == "std::vector<std::pair<int, char>>::_M_realloc_insert"
    assert shortened(name, 40) == "std::vector::_M_realloc_insert"
    assert shortened(name, 20) == "_M_realloc_insert"
    assert shortened("ngx_http_gzip_body_filter", 16) == "ngx_http_gzip_…"
    assert shortened("ngx_http_gzip_body_filter", 6) == ""
    assert shortened("operator()(int)", 12) == "operator()"
    assert shortened("<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop", 10) == "drop"
    assert cell_len(shortened("日本語日本語日本語", 9)) <= 9


def test_shares() -> None:
    said = [percent(part, 1000) for part in (0, 1, 93, 410, 1000)]
    assert said == ["0 %", "0.1 %", "9.3 %", "41 %", "100 %"]
    assert percent(1, 10_000) == "<0.1 %"
    assert percent(0, 0) == "0 %"


async def test_arrows_go_from_frame_to_frame() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        seen = [cursor(app)]
        for key in ("down", "right", "left", "left", "left", "right", "down", "up", "up", "up"):
            await pilot.press(key)
            seen.append(cursor(app))
        assert seen == ["all", "nginx", "postgres", "nginx", "bash", "bash", "nginx", "main", "nginx", "all", "all"]
        await pilot.press("end")
        assert cursor(app) == "deflate_slow"
        assert "libz.so.1.2.13" in status(app)
        assert "42 % of all" in status(app)
        assert app.view.selected_pid() == 2114


async def test_zoom_and_back() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("down", "right", "enter")
        graph = app.query_one(Icicle)
        assert graph._rows[0][0].right == graph.scrollable_content_region.width
        assert [graph.calls.name(b.node).name for row in graph._rows[:2] for b in row] == ["postgres", "PostgresMain"]  # type: ignore[union-attr]
        table = app.query_one(RankedTable)
        assert table.model is not None
        assert len(table.model) < 14  # only its own functions
        await pilot.press("down", "down", "enter", "backspace")
        assert view(app).sought.top[-1].name == "postgres"
        await pilot.press("backspace")
        assert view(app).sought.top == ()
        await pilot.press("backspace")
        assert view(app).sought.top == ()
        assert not app.view.back()


async def test_a_click_zooms() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.click(Icicle, offset=(20, 1))
        assert [frame.name for frame in view(app).sought.top] == ["nginx"]
        await pilot.click(Icicle, offset=(20, 25))  # below all frames
        assert [frame.name for frame in view(app).sought.top] == ["nginx"]


async def test_search_says_the_share_and_underlines() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        view(app).search("^deflate")
        await pilot.pause()
        assert "/^deflate/ in 47 %" in screen(app)[0]
        graph = app.query_one(Icicle)
        lines = [graph.render_line(y) for y in range(14)]
        marked = {s.text.split()[0] for line in lines for s in line if s.style and s.style.underline and s.text.strip()}
        assert marked == {"deflate", "deflate_slow"}
        assert app.view.back()
        await pilot.pause()
        assert "deflate/" not in screen(app)[0]


async def test_search_is_typed_after_a_slash() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("slash", *"tcp_", "enter")
        await pilot.pause()
        assert view(app).sought.pattern == "tcp_"
        assert app.query_one(Icicle).has_focus
        await pilot.press("slash", "(", "enter")
        assert view(app).sought.pattern == "tcp_"  # what is no regular expression is not taken
        await pilot.press("escape")
        assert view(app).sought.pattern == ""


async def test_sides_and_direction() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("k")
        assert not any("▌" in line for line in screen(app)[2:-2])
        assert "no kernel frames" in screen(app)[0]
        await pilot.press("k", "U", "end")
        assert any("tcp_recvmsg" in line or "▌" in line for line in screen(app))
        await pilot.press("k")
        assert any("all" in line for line in screen(app))
        await pilot.press("k", "U", "i", "down")
        assert cursor(app) == "deflate_slow"
        assert "inverted" in screen(app)[0]


async def test_the_table_leads_to_the_graph() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("n", "down", "enter")
        graph = app.query_one(Icicle)
        assert graph.marked is not None
        assert graph.marked.name == "heap_getnextslot"
        await pilot.press("enter")
        assert graph.marked is None
        await pilot.press("t")
        assert not app.query_one(RankedTable).display
        assert graph.has_focus


async def test_the_top_functions_are_seen_until_one_is_chosen() -> None:
    """What rises above the row of a cursor that nobody has moved is not scrolled away."""
    app = stage()
    async with app.run_test(size=(120, 16)) as pilot:
        table = app.query_one(RankedTable)
        busy = Stack((Frame("spin", "zz", False),), 900_000, 5, 5, "spinner")
        risen = snapshot(STACKS, [*profiled(), tick(20, STACKS, stacks=(busy,))])
        app.give(risen)
        await pilot.pause()
        assert table.model is not None
        assert table.model.key(0) == busy.frames[0]
        assert (table.cursor, table.scroll_y) == (0, 0)
        await pilot.press("n", "down")
        app.give(snapshot(STACKS, profiled()))
        await pilot.pause()
        app.give(risen)
        await pilot.pause()
        assert (table.cursor, table.scroll_y) == (1, 0)
        await pilot.press("home")
        app.give(snapshot(STACKS, profiled()))
        await pilot.pause()
        assert (table.cursor, table.scroll_y) == (0, 0)


async def test_everything_stays_in_its_place() -> None:
    app = stage()
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("down", "right", "n", "down", "down")
        table = app.query_one(RankedTable)
        assert table.model is not None
        chosen = table.model.key(table.cursor or 0)
        more = [*profiled(), tick(20, STACKS, stacks=profiled(1)[0].stacks[::-1])]
        busy = Stack((Frame("spin", "zz", False),), 9_000, 5, 5, "spinner")
        app.give(snapshot(STACKS, [*more, tick(21, STACKS, stacks=(busy,))]))
        await pilot.pause()
        assert cursor(app) == "postgres"
        assert table.model.key(table.cursor or 0) == chosen
        only = [tick(22, STACKS, stacks=(busy,))]
        app.give(snapshot(STACKS, only))  # postgres is gone: the cursor waits for it at its caller
        assert cursor(app) == "all"
        app.give(snapshot(STACKS, [*more, *only]))
        assert cursor(app) == "postgres"


DEEP = [tick(0, STACKS, stacks=(Stack(tuple(Frame(f"level_{i}", "app", False) for i in range(127)), 1, 1, 1, "x"),))]
EVIL = "\x1b]0;owned\x07[red]x[/red]\u202e\udc9b日本語"
HOSTILE = [tick(0, STACKS, stacks=(Stack((Frame(EVIL, EVIL, False), Frame("", "", True)), 5, 1, 1, EVIL),))]


@pytest.mark.parametrize("size", [(80, 19), (120, 30), (40, 8), (20, 3)])
@pytest.mark.parametrize("ticks", [[], [tick(0, STACKS)], profiled(1), DEEP, HOSTILE])
async def test_any_data_in_any_room(size: tuple[int, int], ticks: list[Tick]) -> None:
    app = stage(ticks)
    async with app.run_test(size=size) as pilot:
        keys = (
            "down",
            "down",
            "end",
            "enter",
            "i",
            "w",
            "end",
            "pageup",
            "backspace",
            "n",
            "down",
            "enter",
            "t",
            "k",
            "U",
        )
        await pilot.press(*keys)
        view(app).search("owned|level_1")
        await pilot.pause()
        assert all(cell_len(line) == size[0] for line in screen(app))
        assert not any(char in line for line in screen(app) for char in "\x1b\x07\u202e\udc9b")


async def test_deep_stacks_scroll_to_the_cursor() -> None:
    app = stage(DEEP)
    async with app.run_test(size=(80, 19)) as pilot:
        await pilot.press("end")
        await pilot.pause()
        assert cursor(app) == "level_126"
        assert any("›level_126" in line for line in screen(app))


async def test_hostile_names_are_shown_as_they_are() -> None:
    app = stage(HOSTILE)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("down", "down")
        assert "\\x1b]0;owned\\x07[red]x[/red]" in status(app)
        await pilot.press("down")
        assert "[unknown]" in status(app)


async def test_nothing_is_said() -> None:
    app = stage([])
    async with app.run_test(size=(80, 19)):
        assert any("no samples yet" in line for line in screen(app))
