"""What the screen is given once a tick: one immutable picture of everything it may show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ebtop.tick import Notice, ProcessDetails, Tick, ToolState, Vitals
from ebtop.tool import Names, Tool


@dataclass(frozen=True, slots=True)
class ToolSnapshot:
    """One tool's state and what History holds of it: `ticks` oldest first, `names` for all of them.

    `events` and `lost` count since the tool was started, beyond what History still holds.
    """

    tool: Tool
    state: ToolState
    ticks: tuple[Tick, ...] = ()
    names: Names = field(default_factory=dict)
    events: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything, as of `time` (Unix ns). `gone` says why capture ended, None while it runs."""

    time: int
    tools: Mapping[str, ToolSnapshot]
    vitals: Vitals | None = None
    details: ProcessDetails | None = None
    notices: tuple[Notice, ...] = ()
    gone: str | None = None
    screen_cpu: float = 0.0
    screen_pss: int = 0
