"""A capture without a screen: what `run` and `record` have in common, from the first command to the last tick."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ebtop import arguments
from ebtop.endings import SIGNALS

if TYPE_CHECKING:
    from ebtop.heldcommand import HeldCommand
    from ebtop.probing.plan import Probing
    from ebtop.source.live import LiveSource
    from ebtop.tick import Focus, Message, ToolState

_MOST_LISTED = 3


class Session:
    """Begins with a focus and some tools; ends when told to, after a while, or with the command. `code` is the exit
    code."""

    def __init__(self, source: LiveSource, held: HeldCommand | None, duration: float | None) -> None:
        self.source, self.held = source, held
        self.code = 0
        self._duration = duration

    def begin(
        self, focus: Focus, tools: Mapping[str, Mapping[str, int]], stacks: Iterable[str] = (),
        probing: Probing | None = None,
    ) -> None:  # fmt: skip
        """Ask for the tools, each with its options and what was asked of it, and for the stacks of the events of
        some."""
        from ebtop import registry
        from ebtop.tick import Load, SetFocus, TakeStacks

        for number in SIGNALS:
            # In a thread: this one may be sending something just now, and a message must stay whole.
            signal.signal(number, lambda *_: threading.Thread(target=self.stop, daemon=True).start())
        made = {tool.name for tool in registry.tools() if tool.make is not None}
        self.source.send(SetFocus(focus))
        for tool in stacks:
            self.source.send(TakeStacks(tool, on=True))
        for tool, options in tools.items():
            self.source.send(Load(tool, options, probing if tool in made else None))

    def attached(self) -> None:
        """All runs that can: the time begins, and the command."""
        if self._duration:
            timer = threading.Timer(self._duration, self.stop)
            timer.daemon = True
            timer.start()
        if self.held:
            self.held.when_done(self.stop)
            self.held.release()

    def stop(self) -> None:
        """Have capture make its last tick."""
        from ebtop.tick import Stop

        self.source.send(Stop())

    def heed(self, message: Message) -> None:
        """What is neither data nor a tool's state: something to say, or why it is over."""
        from ebtop.tick import Gone, Notice

        match message:
            case Notice(text=text, error=True):
                self.give_up(text, arguments.USAGE)
            case Notice(text=text):
                say(text)
            case Gone(reason=reason) if reason:
                self.give_up(reason, arguments.CANNOT_RUN)

    def give_up(self, reason: str, code: int) -> None:
        """Say why, once, and end."""
        if not self.code:
            say(reason)
            self.code = code
        self.stop()


def focused_on(focus: Focus, held: HeldCommand | None) -> Focus:
    """The focus, on the command too if there is one."""
    return replace(focus, pids=(*focus.pids, held.pid), follow=True) if held else focus


def say(text: str) -> None:
    """One line on stderr."""
    from ebtop.sanitise import sanitise

    sys.stderr.write(f"ebtop: {sanitise(text)}\n")


def why_failed(state: ToolState) -> str:
    """Why a tool did not start, with what was tried and what to do, in one line."""
    alike: dict[str, list[str]] = {}
    for probe, error in state.tried:
        alike.setdefault(error, []).append(probe)
    tried = "".join(f"; tried {_listed(probes)}: {error}" for error, probes in alike.items())
    remedy = f" ({state.remedy})" if state.remedy else ""
    return f"{state.tool} cannot run on this kernel: {state.reason}{tried}{remedy}"


def _listed(probes: list[str]) -> str:
    return ", ".join(probes) if len(probes) <= _MOST_LISTED else f"{probes[0]} and {len(probes) - 1} others"
