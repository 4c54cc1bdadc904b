"""The tool that a plan describes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ebtop import eventstack
from ebtop.attachpoint import PointKind
from ebtop.model.format import cut
from ebtop.probing import columns, function, header, slots
from ebtop.probing.briefnames import brief_names
from ebtop.probing.plan import MOST_POINTS, Form, Mode, Parameter, Place, Plan, Planned, Sides, Site
from ebtop.tool import Attach, Buckets, Column, Kind, Probe, Ring, Slot, Tool, Type, log_buckets

_KEY = re.compile(r"[a-z]\w{0,63}", re.ASCII)
_LONGEST_NAME = 4096
_LONGEST_TITLED = 40
_MOST_ARGUMENTS, _MOST_TEXTS = 32, 8
_POWERS = 36
"""Of two, in ns: 69 s."""
_GREATEST = (1 << 63) - 1
_KINDS = {Mode.TRACE: Kind.EVENTS, Mode.COUNT: Kind.COUNTS, Mode.LATENCY: Kind.HISTOGRAM, Mode.DIST: Kind.HISTOGRAM,
          Mode.STACK: Kind.STACKS}  # fmt: skip
_TOLD = tuple(replace(r, size=8 << 20) if r.role == "event stacks" else r for r in eventstack.RINGS)
_COUNT = Column("count", "COUNT", Type.COUNT, "how often it was hit", 12, rank=1, rate=True)
_ATTACH = {
    PointKind.TRACEPOINT: (Attach.TRACEPOINT, Attach.TRACEPOINT),
    PointKind.RAW_TRACEPOINT: (Attach.RAW_TRACEPOINT, Attach.RAW_TRACEPOINT),
    PointKind.KPROBE: (Attach.KPROBE, Attach.KRETPROBE),
    PointKind.FENTRY: (Attach.FENTRY, Attach.FEXIT),
    PointKind.UPROBE: (Attach.UPROBE, Attach.URETPROBE),
    PointKind.USDT: (Attach.USDT, Attach.USDT),
    PointKind.SOFTWARE: (Attach.COUNTED, Attach.COUNTED),
    PointKind.HARDWARE: (Attach.COUNTED, Attach.COUNTED),
    PointKind.PROFILE: (Attach.TIMED, Attach.TIMED),
    PointKind.INTERVAL: (Attach.TIMED, Attach.TIMED),
}


def declared(static: Tool, plan: Plan) -> Tool:
    """The tool, of which `static` is what it is whatever the plan; its columns are those of any event, and the last of
    them stays the last. Raises ValueError for a plan that cannot be."""
    _check(plan)
    events = plan.mode is Mode.TRACE or plan.slower_than_ns > 0
    tool = replace(
        static,
        kind=Kind.EVENTS if events else _KINDS[plan.mode],
        title=_title(plan),
        slots=(Slot("points", (tuple(_probes(plan)),)),),
        columns=(),
        defines={function.purpose(plan): 1, "POINTS": len(plan.points)},
        headers=header.headers(plan),
        sites=dict(_sites(plan)),
        make=None,
    )
    if events:
        return _of_events(tool, plan, static.columns)
    if plan.mode is Mode.STACK:
        return replace(tool, slots=(*tool.slots, eventstack.SLOT), rings=_TOLD, stack_map="seen")
    if plan.mode is Mode.COUNT:
        return replace(tool, columns=(columns.probe_column(plan), _COUNT), count_map="counts")
    buckets = _buckets(plan)
    below = (buckets.count - 1) // 2 if int(buckets.low[0]) < 0 else 0
    defines = {**tool.defines, "BUCKETS": buckets.count - below, "BELOW_ZERO": below}
    names, known = tuple(point.name for point in plan.points), brief_names(plan)
    return replace(tool, buckets=buckets, histogram_map="found", histogram_parts=names, defines=defines,
                   brief_part=lambda name: known.get(name, name))  # fmt: skip


def _of_events(tool: Tool, plan: Plan, common: Sequence[Column]) -> Tool:
    unread = (columns.unread(plan),) if slots.most(plan)[1] else ()
    late = (columns.LATENCY,) if plan.slower_than_ns else ()
    shown = (*common[:-1], columns.probe_column(plan), *late, *columns.arguments(plan), *unread, common[-1])
    return replace(
        tool,
        slots=(*tool.slots, eventstack.SLOT),
        rings=(Ring("hits", "hit", 16 << 20, cleared=True), *eventstack.RINGS),
        columns=(*shown, *eventstack.COLUMNS),
        group_by="probe",
        stacks=True,
    )


def _title(plan: Plan) -> str:
    what = {
        Mode.TRACE: "hits of", Mode.COUNT: "how often", Mode.LATENCY: "time from entry to return of",
        Mode.DIST: f"{plan.value} at", Mode.STACK: "stacks that lead to",
    }[plan.mode]  # fmt: skip
    names = [_short(point) for point in plan.points[:2]] + (["..."] if len(plan.points) > 2 else [])
    slower = f", slower than {plan.slower_than_ns / 1e6:g} ms" if plan.slower_than_ns else ""
    return f"{what} {', '.join(names)}{slower}{f' where {plan.filter}' if plan.filter else ''}"


def _short(point: Planned) -> str:
    """Without what it is of, and without the types of its parameters: the name alone."""
    path = point.sites[0].path if point.sites else ""
    inside = point.target[len(path) + 1 :] if path and point.target.startswith(f"{path}:") else ""
    name = inside or point.target.partition(":")[2] or point.target
    return cut(name.partition("(")[0] or name, _LONGEST_TITLED)


def _probes(plan: Plan) -> Iterator[Probe]:
    """The return first: a call that is entered between the two would seem to have no end."""
    for number, point in enumerate(plan.points):
        entry, back = _ATTACH[point.kind]
        pair = f"point {number}" if point.sides is Sides.BOTH else ""
        if point.sides is not Sides.ENTRY:
            yield Probe(back, _return_target(point), f"return_{number}", optional=True, pair=pair)
        if point.sides is not Sides.RETURN:
            yield Probe(entry, point.target, f"enter_{number}", optional=True, pair=pair)


def _sites(plan: Plan) -> Iterator[tuple[str, tuple[Site, ...]]]:
    for number, point in enumerate(plan.points):
        if point.sites:
            yield f"enter_{number}", point.sites
            yield f"return_{number}", point.returns


def _return_target(point: Planned) -> str:
    """What the kernel knows the return of a call by."""
    if point.kind is PointKind.TRACEPOINT and point.sides is Sides.BOTH:
        return point.target.replace("sys_enter_", "sys_exit_", 1)
    return point.target


def _buckets(plan: Plan) -> Buckets:
    if plan.mode is Mode.LATENCY:
        return log_buckets("ns", powers=_POWERS)
    up = log_buckets("", powers=63)  # what is larger is in the last bucket
    if not slots.is_signed(plan):
        return up
    low = np.minimum(up.low, _GREATEST).astype(np.int64)
    return Buckets("", np.concatenate([1 - low[:1:-1], low]))


def _check(plan: Plan) -> None:
    """What the other side of the protocol may not tell."""
    points = plan.points
    _require(0 < len(points) <= MOST_POINTS, "as many points")
    _require(all(0 < len(p.name) <= _LONGEST_NAME and len(p.target) <= _LONGEST_NAME for p in points), "such names")
    _require(len(plan.filter) <= _LONGEST_NAME and 0 <= plan.slower_than_ns < 1 << 62, "such a filter")
    _require(not plan.slower_than_ns or plan.mode is Mode.LATENCY, "such a mode")
    for point in points:
        _check_point(plan, point)


def _check_point(plan: Plan, point: Planned) -> None:
    parameters = slots.told(point)
    keys = [parameter.key for parameter in parameters]
    _require(len(set(keys)) == len(keys) <= _MOST_ARGUMENTS and not any(map(slots.is_taken, keys)), "such names")
    _require(sum(p.form in slots.TEXTS for p in parameters) <= _MOST_TEXTS, "as many strings")
    for parameter in parameters:
        _check_parameter(parameter)
    paired = plan.mode is Mode.LATENCY
    _require(not paired or point.sides is Sides.BOTH, "a latency without a return")
    _require(plan.mode is not Mode.DIST or plan.value in keys, "such a value")


def _check_parameter(parameter: Parameter) -> None:
    known = _KEY.fullmatch(parameter.key) is not None and len(parameter.type) <= _LONGEST_NAME
    _require(known and abs(parameter.at) < 1 << 64 and parameter.scale in {1, 2, 4, 8, 16}, "such an argument")
    _require(parameter.place is not Place.ARGUMENT or 0 <= parameter.at < 6, "such an argument")
    sizes = range(1, 1 << 16) if parameter.form is Form.CHARS else (1, 2, 4, 8)
    _require(parameter.size in sizes, "such a size")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"a plan with {what}")
