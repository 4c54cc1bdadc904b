"""A real capture process, and the unprivileged side that talks to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psutil

from ebtop.source.live import Keeper, LiveSource
from ebtop.source.settings import Settings
from ebtop.tick import Gone, Message, Phase, Stop, ToolState


class Screen:
    """It can say anything. Messages are read all the time, as by the dashboard."""

    def __init__(self) -> None:
        self.keeper = Keeper()
        self.keeper.request(Settings(interval_s=0.1, measure=False))
        self.source: LiveSource = self.keeper.source()
        self.raw: int = self.source._commands
        self.messages: list[Message] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for message in self.source.messages():
            self.messages.append(message)

    @property
    def capture(self) -> psutil.Process:
        """The process."""
        return psutil.Process(self.keeper._process.pid).children()[0]

    def ended(self, timeout: float = 30) -> str:
        """Wait for the end: the reason that capture gave."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "capture neither obeys nor ends"
        last = self.messages[-1]
        assert isinstance(last, Gone)
        return last.reason

    def stop(self) -> None:
        """An orderly end, which must still be possible."""
        self.source.send(Stop())
        assert self.ended() == ""

    def until(self, kind: type, count: int = 1) -> list[Any]:
        """Wait for so many messages of a kind."""
        for _ in range(600):
            found = [m for m in list(self.messages) if isinstance(m, kind)]
            if len(found) >= count or not self._thread.is_alive():
                break
            time.sleep(0.05)
        assert len(found) >= count, self.messages
        return found

    def comes(self, holds: Callable[[Message], bool], count: int = 1) -> None:
        """Wait for so many messages for which that holds."""
        for _ in range(1200):
            if sum(map(holds, list(self.messages))) >= count:
                return
            time.sleep(0.02)
        raise AssertionError(self.messages)


def stands(tool: str, phase: Phase) -> Callable[[Message], bool]:
    """Is a message that a tool has come to that phase?"""
    return lambda message: isinstance(message, ToolState) and (message.tool, message.phase) == (tool, phase)


def has_ended(pid: int) -> bool:
    """Wait for a process to end; its parent, the keeper, looks after it only when it is asked."""
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False
