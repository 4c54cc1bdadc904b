"""The reader without a screen: what it posts, and when."""

from __future__ import annotations

import threading
import time

import ebtop.ui.reader
from ebtop.model.snapshot import Snapshot, ToolSnapshot
from ebtop.tick import Message
from ebtop.tool import Tool
from ebtop.ui.reader import _AHEAD, REFRESH_S, Reader, Refreshed
from tests.ui import synthetic
from tests.ui.screen import OPENS, TOOLS, started
from tests.ui.synthetic import Scripted


class View:
    """Counts what it is asked to prepare."""

    def __init__(self, tool: Tool = OPENS) -> None:
        self.tool = tool
        self.prepared: list[tuple[int, object]] = []

    def concerns(self, message: Message) -> bool:
        return getattr(message, "tool", None) == self.tool.name

    def take(self, snapshot: Snapshot, wanted: object | None) -> tuple[ToolSnapshot, object | None]:
        return snapshot.tools[self.tool.name], self.prepare(snapshot.tools[self.tool.name], wanted)

    def prepare(self, snapshot: ToolSnapshot, wanted: object | None) -> object | None:
        self.prepared.append((len(snapshot.ticks), wanted))
        if wanted == "broken":
            raise ZeroDivisionError("by design")
        return len(snapshot.ticks)


def soon(true, seconds: float = 3.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def reading(source: Scripted, see: bool = True) -> tuple[Reader, list[Refreshed]]:
    posted: list[Refreshed] = []

    def post(news: Refreshed) -> None:
        posted.append(news)
        if see:
            reader.seen()

    reader = Reader(source, TOOLS, post)
    reader.start(OPENS.name)
    return reader, posted


def test_news_of_other_tools_prepare_nothing_anew():
    source, view = Scripted(started()), View()
    reader, posted = reading(source)
    reader.look(view, None)
    soon(lambda: posted and posted[-1].shown is not None and posted[-1].shown.result == 3)
    before = len(view.prepared)
    other = next(t for t in TOOLS if t.name != OPENS.name)
    source.say(synthetic.tick(other, 9, 50))
    soon(lambda: len(posted[-1].snapshot.tools[other.name].ticks) == 4)
    assert len(view.prepared) == before
    source.say(synthetic.tick(OPENS, 9, 50))
    soon(lambda: posted[-1].shown.result == 4)
    reader.stop()


def test_a_screen_that_is_busy_is_not_given_more():
    source, view = Scripted(started()), View()
    reader, posted = reading(source, see=False)
    soon(lambda: len(posted) == 1)
    for number in range(5):
        reader.look(view, number)
        source.say(synthetic.tick(OPENS, 10 + number, 50))
    time.sleep(0.6)
    assert len(posted) == 1
    assert view.prepared == []
    reader.seen()
    soon(lambda: len(posted) == 2)
    assert view.prepared == [(8, 4)]
    reader.stop()


def test_a_refresh_a_second_for_news_but_at_once_for_wishes(monkeypatch):
    monkeypatch.setattr(ebtop.ui.reader, "STARTING_S", 0.0)
    source, view = Scripted(started()), View()
    reader, posted = reading(source)
    reader.look(view, None)
    soon(lambda: posted)
    begin, begun = len(posted), time.monotonic()
    for number in range(40):
        source.say(synthetic.tick(OPENS, 10 + number, 10))
        time.sleep(0.025)
    assert len(posted) - begin <= 1 + (time.monotonic() - begun) / REFRESH_S
    asked = time.monotonic()
    reader.look(view, "wish")
    soon(lambda: posted[-1].shown.wanted == "wish")
    assert time.monotonic() - asked < REFRESH_S / 2
    reader.stop()


def test_news_are_shown_soon_while_tools_start():
    source, view = Scripted(started()), View()
    reader, posted = reading(source)
    reader.look(view, None)
    soon(lambda: posted)
    held = len(posted[-1].snapshot.tools[OPENS.name].ticks)
    begun = time.monotonic()
    source.say(synthetic.tick(OPENS, 10, 10))
    soon(lambda: len(posted[-1].snapshot.tools[OPENS.name].ticks) > held)
    assert time.monotonic() - begun < REFRESH_S
    reader.stop()


def test_a_view_that_cannot_prepare_says_so_and_the_reader_goes_on():
    source, view = Scripted(started()), View()
    reader, posted = reading(source)
    reader.look(view, "broken")
    soon(lambda: posted and posted[-1].shown and posted[-1].shown.error == "ZeroDivisionError: by design")
    reader.look(view, None)
    soon(lambda: not posted[-1].shown.error)
    reader.stop()


def test_a_source_waits_for_a_history_that_is_behind():
    class Endless(Scripted):
        given = 0

        def messages(self):
            while not self.closed:
                self.given += 1
                yield synthetic.vitals()

    source, view, hold = Endless(), View(), threading.Event()
    view.prepare = lambda *_: hold.wait(5)  # type: ignore[method-assign]
    reader, _ = reading(source)
    reader.look(view, None)
    time.sleep(0.5)
    before = source.given
    time.sleep(0.3)
    assert source.given <= before + _AHEAD
    hold.set()
    reader.stop()
