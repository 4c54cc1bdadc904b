"""Signals that ask ebtop to end."""

from __future__ import annotations

import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_at_signals() -> None:
    """End without a word, as programs do that never heard of a signal, but with all that `finally` sees to."""
    for number in SIGNALS:
        signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(code(number))


def code(number: int) -> int:
    """The exit code that says which signal ended a program."""
    return 128 + number
