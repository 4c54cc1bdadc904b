"""Names by their ids, as they are learnt from tick to tick."""

from __future__ import annotations

from collections.abc import Iterable

from ebtop.model.told import Recent
from ebtop.tick import Tick
from ebtop.tool import Names

MOST_NAMES = 100_000
"""Kept per domain; those learnt first go first."""


class KnownNames:
    """All that one tool's ticks have told until now; of the domains in `recent`, which tell again what is in use, what
    they told of late."""

    def __init__(self, names: Names | None = None, recent: Iterable[str] = ()) -> None:
        self._recent = Recent(recent)
        self.names: dict[str, dict[int, str | int]] = {domain: dict(known) for domain, known in (names or {}).items()}

    def learn(self, tick: Tick) -> None:
        """Take over a tick's names."""
        recent = self._recent.learn(tick.end, tick.names)
        self.names |= recent
        for domain, names in tick.names.items():
            if domain in recent:
                continue
            known = self.names.setdefault(domain, {})
            known.update(names)
            while len(known) > MOST_NAMES:
                del known[next(iter(known))]
