"""Finds the tools. A broken one is listed with its error and hurts no other."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import ebtop.tools
from ebtop.near import near
from ebtop.probing.plan import Plan
from ebtop.tool import Tool


@dataclass(frozen=True, slots=True)
class Broken:
    """A tool whose declaration could not be imported."""

    name: str
    error: str


@cache
def _load() -> tuple[tuple[Tool, ...], tuple[Broken, ...]]:
    found: list[Tool] = []
    broken: list[Broken] = []
    for module in pkgutil.iter_modules(ebtop.tools.__path__):
        try:
            found.append(importlib.import_module(f"ebtop.tools.{module.name}").TOOL)
        except Exception as error:  # noqa: BLE001  whatever a tool's module raises must not hurt the others
            broken.append(Broken(module.name, f"{type(error).__name__}: {error}"))
    return tuple(sorted(found, key=lambda t: (t.key, t.name))), tuple(broken)


def tools() -> tuple[Tool, ...]:
    """All tools that work, in the order of their hotkeys."""
    return _load()[0]


def broken() -> tuple[Broken, ...]:
    """The tools that could not be imported."""
    return _load()[1]


def find(name: str) -> Tool:
    """The tool of that name.

    Raises LookupError with near names when there is none.
    """
    for tool in tools():
        if tool.name == name:
            return tool
    for bad in broken():
        if bad.name == name:
            raise LookupError(f"tool {name!r} is broken: {bad.error}")
    raise LookupError(f"no tool {name!r}{near(name, [t.name for t in tools()])}")


def made(plan: Plan) -> Tool:
    """The tool that a plan describes. Raises LookupError where there is no such tool, ValueError for another's plan, or
    one that cannot be."""
    static = find(plan.tool)
    if static.make is None:
        raise ValueError(f"{static.name} is made by no plan")
    return static.make(static, plan)


def as_planned(plans: Iterable[Plan]) -> tuple[Tool, ...]:
    """All tools, those that plans describe as these make them. Raises ValueError for a plan that cannot be."""
    known = {tool.name: tool for tool in tools()}
    for plan in plans:
        if plan.tool in known:
            known[plan.tool] = made(plan)
    return tuple(known.values())
