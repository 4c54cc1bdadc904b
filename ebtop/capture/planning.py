"""From what the user asked for to a plan: which points there are, what they tell, and which of them cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ebtop.attachpoint import Point, PointKind, spelt
from ebtop.capture.points.parameters import of_point
from ebtop.capture.points.search import Points
from ebtop.capture.points.tracepoints import record
from ebtop.near import near
from ebtop.probing import condition
from ebtop.probing import filter as filters
from ebtop.probing.filter import FilterError, Tree
from ebtop.probing.function import variables
from ebtop.probing.plan import MOST_POINTS, RESULT, Mode, Parameter, Plan, Planned, Probing, Sides
from ebtop.probing.slots import TEXTS, told
from ebtop.tick import Attempt

_RETURNS = {
    "kretprobe": PointKind.KPROBE, "kr": PointKind.KPROBE, "fexit": PointKind.FENTRY, "kretfunc": PointKind.FENTRY,
    "fr": PointKind.FENTRY, "uretprobe": PointKind.UPROBE, "ur": PointKind.UPROBE,
}  # fmt: skip
_AT_RETURN = {PointKind.KPROBE: "kretprobe", PointKind.FENTRY: "fexit", PointKind.UPROBE: "uretprobe"}
_ENTER, _EXIT = "syscalls:sys_enter_", "syscalls:sys_exit_"
_NO_RETURN = frozenset({"exit", "exit_group", "rt_sigreturn", "sigreturn"})


class PlanError(Exception):
    """Why there can be no plan, in one line. `usage`: something else has to be asked for; else this machine cannot, and
    `tried` says what was."""

    def __init__(self, why: str, *, usage: bool = True, tried: Sequence[Attempt] = (), remedy: str = "") -> None:
        super().__init__(why)
        self.usage, self.tried, self.remedy = usage, tuple(tried), remedy


class Planner:
    """Makes plans; what it reads of the machine is kept."""

    def __init__(self) -> None:
        self._points: Points | None = None

    def plan(self, tool: str, asked: Probing | None) -> tuple[Plan, tuple[Attempt, ...]]:
        """The plan, and what was left out of it and why. Raises PlanError."""
        if asked is None:
            raise PlanError("no attach point was asked for", remedy=f"ebtop run {tool} -p KIND:NAME; ebtop probes")
        self._points = self._points or Points()
        return _plan(tool, asked, self._points)


def _plan(tool: str, asked: Probing, points: Points) -> tuple[Plan, tuple[Attempt, ...]]:
    if asked.mode is not Mode.LATENCY and asked.slower_than_ns:
        raise PlanError("--slower-than goes with --mode latency")
    if asked.mode is Mode.DIST and not asked.value:
        raise PlanError(f"--mode dist needs --value: an argument, or {RESULT}")
    if asked.mode is not Mode.DIST and asked.value:
        raise PlanError("--value goes with --mode dist")
    try:
        tree = filters.parse(asked.filter)
        return _Making(tool, asked, points, tree).plan()
    except FilterError as error:
        raise PlanError(f"--filter: {error}") from error


class _Making:
    def __init__(self, tool: str, asked: Probing, points: Points, tree: Tree | None) -> None:
        self._tool, self._asked, self._points, self._tree = tool, asked, points, tree
        self._names = {name.name for name in filters.names(tree)}
        self._left_out: list[Attempt] = []

    def plan(self) -> tuple[Plan, tuple[Attempt, ...]]:
        found = list(dict.fromkeys(pair for text in self._asked.points for pair in self._matching(text)))
        able = [pair for pair in found if not self._refused(pair[0])]
        if len(able) > MOST_POINTS:
            raise PlanError(
                f"{len(able)} points match, and at most {MOST_POINTS} can be attached at once: narrow the pattern"
            )
        planned = [point for pair in able if (point := self._planned(*pair)) is not None]
        fit = [point for point in planned if self._filtered(point)]
        if not fit:
            raise PlanError(self._why(), usage=bool(able), tried=self._left_out)
        asked = self._asked
        made = Plan(self._tool, asked.mode, tuple(fit), asked.filter, asked.value, asked.slower_than_ns)
        return made, tuple(self._left_out)

    def _why(self) -> str:
        reasons = dict.fromkeys(attempt.error for attempt in self._left_out)
        first = self._left_out[0]
        if len(reasons) == 1:
            return f"{first.probe}: {first.error}" if len(self._left_out) == 1 else first.error
        return f"none of the {len(self._left_out)} points can be used; the first, {first.probe}: {first.error}"

    def _matching(self, text: str) -> Iterator[tuple[Point, bool]]:
        """The points of a pattern, each with whether its return is meant. Raises PlanError where there are none."""
        kind, colon, rest = text.partition(":")
        returns = kind in _RETURNS
        pattern = f"{_RETURNS[kind]}:{rest}" if returns else spelt(text)
        kinds = [each.value for each in PointKind]
        if not colon or pattern.partition(":")[0] not in kinds:
            raise PlanError(f"{text!r} is no attach point: KIND:NAME{near(kind, [*kinds, *_AT_RETURN.values()])}")
        there = False
        for point in self._points.matching(pattern):
            there = True
            yield point, returns
        if not there:
            raise PlanError(f"no attach point matches {text!r}{self._near(pattern)}")

    def _near(self, pattern: str) -> str:
        kind = pattern.partition(":")[0]
        known = [str(point) for point in self._points.matching(f"{kind}:*")]
        return near(pattern, known) if known else f" (this kernel has none of the kind {kind})"

    def _refused(self, point: Point) -> bool:
        if point.refusal:
            self._left_out.append(Attempt(str(point), point.refusal))
        return bool(point.refusal)

    def _planned(self, point: Point, returns: bool) -> Planned | None:
        """With what the mode needs, None where the point cannot give it."""
        arguments, result = self._parameters(point)
        name = f"{_AT_RETURN[point.kind]}:{point.target}" if returns else str(point)
        whole = Planned(name, point.kind, point.target, Sides.RETURN if returns else Sides.ENTRY, arguments, result)
        try:
            return self._of_mode(whole)
        except PlanError as error:
            self._left_out.append(Attempt(name, str(error)))
            return None

    def _parameters(self, point: Point) -> tuple[tuple[Parameter, ...], Parameter | None]:
        tracefs = self._points.tracefs
        is_tracepoint = point.kind is PointKind.TRACEPOINT
        fields = record(tracefs, point.target) if is_tracepoint and tracefs else None
        arguments, result = of_point(point, fields, self._points.functions)
        if is_tracepoint and point.target.startswith(_ENTER) and tracefs:
            back = point._replace(target=_EXIT + point.target.removeprefix(_ENTER))
            returned, _none = of_point(back, record(tracefs, back.target), None)
            result = next((parameter._replace(key=RESULT) for parameter in returned), None)
        return arguments, result

    def _of_mode(self, point: Planned) -> Planned:
        asked = self._asked
        if asked.mode is Mode.LATENCY:
            return _as_call(point)
        if asked.mode is Mode.DIST:
            return self._spread(point)
        return _as_hit(point)

    def _spread(self, point: Planned) -> Planned:
        value = self._asked.value
        if value == RESULT and point.sides is Sides.ENTRY:
            whole = _as_call(point)
            alone = self._names <= {RESULT, *condition_names()} and point.kind is not PointKind.TRACEPOINT
            point = replace(whole, sides=Sides.RETURN, arguments=()) if alone else whole
        else:
            point = _as_hit(point)
        known = {parameter.key: parameter for parameter in told(point)}
        if value not in known:
            raise PlanError(f"no argument {value!r}{near(value, list(known)) if known else ': it has none'}")
        if known[value].form in TEXTS:
            raise PlanError(f"{value} is a string: only numbers have a distribution")
        return point

    def _filtered(self, point: Planned) -> bool:
        try:
            condition.check(self._tree, variables(told(point)))
        except FilterError as error:
            self._left_out.append(Attempt(point.name, f"--filter: {error}"))
            return False
        return True


def condition_names() -> frozenset[str]:
    """What a filter may ask for at any point."""
    return frozenset(variables(()))


def _as_hit(point: Planned) -> Planned:
    """Its entry, or its return alone."""
    if point.sides is Sides.ENTRY:
        return replace(point, result=None)
    return point if point.kind is PointKind.FENTRY else replace(point, arguments=())


def _as_call(point: Planned) -> Planned:
    """Entry and return. Raises PlanError where there is no such thing."""
    if point.kind in _AT_RETURN:
        return replace(point, sides=Sides.BOTH, name=_entry_name(point))
    if point.kind is PointKind.TRACEPOINT and point.target.startswith(_ENTER):
        if point.target.removeprefix(_ENTER) in _NO_RETURN:
            raise PlanError("this system call does not return")
        return replace(point, sides=Sides.BOTH)
    able = f"functions (kprobe, fentry, uprobe) and system calls (tracepoint:{_ENTER}*)"
    raise PlanError(f"it has no return: {able} have one")


def _entry_name(point: Planned) -> str:
    return f"{point.kind}:{point.target}"
