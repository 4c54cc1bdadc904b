"""Tools that are made from what is asked for: the plan, the tool, and the one that tries whether its points are hit too
often. Imported for the first of them: a start need not wait for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from ebtop import registry
from ebtop.capture.planerror import PlanError
from ebtop.capture.planning import Planner
from ebtop.capture.trial import trial
from ebtop.capture.userplanning import View
from ebtop.probing.filter import FilterError
from ebtop.probing.plan import Plan, Probing
from ebtop.tick import Attempt
from ebtop.tool import Tool, probes_of


@dataclass(frozen=True)
class Made:
    """What was made: `trial` is None where nothing is to be tried, `left_out` what was asked for and could not be
    planned, `types` the type ids that the kernel's functions are loaded with, by the probe."""

    plan: Plan
    tool: Tool
    trial: Tool | None
    left_out: tuple[Attempt, ...]
    types: Mapping[str, int]
    view: View

    @property
    def files(self) -> Mapping[str, int]:
        """The descriptors of the files that are probed, by their paths, until they are closed."""
        return self.view.files

    def close(self) -> None:
        """Nothing will be attached any more."""
        self.view.close()


def make(planner: Planner, tool: str, asked: Probing, view: View, over: Callable[[], bool]) -> Made:
    """What is asked for, of files as the view has them. Raises PlanError, also as soon as it is `over`."""
    with ExitStack() as unless_made:
        unless_made.callback(view.close)
        plan, left_out = planner.plan(tool, asked, view, over)
        found = _made(planner, plan, left_out, view, tried=not asked.hot)
        unless_made.pop_all()
        return found


def _made(planner: Planner, plan: Plan, left_out: tuple[Attempt, ...], view: View, *, tried: bool) -> Made:
    try:
        made = registry.made(plan)
        trying = trial(plan) if tried else None
    except FilterError as error:
        raise PlanError(f"--filter: {error}") from error
    except ValueError as error:
        raise PlanError(f"there can be no such tool: {error}") from error
    probes = [*probes_of(made.slots), *(probes_of(trying.slots) if trying else ())]
    return Made(plan, made, trying, left_out, planner.types(probes), view)
