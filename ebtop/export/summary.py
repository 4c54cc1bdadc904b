"""Counts what goes into the summary of a run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ebtop.export.exporter import Summary
from ebtop.tick import Tick
from ebtop.tool import Batch


def truncated_count(batch: Batch) -> int:
    """Events that say that a part of them is missing."""
    fields = batch.dtype.names or ()
    return int(np.count_nonzero(batch["truncated"])) if "truncated" in fields else 0


class Tally:
    """Adds up the ticks of one tool from its start to its end."""

    def __init__(self, tool: str) -> None:
        self.tool = tool
        self.events = 0
        self.truncated = 0
        self.lost: Counter[str] = Counter()
        self._start = 0
        self._end = 0

    def add(self, tick: Tick) -> None:
        """Count one tick."""
        self.events += tick.event_count
        self.truncated += sum(map(truncated_count, tick.events))
        self.lost.update(tick.lost)
        self._start = self._start or tick.start
        self._end = tick.end

    def summary(self, probes: Sequence[str], exit_code: int | None = None) -> Summary:
        """The summary of what was counted until now; its duration is that from the first tick to the last."""
        return Summary(
            tool=self.tool,
            time=time.time_ns(),
            events=self.events,
            lost=self.lost.total(),
            duration_s=round((self._end - self._start) / 1e9, 6),
            probes=tuple(probes),
            exit_code=exit_code,
            truncated=self.truncated,
        )
