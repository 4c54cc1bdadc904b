"""The columns that events have beside the common ones: the arguments of all points, each of which has some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ebtop.attachpoint import PointKind
from ebtop.probing.briefnames import brief_names
from ebtop.probing.filter import LONGEST_TEXT
from ebtop.probing.plan import RESULT, Form, Parameter, Plan
from ebtop.probing.slots import NO_ADDRESS, TEXTS, Slot, slots, told
from ebtop.tool import Batch, Column, Derive, Names, Type, Value, text

UNREAD, NULL = "?", "NULL"
"""On the screen: a string whose memory was not there when it was to be read, and an address that is 0."""

CUT = "…"
"""Ends a string that is longer than what was read of it."""

LATENCY = Column("latency_ns", "LATENCY", Type.DURATION, "from entry to return", 8, rank=2)
_WIDTHS = {Form.NUMBER: 8, Form.POINTER: 18, Form.TEXT: 24, Form.CHARS: 16, Form.LOCATED: 24}

_WIDEST_NAME = 44
_OF_ARGUMENTS = 1000
"""The rank of the first string; of the first number it is twice, of the first address three times that."""

_Source = tuple[Parameter, Slot]


def probe_column(plan: Plan) -> Column:
    """Which point it was. Of a single one the title tells it, too."""
    known = brief_names(plan)
    width = min(_WIDEST_NAME, max(map(len, known.values()), default=5))
    rank = 3 if len(plan.points) > 1 else 20_000
    return Column("probe", "PROBE", Type.TEXT, "the attach point", width, rank=rank, derive=_names(plan),
                  brief=lambda name: known.get(name, name))  # fmt: skip


def _names(plan: Plan) -> Derive:
    known = dict(enumerate(point.name for point in plan.points))

    def derive(batch: Batch, _names: Names) -> Sequence[Value]:
        return [known.get(number) for number in batch["probe"].tolist()]

    return derive


def arguments(plan: Plan) -> Iterator[Column]:
    """A column for each argument of any point: addresses, numbers, strings, and the first string at the end. The last
    column has what room there is left, and always some."""
    found: dict[str, dict[int, _Source]] = {}
    for number, point in enumerate(plan.points):
        for parameter, slot in slots(told(point)):
            found.setdefault(parameter.key, {})[number] = (parameter, slot)
    made: list[Column] = []
    of_kernel = all(point.kind is not PointKind.UPROBE for point in plan.points)
    for place, (key, sources) in enumerate(found.items()):
        column = _column(key, sources, place, failed=of_kernel and key in {"ret", RESULT})
        made.append(replace(column, only=("probe", frozenset(sources))) if len(sources) < len(plan.points) else column)
    first = min((column.rank for column in made if column.rank < 2 * _OF_ARGUMENTS), default=0)
    yield from sorted(made, key=lambda column: (-(column.rank // _OF_ARGUMENTS), column.rank == first))


def _column(key: str, sources: dict[int, _Source], place: int, *, failed: bool) -> Column:
    """Where there is no room for all, addresses go first, then what is handed over last."""
    parameters = [parameter for parameter, _slot in sources.values()]
    types = ", ".join(dict.fromkeys(parameter.type for parameter in parameters))
    width = max(len(key), *(_WIDTHS[parameter.form] for parameter in parameters))
    numbers = all(parameter.form is Form.NUMBER for parameter in parameters)
    kind = Type.TEXT if not numbers else Type.RET if failed else Type.INT
    order = 3 if all(p.form is Form.POINTER for p in parameters) else 2 if numbers else 1
    rank = order * _OF_ARGUMENTS + place
    return Column(key, key.upper(), kind, types, width, rank, derive=_derive(sources, as_text=not numbers),
                  shown=_shown(sources) if any(p.form in TEXTS for p in parameters) else None)  # fmt: skip


def unread(plan: Plan) -> Column:
    """Which strings could not be read: they have no value, as have those whose address is 0."""
    texts = [(number, slot.number, parameter.key) for number, point in enumerate(plan.points)
             for parameter, slot in slots(told(point)) if slot.text]  # fmt: skip

    def derive(batch: Batch, _names: Names) -> Sequence[Value]:
        found: list[list[str]] = [[] for _row in range(len(batch))]
        for number, place, key in texts:
            for row in np.flatnonzero((batch["probe"] == number) & _has(batch["unread"], place)).tolist():
                found[row].append(key)
        return [" ".join(each) for each in found]

    return Column("unread", "UNREAD", Type.TEXT, "strings that were not in memory", 12, hidden=True, derive=derive)


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
                rows = rows[~(_has(unread[rows], slot.number) | _has(unread[rows], slot.number + NO_ADDRESS))]
            values = _values(data[rows], form, signed)
            for row, value in zip(rows.tolist(), values, strict=True):
                found[row] = str(value) if as_text else value
        return found

    return derive


def _has(bits: npt.NDArray[Any], number: int) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (bits >> np.uint32(number)) & 1 == 1
    return found


def _shown(sources: dict[int, _Source]) -> Derive:
    """As `_derive`, but a string that was not there says so."""
    derived = _derive(sources, as_text=True)
    texts = [(number, slot.number) for number, (parameter, slot) in sources.items() if parameter.form in TEXTS]

    def shown(batch: Batch, names: Names) -> Sequence[Value]:
        found = list(derived(batch, names))
        for number, place in texts:
            for bit, mark in ((place, UNREAD), (place + NO_ADDRESS, NULL)):
                for row in np.flatnonzero((batch["probe"] == number) & _has(batch["unread"], bit)).tolist():
                    found[row] = mark
        return found

    return shown


def _values(data: Batch, form: Form, signed: bool) -> Sequence[Value]:
    if form in TEXTS:
        return [text(raw) if len(raw) <= LONGEST_TEXT else text(raw[:LONGEST_TEXT]) + CUT for raw in data.tolist()]
    if form is Form.POINTER:
        return [hex(number) for number in data.tolist()]
    values: Sequence[Value] = (data.astype(np.int64) if signed else data).tolist()
    return values
