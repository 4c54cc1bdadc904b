"""From a request for attach points to a tool that can be loaded, without a kernel: what is said on the way."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import pytest

from ebtop.capture import making
from ebtop.capture.loader import Loaded
from ebtop.capture.preparing import Preparing
from ebtop.probing.plan import Mode, Plan, Probing
from ebtop.tick import Focus, Load, Message, Notice, Phase, ToolState
from ebtop.tool import Tool

CLOCK = Probing(("profile:hz:99",), Mode.COUNT)


class Side:
    """What capture does with it."""

    def __init__(self) -> None:
        self.said: list[Message] = []
        self.trials: list[str] = []
        self.loaded: list[Tool] = []
        self._woken: SimpleQueue[None] = SimpleQueue()
        self.preparing = Preparing(
            self.said.append, lambda: self._woken.put(None), lambda name, _tool: self.trials.append(name),
            lambda _load, tool: self.loaded.append(tool),
        )  # fmt: skip

    def ask(self, probing: Probing | None, tool: str = "probe") -> None:
        self.preparing.begin(Load(tool, probing=probing), Focus())

    def go_on(self) -> None:
        """As soon as a thread is done with something."""
        self._woken.get(timeout=30)
        self.preparing.go_on(focused=False)

    @property
    def phases(self) -> list[Phase]:
        return [m.phase for m in self.said if isinstance(m, ToolState)]

    @property
    def last(self) -> ToolState:
        found = self.said[-1]
        assert isinstance(found, ToolState)
        return found


@pytest.fixture
def side() -> Side:
    return Side()


def test_nothing_asked_for_is_said_with_what_to_do(side: Side) -> None:
    before = threading.active_count()
    side.ask(None)
    assert (side.phases, side.last.reason) == ([Phase.FAILED], "no attach point was asked for")
    assert side.last.remedy.startswith("ebtop run probe -p")
    assert threading.active_count() == before


def test_a_plan_is_told_once_it_was_tried(side: Side) -> None:
    side.ask(CLOCK)
    side.go_on()
    assert (side.phases, side.trials, side.loaded) == ([Phase.PLANNING, Phase.TRYING], ["probe"], [])
    side.preparing.tried("probe", Loaded(error="no probe could be attached"))  # loading will say it
    assert [tool.name for tool in side.loaded] == ["probe"]
    assert [plan.points[0].name for plan in side.said if isinstance(plan, Plan)] == ["profile:hz:99"]


def test_a_trial_can_be_done_without(side: Side) -> None:
    side.ask(Probing(CLOCK.points, CLOCK.mode, hot=True))
    side.go_on()
    assert (side.phases, side.trials, len(side.loaded)) == ([Phase.PLANNING], [], 1)


def test_what_was_called_off_comes_to_nothing(side: Side) -> None:
    side.ask(CLOCK)
    assert side.preparing.cancel("probe")
    assert not side.preparing.cancel("probe")
    side.go_on()
    assert (side.phases, side.trials) == ([Phase.PLANNING], [])
    side.ask(CLOCK)
    side.go_on()
    side.preparing.cancel("probe")
    side.preparing.tried("probe", Loaded())  # built meanwhile
    assert side.loaded == [] and not [m for m in side.said if isinstance(m, Plan)]


def test_the_last_that_was_asked_for_counts(side: Side) -> None:
    side.ask(CLOCK)
    side.ask(Probing(("interval:s:1",), Mode.COUNT, hot=True))
    side.go_on()
    side.go_on()
    assert [plan.points[0].name for plan in side.said if isinstance(plan, Plan)] == ["interval:s:1"]
    assert (side.trials, len(side.loaded)) == ([], 1)


WRONG = {
    "no attach point matches": Probing(("tracepoint:no:such",)),
    "is no time": Probing(("profile:hz:never",)),
}


@pytest.mark.parametrize("words", WRONG)
def test_what_cannot_be_planned_is_said(side: Side, words: str) -> None:
    side.ask(WRONG[words])
    side.go_on()
    assert side.phases == [Phase.PLANNING, Phase.FAILED]
    notice = side.said[-2]
    assert isinstance(notice, Notice) and notice.error
    assert words in notice.text == side.last.reason


def test_whoever_waits_for_a_plan_is_told_of_a_mistake_of_ours(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise KeyError("a mistake")

    monkeypatch.setattr(making, "make", fails)
    side.ask(CLOCK)
    side.go_on()
    assert (side.phases[-1], side.last.reason) == (Phase.FAILED, "it could not be planned: KeyError: 'a mistake'")
