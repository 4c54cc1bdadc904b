"""How far back an aggregate view adds up."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from ebtop.model.format import duration
from ebtop.tick import Tick

SECOND_NS, MINUTE_NS = 1_000_000_000, 60_000_000_000
_LATE_NS = SECOND_NS // 20  # a tick a second comes now and then a little late


class Window(StrEnum):
    """The part of what History holds that is added up; the value is how the screen calls it."""

    LAST = "last second"
    MINUTE = "last minute"
    HELD = "all held"

    @property
    def next(self) -> Window:
        """The one after this, round and round."""
        all_ = list(Window)
        return all_[(all_.index(self) + 1) % len(all_)]


def within(window: Window, ticks: Sequence[Tick]) -> Sequence[Tick]:
    """The ticks (oldest first) that the window covers, counted back from the newest."""
    if window is Window.HELD:
        return ticks
    return newest(ticks, SECOND_NS + _LATE_NS if window is Window.LAST else MINUTE_NS)


def newest(ticks: Sequence[Tick], span_ns: int) -> Sequence[Tick]:
    """The ticks of the last `span_ns`, at least the newest one; none from before the clock was set back."""
    first = max(len(ticks) - 1, 0)
    while first > 0 and ticks[-1].end - span_ns <= ticks[first - 1].start <= ticks[first].start:
        first -= 1
    return ticks[first:]


def spanned(ticks: Sequence[Tick]) -> float:
    """Seconds from the first tick's start to the last one's end."""
    return (ticks[-1].end - ticks[0].start) / 1e9 if ticks else 0.0


def said(window: Window, seconds: float) -> str:
    """The window's name, and how much of it there is where that is not plain: `last minute (20 s so far)`."""
    if window is Window.HELD:
        return f"{window} ({duration(seconds * 1e9)})"
    short = window is Window.MINUTE and 0 < seconds < 58
    return f"{window} ({duration(seconds * 1e9)} so far)" if short else str(window)
