"""The browser of attach points: what is typed is asked for, what is found can be looked at, marked and taken."""

from __future__ import annotations

import pytest
from textual.widgets import Input, OptionList

from ebtop.attachpoint import Argument, Point, PointKind
from ebtop.tick import FoundPoints
from ebtop.ui.pointbrowser import PointBrowser
from tests.ui.screen import dashboard, filled, shown, started, until
from tests.ui.synthetic import Scripted

OPENAT = Point(
    PointKind.TRACEPOINT, "syscalls:sys_enter_openat", "", (Argument("filename", "const char *"), Argument("", "int"))
)
HOSTILE = Point(PointKind.USDT, "/tmp/\x1b]0;owned\x07x:a:b")
CONNECT = Point(
    PointKind.KPROBE, "tcp_connect", "this kernel has no kprobes", (Argument("sk", "struct sock *"),), "int"
)
POINTS = (OPENAT, HOSTILE, CONNECT)


class Browsing:
    """A browser over the panes; `asked` are the patterns, `given` what it was left with."""

    def __init__(self, pattern: str = "") -> None:
        self.asked: list[str] = []
        self.given: list[tuple[str, ...] | None] = []
        self.screen = PointBrowser(self.asked.append, pattern)

    async def open(self, pilot, points=POINTS):
        await filled(pilot)
        pilot.app.push_screen(self.screen, self.given.append)
        await until(pilot, lambda: self.asked)
        self.screen.refreshed(FoundPoints(self.asked[-1], len(points), points))
        said = "match" if self.screen.query_one(Input).value else "tracepoints"
        await until(pilot, lambda: f"{len(points)} {said}" in shown(pilot))


def running(size=(120, 36)):
    return dashboard(Scripted(started())).run_test(size=size)


async def test_what_is_typed_is_asked_for_once_it_settles():
    browsing = Browsing()
    async with running() as pilot:
        await browsing.open(pilot)
        await pilot.press(*"openat")
        await until(pilot, lambda: browsing.asked[1:] == ["openat"])
        browsing.screen.refreshed(FoundPoints("open", 1, (CONNECT,)))  # an answer of before
        assert "3 tracepoints" in shown(pilot)
        browsing.screen.refreshed(FoundPoints("openat", 700, (OPENAT,)))
        await until(pilot, lambda: "700 match, the first 1 of them here" in shown(pilot))


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_one_under_the_cursor_is_described(size):
    browsing = Browsing()
    async with running(size) as pilot:
        await browsing.open(pilot)
        await until(pilot, lambda: "const char *" in shown(pilot))
        assert "\x1b" not in shown(pilot)
        assert "\\x1b]0;owned" in shown(pilot)
        await pilot.press("down", "down", "down")
        await until(pilot, lambda: "cannot be attached:" in shown(pilot))
        assert "struct sock *" in shown(pilot)
        assert "returns" in shown(pilot)


async def test_one_is_taken():
    browsing = Browsing()
    async with running() as pilot:
        await browsing.open(pilot)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: browsing.given == [(str(OPENAT),)])


async def test_several_are_marked_and_taken_in_their_order():
    browsing = Browsing()
    async with running() as pilot:
        await browsing.open(pilot)
        await pilot.press("down", "down", "space")
        await until(pilot, lambda: "1 marked" in shown(pilot))
        await pilot.press("up", "up", "space", "enter")
        await until(pilot, lambda: browsing.given == [(str(HOSTILE), str(OPENAT))])


async def test_a_mark_is_taken_away_again():
    browsing = Browsing()
    async with running() as pilot:
        await browsing.open(pilot)
        await pilot.press("down", "space", "up", "space", "enter")
        await until(pilot, lambda: browsing.given == [(str(HOSTILE),)])


async def test_what_cannot_be_attached_is_not_taken():
    browsing = Browsing()
    async with running() as pilot:
        await browsing.open(pilot, (CONNECT,))
        await pilot.press("down", "space", "enter")
        await pilot.pause()
        assert browsing.given == []
        assert "marked" not in shown(pilot).replace("Space marks", "")


async def test_all_of_a_pattern():
    browsing = Browsing("t:syscalls:*")
    async with running() as pilot:
        await browsing.open(pilot)
        await until(pilot, lambda: "all 3 of them" in shown(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: browsing.given == [("tracepoint:syscalls:*",)])


async def test_nothing_is_found():
    browsing = Browsing()
    async with running((80, 24)) as pilot:
        await browsing.open(pilot, ())
        await pilot.press("down", "space", "enter")
        assert browsing.given == []
        assert pilot.app.screen.query_one(OptionList).option_count == 0


async def test_esc_leaves():
    browsing = Browsing()
    async with running() as pilot:
        await browsing.open(pilot)
        assert pilot.app.screen.query_one(Input).has_focus
        await pilot.press("escape")
        await until(pilot, lambda: browsing.given == [None])
