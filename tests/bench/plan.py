"""How often and how much is measured."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench import processes


@dataclass(frozen=True)
class Plan:
    """`count` rounds; loads are `scale` times their full size.

    Before each round other tracers are given `wait_s` to end.
    """

    count: int = 3
    scale: float = 1.0
    wait_s: float = 120.0

    def rounds(self, warm_up: bool = False, most: int = sys.maxsize) -> Iterator[int]:
        """The rounds' numbers, told on standard error as they begin; one more, number 0, with a warm-up.

        What takes long and changes little is measured `most` times.
        """
        count = min(self.count, most)
        for number in range(0 if warm_up else 1, count + 1):
            print(f"  round {number} of {count}", file=sys.stderr, flush=True)
            _wait_alone(self.wait_s)
            yield number

    def seconds(self, full: float) -> float:
        """How long something is looked at; less than a second is too short for what happens once a second."""
        return max(1.0, full * self.scale)

    def lasting(self, full: float) -> str:
        """How long a load goes on, as it takes it instead of a count: `5s`."""
        return f"{round(self.seconds(full))}s"

    def scaled(self, size: int) -> int:
        """A load's size in this plan, at least 1."""
        return max(1, round(size * self.scale))


def _wait_alone(timeout: float) -> None:
    """Wait until no other tracer is attached on this machine: its probes would be counted as the load's own cost."""
    deadline = time.monotonic() + timeout
    while processes.tracing() and time.monotonic() < deadline:
        time.sleep(1)
    if processes.tracing():
        print("  another tracer is attached: these figures are not worth much", file=sys.stderr, flush=True)
