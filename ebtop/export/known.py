"""Names by their ids, as they are learnt from tick to tick."""

from __future__ import annotations

from ebtop.tick import Tick
from ebtop.tool import Names

MOST_NAMES = 100_000
"""Kept per domain; those learnt first go first."""


class KnownNames:
    """All that one tool's ticks have told until now."""

    def __init__(self, names: Names | None = None) -> None:
        self.names: dict[str, dict[int, str | int]] = {domain: dict(known) for domain, known in (names or {}).items()}

    def learn(self, tick: Tick) -> None:
        """Take over a tick's names."""
        for domain, names in tick.names.items():
            known = self.names.setdefault(domain, {})
            known.update(names)
            while len(known) > MOST_NAMES:
                del known[next(iter(known))]
