"""The threads behind the screen: one reads the source, one keeps the history and prepares what is shown.

The screen gets one immutable `Refreshed` at a time, at most one a second for news and sooner for what the user asked;
the next is made when it has `seen` the last. A source that is faster than the history has to wait for it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from textual.message import Message as ScreenMessage

from ebtop.attachpoint import Point
from ebtop.memory import Trimmer
from ebtop.model.history import DEFAULT_BUDGET, History
from ebtop.model.snapshot import Snapshot, ToolSnapshot
from ebtop.probing.plan import Plan, Probing
from ebtop.source import Playable, Source
from ebtop.tick import (
    Command,
    Focus,
    FoundPoints,
    Gone,
    Load,
    Message,
    Past,
    Phase,
    SetFocus,
    TakeStacks,
    ToolState,
    Unload,
)
from ebtop.tool import Tool
from ebtop.ui.cost import OwnCost

REFRESH_S = 0.9
"""The least time between two refreshes that nobody asked for."""

STARTING_S, SOON_S = 3.0, 0.1
"""While tools start, their first data are waited for: so long, news are shown so soon."""

_GATHER_S = 0.03
"""Ticks of several tools come close together: wait so long for the rest of them."""

_ANSWERS = (Past, FoundPoints, Plan, ToolState)
"""What comes because the user asked for something, who is not to wait."""

_AHEAD = 64
"""So many messages may wait for the history; then the source has to wait."""


class Prepares(Protocol):
    """The part of a view that the reader uses."""

    tool: Tool

    def concerns(self, message: Message) -> bool:
        """Whether what the view shows may be another after this message."""
        ...

    def take(self, snapshot: Snapshot, wanted: object | None) -> tuple[ToolSnapshot, object | None]:
        """The part of a snapshot that the view shows, and what it is shown of it."""
        ...


@dataclass(frozen=True, slots=True)
class Shown:
    """What was prepared for a view. `serial` grows with each; `error` is set where preparing failed."""

    serial: int
    view: Prepares
    wanted: object | None
    snapshot: ToolSnapshot
    result: object | None
    error: str = ""


class Refreshed(ScreenMessage):
    """The newest picture; a later one takes the place of one that the screen has not come to."""

    def __init__(self, snapshot: Snapshot, shown: Shown | None, frozen: Snapshot | None) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.shown = shown
        self.frozen = frozen

    def can_replace(self, message: ScreenMessage) -> bool:
        """Each holds all that the one before it held."""
        return isinstance(message, Refreshed)


@dataclass(frozen=True, slots=True)
class _Look:
    view: Prepares
    wanted: object | None


@dataclass(frozen=True, slots=True)
class _LookBack:
    at: int | None


@dataclass(frozen=True, slots=True)
class _Attach:
    source: Source


class _Seen:
    pass


class _Stop:
    pass


@dataclass(frozen=True, slots=True)
class _From:
    """A message and the source that it came from: what an old source still says after a restart is not wanted."""

    source: Source
    message: Message


_Item = _Look | _LookBack | _Attach | _Seen | _Stop | _From


class Reader:
    """Reads a source and prepares pictures. Its public methods may be called from the UI thread; none of them waits."""

    def __init__(
        self,
        source: Source,
        tools: Sequence[Tool],
        post: Callable[[Refreshed], object],
        budget: int = DEFAULT_BUDGET,
        clock: Callable[[], int] = time.time_ns,
        probing: Mapping[str, Probing] | None = None,
    ) -> None:
        """`probing` is what to begin with of tools that are made by what is asked for."""
        self.asked = dict(probing or {})  # of such tools: what was asked for last, whether it runs or not
        self.described: dict[str, Sequence[Point]] = {}  # what is known of points, by how they are asked for
        self._wanted = set(self.asked)  # those of them that are to run
        self.at: int | None = None  # the moment that is looked at, None for now; the screen's
        self._source = source
        self._recorded = source if isinstance(source, Playable) else None
        self._tools = tuple(tools)
        self._post = post
        self._clock = clock
        self._history = History(tools, budget)
        self._inbox: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._cost = OwnCost()
        self._focus: Focus | None = None
        self._stacks: dict[str, bool] = {}  # by tool, what was asked for
        self._look: _Look | None = None
        self._shown: Shown | None = None
        self._frozen: Snapshot | None = None
        self._stale = False  # the shown pane's data or wishes changed since it was prepared
        self._posted = 0.0
        self._started = time.monotonic()
        self._trimmer = Trimmer(STARTING_S)
        self._unseen = False  # the screen has not come to the last picture yet
        self._room = threading.Semaphore(_AHEAD)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="prepare", daemon=True)

    def start(self, first: str) -> None:
        """Begin reading; the tools are asked for, `first` before the others."""
        self._attach(self._source, first)
        self._thread.start()

    def look(self, view: Prepares, wanted: object | None) -> None:
        """Show this view's tool, as it is wanted."""
        self._inbox.put(_Look(view, wanted))

    def look_back(self, at: int | None) -> None:
        """Show what was so at a time (Unix ns), or with None go on: with the newest, or from where a recording stands.
        What is shown of a live source stays in memory, beside History, which goes on."""
        if self._recorded is not None and at is None:
            self._recorded.play()
        elif self._recorded is not None:
            at = self._recorded.stand(at)
        self._move(at)

    def pause(self) -> None:
        """Stay with what is shown."""
        self._move(self.now if self._recorded is None else self._recorded.stand())

    def _move(self, at: int | None) -> None:
        self.at = at
        self._inbox.put(_LookBack(at))

    def go_to_end(self) -> None:
        """Go on with the newest."""
        if self._recorded is not None:
            self._recorded.go_to_end()
        self._move(None)

    def change_speed(self, by: int) -> None:
        """Play a recording faster (1) or slower (-1)."""
        if self._recorded is not None:
            self._recorded.change_speed(by)
            self._inbox.put(_LookBack(None))

    @property
    def is_recorded(self) -> bool:
        """Whether the source is a recording: its time can be moved, its focus cannot."""
        return self._recorded is not None

    @property
    def now(self) -> int:
        """The time (Unix ns) as what is shown has it."""
        return self._clock()

    def seen(self) -> None:
        """The screen has come to the picture it was given; before that it gets no other, and none is kept for it."""
        self._inbox.put(_Seen())

    def send(self, command: Command) -> None:
        """Hand a command to the source. The focus is remembered, for a source that is started again."""
        if isinstance(command, SetFocus):
            self._focus = command.focus
        self._source.send(command)

    def turn_stacks(self, state: ToolState) -> None:
        """Have the other than what was asked for last, or is so: the stacks of a tool's events taken, or not."""
        on = self._stacks[state.tool] = not self._stacks.get(state.tool, state.stacks)
        self._source.send(TakeStacks(state.tool, on))

    def probe(self, tool: str, asked: Probing) -> None:
        """Have a tool made of what is asked for, in place of what it is."""
        self.asked[tool] = asked
        self._wanted.add(tool)
        self._source.send(Unload(tool))
        self._source.send(Load(tool, probing=asked))

    def unload(self, tool: str) -> None:
        """Have a tool's probes taken away; what it told stays."""
        self._wanted.discard(tool)
        self._source.send(Unload(tool))

    def restart(self, source: Source, first: str) -> None:
        """Go on with another source; what is held stays."""
        self._source, self._started = source, time.monotonic()
        self._inbox.put(_Attach(source))
        self._attach(source, first)
        if self._focus is not None:
            source.send(SetFocus(self._focus))
        for tool, on in self._stacks.items():
            source.send(TakeStacks(tool, on))

    def stop(self) -> None:
        """End the source and the threads."""
        self._stopped = True
        self._inbox.put(_Stop())
        self._source.close()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _attach(self, source: Source, first: str) -> None:
        threading.Thread(target=self._pump, args=(source,), name="read", daemon=True).start()
        for tool in sorted(self._tools, key=lambda t: t.name != first):
            if tool.make is None or tool.name in self._wanted or self._recorded is not None:
                source.send(Load(tool.name, probing=self.asked.get(tool.name)))

    def _pump(self, source: Source) -> None:
        try:
            for message in source.messages():
                if not self._hand_over(source, message):
                    return
        except Exception as error:  # noqa: BLE001  whatever the source dies of, the screen says it and stays
            self._hand_over(source, Gone(f"{type(error).__name__}: {error}"))

    def _hand_over(self, source: Source, message: Message) -> bool:
        """Wait for room, then hand a message to the history; False when nobody takes it any more."""
        while not self._room.acquire(timeout=0.5):
            if self._stopped:
                return False
        self._inbox.put(_From(source, message))
        return True

    def _run(self) -> None:
        due: float | None = None  # when the news that there are will be shown
        while True:
            wait = None if due is None or self._unseen else max(due - time.monotonic(), 0.0)
            try:
                item = self._inbox.get(timeout=wait)
            except queue.Empty:
                self._refresh()
                due = None
                continue
            if isinstance(item, _Stop):
                return
            if self._take(item):
                now = time.monotonic()
                news = isinstance(item, _From) and not isinstance(item.message, _ANSWERS)
                pause = SOON_S if now - self._started < STARTING_S else REFRESH_S
                earliest = max(self._posted + pause, now + _GATHER_S) if news else now
                due = earliest if due is None else min(due, earliest)

    def _take(self, item: _Item) -> bool:
        """Whether there is anything new to show."""
        match item:
            case _Look():
                self._look = item
                self._stale = True
            case _LookBack():
                live = item.at is None or self._recorded is not None
                self._frozen = None if live else self._history.snapshot(self._clock()).until(item.at or 0)
                self._stale = True
            case _Attach():
                self._history.restarted()
            case _Seen():
                self._unseen = False
                return False
            case _From():
                self._room.release()
                if item.source is not self._source:
                    return False
                self._history.add(item.message)
                concerned = self._look is not None and self._frozen is None and self._look.view.concerns(item.message)
                self._stale |= concerned or isinstance(item.message, Past)
        return True

    def _refresh(self) -> None:
        self._cost.measure()
        live = self._history.snapshot(self._clock())
        told = live.vitals.screen_pss if live.vitals else 0  # who gave root up may not look at itself
        live = replace(live, screen_cpu=self._cost.cpu, screen_pss=self._cost.pss or told)
        if self._recorded is not None:
            live = _of_recording(live, self._recorded)
        if self._look is not None and self._stale:
            self._shown = self._prepared(self._look, self._frozen or live)
            self._stale = False
        self._posted = time.monotonic()
        self._trimmer.now_and_then()
        self._unseen = True
        self._post(Refreshed(live, self._shown, self._frozen))

    def _prepared(self, look: _Look, snapshot: Snapshot) -> Shown:
        before = self._shown
        serial = before.serial + 1 if before else 1
        try:
            tool, result = look.view.take(snapshot, look.wanted)
        except Exception as error:  # noqa: BLE001  a view that cannot prepare must say so, not end the thread
            said = f"{type(error).__name__}: {error}"
            name = look.view.tool.name
            tool = snapshot.tools.get(name) or ToolSnapshot(look.view.tool, ToolState(name, Phase.IDLE))
            return Shown(serial, look.view, look.wanted, tool, None, said)
        if before is not None and before.result is result is not None and before.view is look.view:
            return replace(before, snapshot=tool)  # nothing is new: what is drawn stays
        return Shown(serial, look.view, look.wanted, tool, result)


def _of_recording(snapshot: Snapshot, source: Playable) -> Snapshot:
    """The picture with the activity of the whole recording, not only of what is held."""
    tools = {name: replace(tool, activity=tuple(source.activity(name))) for name, tool in snapshot.tools.items()}
    return replace(snapshot, tools=tools, playback=source.playback())
