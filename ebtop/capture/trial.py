"""A trial whether attach points are hit too often for what is to be done with them."""

from __future__ import annotations

import struct
import threading
import time
from dataclasses import replace

import numpy as np

from ebtop import registry
from ebtop.attachpoint import PointKind
from ebtop.capture import bpfcall
from ebtop.capture.loader import Loaded
from ebtop.capture.tracer import possible_cpus
from ebtop.model.format import count
from ebtop.probing.plan import Mode, Plan, Sides
from ebtop.tool import Tool

TRIED_S, LOOKED_S = 1.0, 0.2
"""A trial takes so long; it ends sooner where little happens."""

_FEW = 5000
"""Hits a second that cost nothing worth speaking of, whatever is done with them."""

_MOST_CORES = 0.25
_HIT_NS = {PointKind.UPROBE: 1000, PointKind.USDT: 600}
"""What being there costs at each hit; elsewhere `_OTHER_NS`. Measured on the machine of CONTRIBUTING.md."""
_OTHER_NS = 200
_MODE_NS = {Mode.TRACE: 1000, Mode.COUNT: 50, Mode.LATENCY: 700, Mode.DIST: 200, Mode.STACK: 12_000}


def trial(plan: Plan) -> Tool:
    """A tool that counts every hit of the same points, of whomever it is: each costs something."""
    points = tuple(replace(point, sides=_one_side(point.sides), result=None) for point in plan.points)
    counting = registry.made(replace(plan, mode=Mode.COUNT, points=points, filter="", value="", slower_than_ns=0))
    return replace(counting, defines={**counting.defines, "TRIAL": 1})


def _one_side(sides: Sides) -> Sides:
    return Sides.RETURN if sides is Sides.RETURN else Sides.ENTRY


def per_second(loaded: Loaded, points: int, over: threading.Event) -> list[float]:
    """How often each point is hit, from what a trial's program counts. Takes a second at most, and ends when it is
    `over` before."""
    began, cpus = time.monotonic(), possible_cpus()
    for seconds in (LOOKED_S, TRIED_S):
        over.wait(max(0, began + seconds - time.monotonic()))
        keys = (struct.pack("<I", number) for number in range(points))
        raw = b"".join(bpfcall.lookup(loaded.maps["counts"], key, 8 * cpus) for key in keys)
        rates = np.frombuffer(raw, np.uint64).reshape(points, cpus).sum(axis=1) / (time.monotonic() - began)
        if rates.sum() < _FEW or over.is_set():
            break
    return [float(rate) for rate in rates]


def too_hot(plan: Plan, rates: list[float], focused: bool) -> str:
    """Why it should not be attached without being told to, "" if it may. What a filter or a focus leaves out costs no
    more than being looked at."""
    narrow = focused or bool(plan.filter)
    each = 0 if narrow else _MODE_NS[plan.mode]
    costs = [rate * (_HIT_NS.get(p.kind, _OTHER_NS) + each) / 1e9 for p, rate in zip(plan.points, rates, strict=True)]
    if sum(costs) < _MOST_CORES:
        return ""
    hottest = max(range(len(costs)), key=costs.__getitem__)
    ways = ["--mode count"] * (plan.mode is not Mode.COUNT) + ["a filter or a focus"] * (not narrow) + ["fewer points"]
    others = f" (all {len(costs)}: {count(sum(rates))})" if len(costs) > 1 else ""
    return (
        f"{plan.points[hottest].name} is hit {count(rates[hottest])} times a second{others}: about {sum(costs):.1f} "
        f"cores; use {', '.join(ways)}, or --hot to go on"
    )
