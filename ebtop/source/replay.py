"""Ticks from a recording, as if they came now: at its own pace, faster, or as of any time in it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from ebtop.model.activity import Moment
from ebtop.model.snapshot import Playback
from ebtop.record.reader import Recording, RecordingError
from ebtop.source import recordedprocess
from ebtop.source.fit import Fit, UnfitError
from ebtop.tick import (
    Command,
    FindPoints,
    Gone,
    Load,
    Message,
    Notice,
    Past,
    Phase,
    ProcessDetails,
    Resolve,
    SetFocus,
    Stop,
    TakeStacks,
    Tick,
    ToolState,
    Vitals,
)
from ebtop.tool import Tool, Type

SPEEDS = (1.0, 2.0, 10.0)

PAST = (8 << 20, 150)
"""What is read of each tool's past when another time is gone to: bytes and ticks."""

SOON = (1 << 20, 10)
"""The same, to be shown at once where all of it is more than AT_ONCE bytes; the rest follows when there is time."""

AT_ONCE = 16 << 20

_POLL_S = 0.25
_NAMES = 50_000
_NO_FOCUS = "a recording has what was traced: / filters what is shown of it"


class Playhead:
    """Which time of a recording is shown; any thread may ask. `changed` guards it, and tells who waits."""

    def __init__(self, start: int, end: int, steady: Callable[[], float]) -> None:
        self.changed = threading.Condition()
        self.start, self.end = start, end
        self.standing = False
        self.speed = SPEEDS[0]
        self._steady = steady
        self._at, self._since = start, steady()  # the time that was shown, and when

    def now(self) -> int:
        """The time (Unix ns)."""
        with self.changed:
            passed = 0.0 if self.standing else (self._steady() - self._since) * self.speed
            return min(self._at + int(passed * 1e9), self.end)

    def move(self, time: int | None = None, *, standing: bool | None = None, speed: float | None = None) -> int:
        """Go on from a time, or from what is shown: the time."""
        with self.changed:
            now = self.now() if time is None else min(max(time, self.start), self.end)
            self._at, self._since = now, self._steady()
            self.standing = self.standing if standing is None else standing
            self.speed = speed or self.speed
            self.changed.notify()
            return now

    def until(self, time: int) -> float | None:
        """Seconds until a time is shown, 0 where it is; None where it will not be."""
        with self.changed:
            left = max(time - self.now(), 0)
            return None if self.standing and left else left / 1e9 / self.speed


class _End:
    """Nobody listens any more."""


class _Due:
    """What is next is due."""


class _Idle:
    """There is time to look the recording over."""


class ReplaySource:
    """A Source that a recording feeds, and whose time can be moved. One thread reads the recording: the one that takes
    the messages."""

    def __init__(
        self, recording: Recording, tools: Sequence[Tool], steady: Callable[[], float] = time.monotonic,
        speed: float = SPEEDS[0],
    ) -> None:  # fmt: skip
        """`steady` is the clock that it plays by, in seconds; `speed` one of SPEEDS."""
        self._recording, self._tools = recording, {tool.name: tool for tool in tools}
        self._fit = Fit(tools)
        self._head = Playhead(recording.meta.start, recording.meta.end, steady)
        self._head.move(speed=speed)
        self._tasks: deque[Command | _End] = deque()
        self._wanted: int | None = None  # the time to go to
        self._brief = False  # more of the past is to be read
        self._complete = recording.meta.closed
        self._activity: dict[str, Sequence[Moment]] = {}
        self._overlooked = deque(self._tools)  # tools whose activity is not known yet, or has grown

    def now(self) -> int:
        """The time (Unix ns) that is shown."""
        return self._head.now()

    def playback(self) -> Playback:
        """How it is played."""
        head = self._head
        with head.changed:
            return Playback(head.now(), head.start, head.end, head.speed, head.standing, self._complete)

    def activity(self, tool: str) -> Sequence[Moment]:
        """When how much happened, over the whole recording."""
        return self._activity.get(tool, ())

    def stand(self, time: int | None = None) -> int:
        """Show what was so at a time, and stay there; stay where it is without one: the time that is shown."""
        if time is not None:
            self._go_to(time)
        return self._head.move(standing=True)

    def play(self) -> None:
        """Go on from what is shown."""
        self._head.move(standing=False)

    def go_to_end(self) -> None:
        """Show the newest, and what follows where the recording goes on."""
        self._go_to(self._head.end)
        self._head.move(standing=False)

    def change_speed(self, by: int) -> None:
        """Faster (1) or slower (-1)."""
        place = SPEEDS.index(self._head.speed) + by
        self._head.move(speed=SPEEDS[min(max(place, 0), len(SPEEDS) - 1)])

    def send(self, command: Command) -> None:
        """Answered from the recording, or by a notice that it cannot be."""
        self._do(command)

    def close(self) -> None:
        """End."""
        self._do(_End())

    def _do(self, task: Command | _End) -> None:
        with self._head.changed:
            self._tasks.append(task)
            self._head.changed.notify()

    def _go_to(self, time: int) -> None:
        with self._head.changed:
            self._wanted = self._head.move(time)

    def messages(self) -> Iterator[Message]:
        """What was recorded, when it is due; a Gone when the recording cannot be read on."""
        try:
            for message in self._messages():
                for one in _parts(message):
                    self._fit.check(one)
                yield message
        except (RecordingError, UnfitError) as error:
            yield Gone(str(error))
        finally:
            self._recording.close()

    def _messages(self) -> Iterator[Message]:
        yield from self._told_at(self._head.start)
        said = self._head.start
        coming = self._after(said)
        ahead = next(coming, None)
        while True:
            match self._next_task(ahead[0] if ahead else None):
                case _End():
                    return
                case int(time):
                    self._brief = self._size(time) > AT_ONCE
                    yield from self._past(time, SOON if self._brief else PAST)
                    said, coming = time, self._after(time)
                    ahead = next(coming, None)
                case _Idle() if self._brief:
                    yield from self._more_past(said)
                case _Idle():
                    yield from self._look_over(self._overlooked.popleft())
                case _Due() if ahead:
                    said, message = ahead
                    yield message
                    ahead = next(coming, None)
                case _Due():
                    yield from self._go_on()
                    coming = self._after(said)
                    ahead = next(coming, None)
                case command:
                    yield from self._answer(command)

    def _next_task(self, ahead: int | None) -> Command | _End | _Due | _Idle | int:
        """Wait for what is next: something that was asked for, or the message of that time. Without one the recording
        is looked at again after a while, if it may go on."""
        head, waited = self._head, False
        with head.changed:
            while True:
                if self._tasks:
                    return self._tasks.popleft()
                if self._wanted is not None:
                    wanted, self._wanted = self._wanted, None
                    return wanted
                if ahead is not None:
                    left = head.until(ahead)
                    waited = left == 0
                else:
                    left = None if self._complete else _POLL_S
                if waited:
                    return _Due()
                if self._brief or self._overlooked:
                    return _Idle()
                waited = not head.changed.wait(left)

    def _look_over(self, tool: str) -> Iterator[Message]:
        """When how much happened, from where it is known. Its state is said again, so that the screen looks at it."""
        known = self._activity.get(tool, ())
        self._activity[tool] = (*known, *self._recording.moments(tool, known[-1].end if known else 0))
        state = self._recording.states.get(tool)
        if state is not None and self._is_news(state):
            yield state

    def _go_on(self) -> Iterator[Message]:
        """How far the recording reaches by now."""
        meta = self._recording.refresh()
        if meta.end != self._head.end:
            self._overlooked.extend(name for name in self._tools if name not in self._overlooked)
        with self._head.changed:
            self._head.start, self._head.end, self._complete = meta.start, meta.end, meta.closed
        if meta.closed:
            yield Notice("the recording has been closed")

    def _after(self, time: int) -> Iterator[tuple[int, Message]]:
        """What was recorded after a time, with the times at which it is due."""
        said = time
        for tick in self._recording.ticks(self._tools, time + 1):
            yield tick.end, tick
            for _time, message in self._recording.messages(said + 1, tick.end):
                if not isinstance(message, ToolState) or self._is_news(message):
                    yield tick.end, message
            said = tick.end

    def _is_news(self, state: ToolState) -> bool:
        return state.tool in self._tools and state.phase in {Phase.RUNNING, Phase.FAILED}

    def _told_at(self, time: int) -> Iterator[Message]:
        vitals = self._recording.latest("Vitals", time) or self._recording.first("Vitals")
        if vitals is not None:
            yield vitals

    def _firsts(self, time: int, most: tuple[int, int]) -> dict[str, int]:
        """The end of the first tick of each tool that is shown as its past."""
        return {name: self._recording.before(name, time, *most) for name in self._tools}

    def _size(self, time: int) -> int:
        """Bytes of memory that the past takes."""
        return sum(self._recording.size(name, first, time) for name, first in self._firsts(time, PAST).items())

    def _past(self, time: int, most: tuple[int, int], *, give_way: bool = False) -> Iterator[Past]:
        """What was so then; nothing where something else is asked for meanwhile, and it is to `give_way` to that."""
        reader, firsts, ticks = self._recording, self._firsts(time, most), list[Tick]()
        for name, first in firsts.items():
            ticks += reader.ticks({name}, first, time)
            if give_way and (self._tasks or self._wanted is not None):
                return
        names = {name: reader.names(name, first, _NAMES, _stacks(self._tools[name])) for name, first in firsts.items()}
        totals = {name: reader.totals(name, first) for name, first in firsts.items()}
        vitals = reader.latest("Vitals", time)
        ticks.sort(key=lambda tick: tick.end)
        yield Past(time, tuple(ticks), names, totals, vitals if isinstance(vitals, Vitals) else None)

    def _more_past(self, time: int) -> Iterator[Past]:
        for past in self._past(time, PAST, give_way=True):
            self._brief = False
            yield past

    def _answer(self, command: Command) -> Iterator[Message]:
        match command:
            case Load():
                state = self._recording.states.get(command.tool)
                if state is None or not self._is_news(state):
                    state = ToolState(command.tool, Phase.FAILED, reason="this recording has nothing of it")
                yield state
            case Resolve():
                yield self._process(command.pid)
            case FindPoints():
                yield Notice("a recording has no attach points: they are those of a machine that is watched")
            case SetFocus() | TakeStacks():
                yield Notice(_NO_FOCUS)
            case Stop():
                self.close()

    def _process(self, pid: int) -> Message:
        now = self.now()
        found = self._recording.latest("ProcessDetails", now, str(pid))
        told = found or recordedprocess.details(self._recording, list(self._tools.values()), pid, now)
        return told or ProcessDetails(pid, alive=False)


def _stacks(tool: Tool) -> tuple[str, ...]:
    """The domains of its stacks."""
    return tuple(column.key for column in tool.columns if column.type is Type.STACK)


def _parts(message: Message) -> Iterator[Message]:
    """What is held against the tools' declarations."""
    if not isinstance(message, Past):
        yield message
        return
    yield from message.ticks
    for tool, names in message.names.items():
        yield Tick(tool, 0, 0, names=names)
