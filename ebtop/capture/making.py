"""Tools that are made from what is asked for: the plan, the tool, and the one that tries whether its points are hit too
often. Imported for the first of them: a start need not wait for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ebtop import registry
from ebtop.capture.planerror import PlanError
from ebtop.capture.planning import Planner
from ebtop.capture.trial import trial
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
    types: Mapping[str, int] = field(default_factory=dict)


def make(planner: Planner, tool: str, asked: Probing, over: Callable[[], bool]) -> Made:
    """Raises PlanError, also as soon as it is `over`."""
    plan, left_out = planner.plan(tool, asked, over)
    try:
        made = registry.made(plan)
        tried = None if asked.hot else trial(plan)
    except FilterError as error:
        raise PlanError(f"--filter: {error}") from error
    except ValueError as error:
        raise PlanError(f"there can be no such tool: {error}") from error
    probes = [*probes_of(made.slots), *(probes_of(tried.slots) if tried else ())]
    return Made(plan, made, tried, left_out, planner.types(probes))
