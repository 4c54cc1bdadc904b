"""The attach points that a pattern means, each with all that it can tell, and why it cannot be used if so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ebtop import capability
from ebtop.attachpoint import Point, PointKind, spelt
from ebtop.capture.planerror import PlanError
from ebtop.capture.points.events import HARDWARE, SOFTWARE, refusal
from ebtop.capture.points.parameters import of_point
from ebtop.capture.points.search import Points
from ebtop.capture.points.tracepoints import record
from ebtop.capture.points.userparameters import by_convention
from ebtop.capture.userplanning import UserPlans, View
from ebtop.near import near
from ebtop.probing.plan import RESULT, Parameter, Planned, Sides

AT_RETURN = {PointKind.KPROBE: "kretprobe", PointKind.FENTRY: "fexit", PointKind.UPROBE: "uretprobe"}
"""What the return of a function is called."""

ENTER = "syscalls:sys_enter_"
_EXIT = "syscalls:sys_exit_"
_RETURNS = {name: kind for kind, name in AT_RETURN.items()}
_RETURNS |= {"kr": PointKind.KPROBE, "kretfunc": PointKind.FENTRY, "fr": PointKind.FENTRY, "ur": PointKind.UPROBE}
_EVERY = re.compile(r"(?P<kind>software|hardware):(?P<name>[\w-]+)(?::(?P<period>\d{1,15}))?")
_CLOCK = re.compile(r"\w+:(?P<unit>hz|us|ms|s):(?P<many>\d{1,9})")
_PERIODS = {"cpu-clock": 1_000_000, "task-clock": 1_000_000}
"""ns; of other events of the kernel each one, of the CPU's one of so many."""
_OF_CPU = 1_000_000
_FASTEST_HZ, _SHORTEST_US = 10_000, 100


class PointPlans:
    """Those of this machine. What was read is kept."""

    def __init__(self) -> None:
        self.kernel, self._user = Points(), UserPlans()

    def matching(self, text: str, view: View, *, described: bool = True) -> Iterator[tuple[Planned, str]]:
        """The points of a pattern as they are planned before anything is known of what is wanted of them, and why each
        cannot be used, "" where it can. Without `described` those of programs have no arguments, which take a while to
        find. Raises PlanError where there are none, BinaryError for a file of no use."""
        kind, colon, rest = text.partition(":")
        returns = kind in _RETURNS
        pattern = f"{_RETURNS[kind]}:{rest}" if returns else spelt(text)
        known, target = pattern.partition(":")[0], pattern.partition(":")[2]
        kinds = [each.value for each in PointKind]
        if not colon or known not in kinds:
            raise PlanError(f"{text!r} is no attach point: KIND:NAME{near(kind, [*kinds, *AT_RETURN.values()])}")
        if known == PointKind.USDT:
            yield from self._user.usdt(target, view)
        elif known == PointKind.UPROBE:
            yield from ((_at(planned, returns), why) for planned, why in self._user.functions(target, view, described))
        elif known in {PointKind.SOFTWARE, PointKind.HARDWARE}:
            yield _counted(pattern)
        elif known in {PointKind.PROFILE, PointKind.INTERVAL}:
            yield _timed(pattern)
        else:
            yield from self._of_kernel(pattern, returns)

    def _of_kernel(self, pattern: str, returns: bool) -> Iterator[tuple[Planned, str]]:
        there = False
        for point in self.kernel.matching(pattern):
            there = True
            arguments, result = ((), None) if point.refusal else self._parameters(point)
            planned = Planned(str(point), point.kind, point.target, arguments=arguments, result=result)
            yield _at(planned, returns), point.refusal
        if not there:
            raise PlanError(f"no attach point matches {pattern!r}{self._near(pattern)}")

    def _near(self, pattern: str) -> str:
        kind = pattern.partition(":")[0]
        known = [str(point) for point in self.kernel.matching(f"{kind}:*")]
        return near(pattern, known) if known else f" (this kernel has none of the kind {kind})"

    def _parameters(self, point: Point) -> tuple[tuple[Parameter, ...], Parameter | None]:
        tracefs, functions = self.kernel.tracefs, self.kernel.functions
        if point.kind is PointKind.TRACEPOINT and tracefs:
            arguments, _none = of_point(point, record(tracefs, point.target), functions)
            return arguments, self._returned(point) if point.target.startswith(ENTER) else None
        if point.kind is PointKind.KPROBE and (functions is None or point.target not in functions):
            return by_convention()
        return of_point(point, None, functions)

    def _returned(self, point: Point) -> Parameter | None:
        """What a system call gives back."""
        back = point._replace(target=_EXIT + point.target.removeprefix(ENTER))
        fields = record(self.kernel.tracefs, back.target) if self.kernel.tracefs else None
        returned, _none = of_point(back, fields, None)
        return next((parameter._replace(key=RESULT) for parameter in returned), None)


def _at(planned: Planned, returns: bool) -> Planned:
    return replace(planned, sides=Sides.RETURN) if returns else planned


def _counted(text: str) -> tuple[Planned, str]:
    """`software:NAME:PERIOD` or `hardware:NAME:PERIOD`; the period may be left out."""
    match = _EVERY.fullmatch(text)
    kind = PointKind(text.partition(":")[0])
    events = SOFTWARE if kind is PointKind.SOFTWARE else HARDWARE
    if match is None or match["name"] not in events:
        raise PlanError(
            f"{text!r} is no {kind} event such as {kind}:{next(iter(events))}:1000{near(text, list(events))}"
        )
    period = int(match["period"] or (_PERIODS.get(match["name"], 1) if kind is PointKind.SOFTWARE else _OF_CPU))
    if not period:
        raise PlanError(f"{text!r}: every how many? At least 1")
    target = f"{kind}:{match['name']}:{period}"
    return Planned(target, kind, target), refusal(kind, match["name"])


def _timed(text: str) -> tuple[Planned, str]:
    """`KIND:hz:99` and the like."""
    match = _CLOCK.fullmatch(text)
    kind = PointKind(text.partition(":")[0])
    many = int(match["many"]) if match else 0
    if match is None or not many:
        raise PlanError(f"{text!r} is no time: {kind}:hz:99, {kind}:ms:10, {kind}:us:500 or {kind}:s:1")
    if (match["unit"] == "hz" and many > _FASTEST_HZ) or (match["unit"] == "us" and many < _SHORTEST_US):
        raise PlanError(f"{text!r} is too often: {_FASTEST_HZ} times a second at most")
    return Planned(text, kind, text), capability.perf_refusal(capability.paranoid()) or refusal(
        PointKind.SOFTWARE, "cpu-clock"
    )
