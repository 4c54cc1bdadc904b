"""From what the user asked for to a plan: which points there are, what they tell, and which of them cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from ebtop.attachpoint import PointKind
from ebtop.capture.planerror import PlanError
from ebtop.capture.pointplans import AT_RETURN, ENTER, PointPlans
from ebtop.capture.points.userparameters import as_strings
from ebtop.capture.userplanning import GO, View
from ebtop.near import near
from ebtop.probing import condition
from ebtop.probing import filter as filters
from ebtop.probing.filter import FilterError, Tree
from ebtop.probing.function import OWN, variables
from ebtop.probing.plan import MOST_POINTS, RESULT, Mode, Plan, Planned, Probing, Sides
from ebtop.probing.slots import TEXTS, told
from ebtop.resolve.binaryfile import BinaryError
from ebtop.tick import Attempt
from ebtop.tool import Attach, Probe

_Found = Iterator[tuple[Planned, str]]
"""Points, and why each cannot be used."""

_NO_RETURN = frozenset({"exit", "exit_group", "rt_sigreturn", "sigreturn"})


class Planner:
    """Makes plans; what it reads of the machine is kept."""

    def __init__(self) -> None:
        self._points: PointPlans | None = None

    def plan(
        self, tool: str, asked: Probing, view: View, over: Callable[[], bool] = lambda: False
    ) -> tuple[Plan, tuple[Attempt, ...]]:
        """The plan, of files as the view has them, and what was left out and why. Raises PlanError, also when it is
        `over` before."""
        known = self._points = self._points or PointPlans()

        def matching(text: str, described: bool) -> _Found:
            for found in known.matching(text, view, described=described):
                if over():
                    raise PlanError("it was called off")
                yield found

        return _plan(tool, asked, matching)

    def types(self, probes: Iterable[Probe]) -> dict[str, int]:
        """The type ids of the kernel's functions that programs are loaded for, by the probe."""
        known = self._points.kernel.functions if self._points else None
        typed = (probe for probe in probes if probe.kind in {Attach.FENTRY, Attach.FEXIT})
        return {str(probe): known.number(probe.target) for probe in typed} if known else {}


def _plan(tool: str, asked: Probing, matching: Callable[[str, bool], _Found]) -> tuple[Plan, tuple[Attempt, ...]]:
    if asked.mode is not Mode.LATENCY and asked.slower_than_ns:
        raise PlanError("--slower-than goes with --mode latency")
    if asked.mode is Mode.DIST and not asked.value:
        raise PlanError(f"--mode dist needs --value: an argument, or {RESULT}")
    if asked.mode is not Mode.DIST and asked.value:
        raise PlanError("--value goes with --mode dist")
    try:
        tree = filters.parse(asked.filter)
        return _Making(tool, asked, tree, matching).plan()
    except BinaryError as error:
        raise PlanError(str(error)) from error
    except FilterError as error:
        raise PlanError(f"--filter: {error}") from error


class _Making:
    """`found` gives the points of a pattern, with their arguments or without."""

    def __init__(self, tool: str, asked: Probing, tree: Tree | None, found: Callable[[str, bool], _Found]) -> None:
        self._tool, self._asked, self._tree, self._found = tool, asked, tree, found
        self._names = {name.name for name in filters.names(tree)}
        self._left_out: list[Attempt] = []

    def plan(self) -> tuple[Plan, tuple[Attempt, ...]]:
        found = {point: refusal for text in self._asked.points for point, refusal in self._matching(text)}
        able = [point for point, refusal in found.items() if not self._is_left_out(point, refusal)]
        if len(able) > MOST_POINTS:
            raise PlanError(
                f"{len(able)} points match, and at most {MOST_POINTS} can be attached at once: narrow the pattern"
            )
        planned = [whole for point in able if (whole := self._planned(point)) is not None]
        if not planned:
            raise PlanError(self._why(), usage=bool(able), tried=self._left_out)
        asked = self._asked
        made = Plan(self._tool, asked.mode, tuple(planned), asked.filter, asked.value, asked.slower_than_ns)
        return made, tuple(self._left_out)

    def _matching(self, text: str) -> _Found:
        asked = self._asked
        told = asked.mode in {Mode.TRACE, Mode.DIST} or asked.slower_than_ns > 0
        return self._found(text, told or bool(self._names - OWN.keys()))

    def _is_left_out(self, point: Planned, refusal: str) -> bool:
        if refusal:
            self._left_out.append(Attempt(point.name, refusal))
        return bool(refusal)

    def _why(self) -> str:
        reasons = dict.fromkeys(attempt.error for attempt in self._left_out)
        first = self._left_out[0]
        if len(reasons) == 1:
            return f"{first.probe}: {first.error}" if len(self._left_out) == 1 else first.error
        return f"none of the {len(self._left_out)} points can be used; the first, {first.probe}: {first.error}"

    def _planned(self, point: Planned) -> Planned | None:
        """With what the mode needs, None where the point cannot give it."""
        point = replace(point, arguments=as_strings(point.arguments, self._asked.strings))
        try:
            made = self._of_mode(point)
            condition.check(self._tree, variables(told(made)))
        except FilterError as error:
            self._left_out.append(Attempt(point.name, f"--filter: {error}"))
        except PlanError as error:
            self._left_out.append(Attempt(point.name, str(error)))
        else:
            return made
        return None

    def _of_mode(self, point: Planned) -> Planned:
        if point.kind is PointKind.UPROBE and not point.returns and self._needs_return(point):
            raise PlanError(GO)
        if self._asked.mode is Mode.LATENCY:
            return _as_call(point)
        return self._spread(point) if self._asked.mode is Mode.DIST else _as_hit(point)

    def _needs_return(self, point: Planned) -> bool:
        return point.sides is Sides.RETURN or self._asked.mode is Mode.LATENCY or self._asked.value == RESULT

    def _spread(self, point: Planned) -> Planned:
        value = self._asked.value
        if value == RESULT and point.sides is Sides.ENTRY:
            whole = _as_call(point)
            alone = self._names <= {RESULT, *OWN} and point.kind is not PointKind.TRACEPOINT
            point = replace(whole, sides=Sides.RETURN, arguments=()) if alone else whole
        else:
            point = _as_hit(point)
        known = {parameter.key: parameter for parameter in told(point)}
        if value not in known:
            raise PlanError(f"no argument {value!r}{near(value, list(known)) if known else ': it has none'}")
        if known[value].form in TEXTS:
            raise PlanError(f"{value} is a string: only numbers have a distribution")
        return point


def _as_hit(point: Planned) -> Planned:
    """Its entry, or its return alone."""
    if point.sides is Sides.ENTRY:
        return replace(point, result=None)
    point = replace(point, name=f"{AT_RETURN[point.kind]}:{point.target}")
    return point if point.kind is PointKind.FENTRY else replace(point, arguments=())


def _as_call(point: Planned) -> Planned:
    """Entry and return. Raises PlanError where there is no such thing."""
    if point.kind in AT_RETURN:
        return replace(point, sides=Sides.BOTH, name=f"{point.kind}:{point.target}")
    if point.kind is PointKind.TRACEPOINT and point.target.startswith(ENTER):
        if point.target.removeprefix(ENTER) in _NO_RETURN:
            raise PlanError("this system call does not return")
        return replace(point, sides=Sides.BOTH)
    able = f"functions (kprobe, fentry, uprobe) and system calls (tracepoint:{ENTER}*)"
    raise PlanError(f"it has no return: {able} have one")
