"""Why what was asked for cannot be planned; apart from the planning, which a start need not import."""

from __future__ import annotations

from collections.abc import Sequence

from ebtop.tick import Attempt


class PlanError(Exception):
    """Why there can be no plan, in one line. `usage`: something else has to be asked for; else this machine cannot, and
    `tried` says what was."""

    def __init__(self, why: str, *, usage: bool = True, tried: Sequence[Attempt] = (), remedy: str = "") -> None:
        super().__init__(why)
        self.usage, self.tried, self.remedy = usage, tuple(tried), remedy
