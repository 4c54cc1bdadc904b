"""How SQL gets at a tool's columns: found out by trying their functions on made-up records, once for each layout.

Most columns are a field of the record; of the others some are a field with a value that stands for "unknown", some the
name of an id, some are known late. What is left is made when it is recorded, once for each different input, and kept
as a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from ebtop.record.packing import is_whole
from ebtop.tool import Batch, Column, Names, Tool, Type, Value

_WHOLE = frozenset({Type.INT, Type.COUNT, Type.TIME, Type.DURATION, Type.BYTES, Type.RET, Type.USER, Type.BOOL})
_TRIED = (1, 2, 100)
_ID = 1
_Layout = np.dtype[Any]


class Way(StrEnum):
    """Where a column's values come from."""

    FIELD = "field"  # of the same name; `unknown` are the values that stand for none
    NAME = "name"  # what the id in `field` stands for in `domain`
    LATE = "late"  # told by a later row
    MADE = "made"  # from `inputs` and names of `domains`, when it is recorded
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to get at a column. `text` says that the field is no number, but the number of a text."""

    column: Column
    way: Way
    field: str = ""
    domain: str = ""
    text: bool = False
    unknown: tuple[int, ...] = ()
    inputs: tuple[str, ...] = ()
    domains: frozenset[str] = frozenset()


def plans(tool: Tool, layout: _Layout) -> tuple[Plan, ...]:
    """One for each of the tool's columns."""
    return tuple(_plan(column, layout, tool.row_key) for column in tool.columns)


def _plan(column: Column, layout: _Layout, row_key: str) -> Plan:
    fields = layout.names or ()
    if column.late and row_key in fields:
        return Plan(column, Way.LATE, row_key)
    if column.derive is None:
        if column.key not in fields:
            return Plan(column, Way.NOTHING)
        return Plan(column, Way.FIELD, column.key, text=not is_whole(layout[column.key]))
    inputs, domains = _uses(column, layout)
    if inputs is None:
        return Plan(column, Way.NOTHING)
    if inputs == (column.key,) and not domains and is_whole(layout[column.key]) and column.type in _WHOLE:
        unknown = _unknown(column, layout)
        if unknown is not None:
            return Plan(column, Way.FIELD, column.key, unknown=unknown)
    if len(inputs) == len(domains) == 1 and is_whole(layout[inputs[0]]):
        (domain,) = domains
        if _made(column, layout, {inputs[0]: _ID}, {domain: {_ID: "name"}}) == "name":
            return Plan(column, Way.NAME, inputs[0], domain)
    return Plan(column, Way.MADE, inputs=inputs, domains=frozenset(domains))


def _made(column: Column, layout: _Layout, filled: Mapping[str, int], names: Names) -> Value:
    record = np.zeros(1, layout)
    for field, value in filled.items():
        record[field] = value
    (made,) = column.derive(record, names) if column.derive else (None,)
    return made


def _unknown(column: Column, layout: _Layout) -> tuple[int, ...] | None:
    """The values that stand for none, where all others are shown as they are: of zero and all ones. None where they
    are not."""
    dtype = layout[column.key]
    try:
        if any(_made(column, layout, {column.key: value}, {}) != value for value in _TRIED[: len(_wanted(column))]):
            return None
        found = []
        for value in (0, int(np.iinfo(dtype).max)):
            made = _made(column, layout, {column.key: value}, {})
            if made is None:
                found.append(value - (1 << 64) if value >= 1 << 63 else value)
            elif made != value and column.type is not Type.BOOL:
                return None
    except (TypeError, ValueError, LookupError):
        return None
    return tuple(found)


def _wanted(column: Column) -> tuple[int, ...]:
    return _TRIED[:1] if column.type is Type.BOOL else _TRIED  # true is 1, whatever number says so


def _uses(column: Column, layout: _Layout) -> tuple[tuple[str, ...] | None, set[str]]:
    """The fields and domains that a column's function asks for; None where it cannot do with made-up records."""
    inputs: dict[str, None] = {}
    names = _Watched()

    class Asked(np.ndarray[Any, Any]):
        def __getitem__(self, key: Any) -> Any:
            if type(key) is str:
                inputs[key] = None
            return super().__getitem__(key)

    try:
        for value in (0, 1):
            record = np.zeros(1, layout)
            if value:
                for name in layout.names or ():
                    record[name] = b"a" if layout[name].base.kind == "S" else value
            if column.derive is not None:
                column.derive(record.view(Asked), names)
    except Exception:  # noqa: BLE001  a function may raise anything for what no kernel ever sent
        return None, set()
    return tuple(inputs), names.asked


class _Watched(dict[str, Mapping[int, str | int]]):
    """Names of nothing, and which domains were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return default

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return False

    def __missing__(self, key: str) -> Mapping[int, str | int]:
        self.asked.add(key)
        return {}


def made(plan: Plan, batch: Batch, names: Names) -> Sequence[Value]:
    """The column's values for each row."""
    return plan.column.derive(batch, names) if plan.column.derive else [None] * len(batch)
