"""The columns that events have beside the common ones: the arguments of all points, each of which has some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ebtop.attachpoint import PointKind
from ebtop.probing.filter import LONGEST_TEXT
from ebtop.probing.plan import RESULT, Form, Parameter, Plan
from ebtop.probing.slots import TEXTS, Slot, slots, told
from ebtop.tool import Batch, Column, Derive, Names, Type, Value, text

CUT = "…"
"""Ends a string that is longer than what was read of it."""

LATENCY = Column("latency_ns", "LATENCY", Type.DURATION, "from entry to return", 8, rank=2)
_WIDTHS = {Form.NUMBER: 8, Form.POINTER: 18, Form.TEXT: 24, Form.CHARS: 16, Form.LOCATED: 24}

_Source = tuple[Parameter, Slot]


def probe_column(plan: Plan) -> Column:
    """Which point it was."""
    width = min(40, max((len(point.name) for point in plan.points), default=5))
    return Column("probe", "PROBE", Type.TEXT, "the attach point", width, rank=3, derive=_names(plan))


def _names(plan: Plan) -> Derive:
    known = dict(enumerate(point.name for point in plan.points))

    def derive(batch: Batch, _names: Names) -> Sequence[Value]:
        return [known.get(number) for number in batch["probe"].tolist()]

    return derive


def arguments(plan: Plan) -> Iterator[Column]:
    """A column for each argument of any point, in the order in which they come."""
    found: dict[str, dict[int, _Source]] = {}
    for number, point in enumerate(plan.points):
        for parameter, slot in slots(told(point)):
            found.setdefault(parameter.key, {})[number] = (parameter, slot)
    of_kernel = all(point.kind is not PointKind.UPROBE for point in plan.points)
    for key, sources in found.items():
        yield _column(key, sources, failed=of_kernel and key in {"ret", RESULT})


def _column(key: str, sources: dict[int, _Source], *, failed: bool) -> Column:
    parameters = [parameter for parameter, _slot in sources.values()]
    types = ", ".join(dict.fromkeys(parameter.type for parameter in parameters))
    width = max(len(key), *(_WIDTHS[parameter.form] for parameter in parameters))
    numbers = all(parameter.form is Form.NUMBER for parameter in parameters)
    kind = Type.TEXT if not numbers else Type.RET if failed else Type.INT
    return Column(key, key.upper(), kind, types, width, rank=4, derive=_derive(sources, as_text=not numbers))


def _derive(sources: dict[int, _Source], *, as_text: bool) -> Derive:
    """Values by the field that each point has them in; None for points that have no such argument."""
    fields: dict[tuple[Slot, Form, bool], list[int]] = {}
    for number, (parameter, slot) in sources.items():
        fields.setdefault((slot, parameter.form, parameter.signed), []).append(number)

    def derive(batch: Batch, _names: Names) -> Sequence[Value]:
        point, unread = batch["probe"], batch["unread"]
        found: list[Value] = [None] * len(batch)
        for (slot, form, signed), points in fields.items():
            data = batch[slot.field]
            rows = np.flatnonzero(np.isin(point, points))
            if form in TEXTS:
                rows = rows[(unread[rows] >> np.uint32(slot.number)) & 1 == 0]
            values = _values(data[rows], form, signed)
            for row, value in zip(rows.tolist(), values, strict=True):
                found[row] = str(value) if as_text else value
        return found

    return derive


def _values(data: Batch, form: Form, signed: bool) -> Sequence[Value]:
    if form in TEXTS:
        return [text(raw) if len(raw) <= LONGEST_TEXT else text(raw[:LONGEST_TEXT]) + CUT for raw in data.tolist()]
    if form is Form.POINTER:
        return [hex(number) for number in data.tolist()]
    values: Sequence[Value] = (data.astype(np.int64) if signed else data).tolist()
    return values
