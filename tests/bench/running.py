"""A tracer at work: what it uses for a load, and what it uses anyway."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from tests.bench import processes
from tests.bench.terminal import Terminal


class UnavailableError(Exception):
    """This tracer cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Cost:
    """What a load reported, and the CPU seconds of the tracer from the load's start until all was worked off.

    `screen_s` are those of the process that was started (ebtop's screen), `others_s` those of its descendants (ebtop's
    capture); together `cpu_s`, from which nothing is subtracted. `idle_s` of them it would have used without events.
    """

    report: dict[str, Any]
    wall_s: float
    screen_s: float
    others_s: float
    idle_share: float

    @property
    def cpu_s(self) -> float:
        """Of all its processes."""
        return self.screen_s + self.others_s

    @property
    def idle_s(self) -> float:
        """What it would have used in that time without events."""
        return self.idle_share * self.wall_s

    def per(self, seconds: float, events: float = 1e6) -> float:
        """Some of the seconds, for so many events of the load."""
        return seconds * events / float(max(1, self.report["count"]))


@dataclass
class Running:
    """A tracer that has attached its probes. `idle`: the share of a core that it uses without events."""

    pid: int
    terminal: Terminal | None
    errors: IO[bytes]
    idle: float | None = None

    def rest(self, seconds: float) -> tuple[float, float]:
        """Shares of a core without events, once what belongs to the start is over; their sum stays in `idle`."""
        time.sleep(2)
        screen, others = self.shares(seconds)
        self.idle = screen + others
        return screen, others

    def shares(self, seconds: float) -> tuple[float, float]:
        """Shares of a core over that many seconds: of the process that was started, and of its descendants."""
        screen, others, start = *self._used(), time.monotonic()
        time.sleep(seconds)
        now, passed = self._used(), time.monotonic() - start
        return (now[0] - screen) / passed, (now[1] - others) / passed

    def cost_of(self, load: Callable[[], dict[str, Any]]) -> Cost:
        """What a load costs it, worked off to the end."""
        idle = sum(self.shares(1)) if self.idle is None else self.idle
        screen, others, start = *self._used(), time.monotonic()
        reported = load()
        processes.wait_quiet(self.pid, idle)
        now, passed = self._used(), time.monotonic() - start
        return Cost(reported, passed, now[0] - screen, now[1] - others, idle)

    def memory(self) -> float:
        """MiB of all its processes (PSS)."""
        return processes.pss_bytes(self.pid) / (1 << 20)

    def lost_on_screen(self) -> str:
        """What the dashboard's header says after `lost`. Raises UnavailableError when it says nothing."""
        found = re.search(r"\blost\s+([\d.,]+(?:\s?[kMG])?)", self.terminal.text() if self.terminal else "")
        if found is None:
            raise UnavailableError("the dashboard shows no count of lost events")
        return found[1]

    def complaints(self) -> str:
        """What it wrote on its standard error."""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def lost(self) -> float:
        """How many events it says it has lost: the dashboard in its header, libbpf-tools on standard error.

        Raises UnavailableError when the dashboard says nothing.
        """
        return shown_number(self.lost_on_screen()) if self.terminal else lost_by_complaints(self.complaints())

    def _used(self) -> tuple[float, float]:
        used = processes.cpu_by_process(self.pid)
        screen = used.pop(self.pid, 0.0)
        return screen, sum(used.values())


def lost_by_complaints(text: str) -> int:
    """The sum of all complaints like `Lost 12 events on CPU #0!`."""
    return sum(int(count) for count in re.findall(r"\blost (\d+) events", text, re.IGNORECASE))


def shown_number(shown: str) -> float:
    """What the screen shows as `1.2 k` or `1,204`."""
    units = {"k": 1e3, "M": 1e6, "G": 1e9}
    shown = shown.replace(",", "").replace(" ", "")
    return float(shown.rstrip("kMG")) * units.get(shown[-1], 1)
