"""What the screen is given once a tick: one immutable picture of everything it may show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ebtop.model.activity import Moment
from ebtop.tick import FoundPoints, Notice, ProcessDetails, Tick, ToolState, Vitals
from ebtop.tool import Names, Tool


@dataclass(frozen=True, slots=True)
class ToolSnapshot:
    """One tool's state and what History holds of it: `ticks` oldest first, `names` for all of them.

    `events` and `lost` count since the tool was started, beyond what History still holds. `activity` has a moment for
    each tick.
    """

    tool: Tool
    state: ToolState
    ticks: tuple[Tick, ...] = ()
    names: Names = field(default_factory=dict)
    events: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    activity: tuple[Moment, ...] = ()

    def until(self, time: int) -> ToolSnapshot:
        """As it was at that time (Unix ns): without the ticks that ended later, and what they counted."""
        kept = next((n for n in range(len(self.ticks), 0, -1) if self.ticks[n - 1].end <= time), 0)
        lost = Counter(self.lost)
        for tick in self.ticks[kept:]:
            lost.subtract(tick.lost)
        events = self.events - sum(tick.event_count for tick in self.ticks[kept:])
        return replace(self, ticks=self.ticks[:kept], events=events, lost=+lost, activity=self.activity[:kept])


@dataclass(frozen=True, slots=True)
class Playback:
    """How a recording from `start` to `end` (Unix ns) is played: which time is shown, so many times as fast as it was,
    or `standing`. It is not `complete` while it is being made, or when its recorder was killed."""

    time: int
    start: int
    end: int
    speed: float = 1.0
    standing: bool = False
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything, as of `time` (Unix ns). `gone` says why capture ended, None while it runs; `processes` holds the
    details that were asked for of late, by pid, `points` the attach points that were; `playback` is set where all this
    comes from a recording."""

    time: int
    tools: Mapping[str, ToolSnapshot]
    vitals: Vitals | None = None
    processes: Mapping[int, ProcessDetails] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    gone: str | None = None
    points: FoundPoints | None = None
    screen_cpu: float = 0.0
    screen_pss: int = 0
    playback: Playback | None = None

    def until(self, time: int) -> Snapshot:
        """As it was at that time (Unix ns), as far as ticks tell."""
        return replace(self, time=time, tools={name: tool.until(time) for name, tool in self.tools.items()})
