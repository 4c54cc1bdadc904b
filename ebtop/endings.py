"""Signals that ask ebtop to end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PATIENCE_S = 8.0
"""An orderly end takes one or two; longer takes only what a terminal holds up that is there and takes nothing."""


def end_at_signals() -> None:
    """End without a word, as programs do that never heard of a signal, but with all that `finally` sees to."""
    for number in SIGNALS:
        signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(code(number))


def leave_at_signals(leave: Callable[[int], object]) -> None:
    """Have `leave` called with the exit code, between two steps of the main thread, which may be waiting for a terminal
    that takes nothing (^S): if it has not ended after PATIENCE_S, the process ends as it is. What it started, capture
    above all, ends with it."""

    insisting: list[threading.Timer] = []

    def left(number: int, _frame: FrameType | None) -> None:
        if not insisting:
            insisting.append(threading.Timer(PATIENCE_S, os._exit, [code(number)]))
            insisting[0].daemon = True
            insisting[0].start()
        leave(code(number))

    for number in SIGNALS:
        signal.signal(number, left)


def code(number: int) -> int:
    """The exit code that says which signal ended a program; Ctrl+C is how one ends ebtop anyway."""
    return 0 if number == signal.SIGINT else 128 + number
