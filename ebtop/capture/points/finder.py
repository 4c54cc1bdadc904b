"""Answers questions for attach points, beside the thread that makes ticks: the first takes half a second."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ebtop.attachpoint import Point, PointKind
from ebtop.capture.btf import BtfError
from ebtop.memory import trim
from ebtop.resolve.binaryfile import BinaryError
from ebtop.tick import FindPoints, FoundPoints

if TYPE_CHECKING:
    from ebtop.capture.points.search import Points

_PLACE = {kind: place for place, kind in enumerate(PointKind)}
MOST = 500
"""Points that are told of one question: nobody reads more."""


class Finder:
    """`answer` is called in a thread of its own."""

    def __init__(self, answer: Callable[[FoundPoints], object]) -> None:
        self._answer = answer
        self._asked = threading.Condition()
        self._wanted: str | None = None
        self._thread: threading.Thread | None = None

    def ask(self, question: FindPoints) -> None:
        """Returns at once. What has not been begun yet is left for the newer question."""
        with self._asked:
            self._wanted = question.pattern
            self._asked.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="attach points", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        from ebtop.capture.points.search import Points  # a start need not wait for it

        points = Points()
        while True:
            with self._asked:
                self._asked.wait_for(lambda: self._wanted is not None)
                pattern, self._wanted = self._wanted or "", None
            self._answer(_answered(points, pattern))
            trim()  # 120,000 points are many small objects


def _answered(points: Points, pattern: str) -> FoundPoints:
    """As `found`, whatever happens: whoever asked must not wait forever, nor who asks next."""
    try:
        return found(points, pattern)
    except Exception as error:  # noqa: BLE001  files that anyone has made are read here
        return FoundPoints(pattern, 0, problem=f"this could not be looked for: {type(error).__name__}: {error}")


def found(points: Points, pattern: str) -> FoundPoints:
    """The first of those that match: what can be attached before what cannot, and the shortest of a kind first, as it
    holds least that was not asked for."""
    try:
        matching = sorted(points.matching(pattern), key=_order)
        return FoundPoints(pattern, len(matching), tuple(map(points.described, matching[:MOST])))
    except (BinaryError, BtfError, OSError) as error:
        return FoundPoints(pattern, 0, problem=str(error))


def _order(point: Point) -> tuple[bool, int, int]:
    return bool(point.refusal), _PLACE[point.kind], len(point.target)
