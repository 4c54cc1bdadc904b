"""Holds messages against what the tools declare: what has the right form may still be something that no tool says.

A batch's layout is looked at once, with two made-up records; after that a tick costs a look into a table for each
batch, however many events it has. Values are not looked at: any are possible, and those who show them must cope.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ebtop import countrow, registry
from ebtop.probing.plan import Plan
from ebtop.processrow import ROW
from ebtop.source.wire_json import WireError
from ebtop.tick import Histogram, Message, Tick, ToolState, Vitals
from ebtop.tool import Batch, Column, Kind, Tool, Type, Value, values

_NUMBERS = frozenset({Type.INT, Type.COUNT, Type.TIME, Type.DURATION, Type.BYTES, Type.RET, Type.USER})
_LISTS = frozenset({Type.FLAGS, Type.ARGV, Type.STACK})
_GROUPS = frozenset({"all", "pid", "cgroup"})
_MOST_LAYOUTS = 64
_LATEST = 1 << 63
_Layout = np.dtype[Any]


class UnfitError(WireError):
    """A message of the right form that does not fit what a tool declares. One line."""


class Fit:
    """Checks the messages of one stream."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._known: set[tuple[str, bool, _Layout]] = set()

    def check(self, message: Message) -> None:
        """Raises UnfitError."""
        match message:
            case Tick():
                self._tick(message)
            case ToolState():
                self._tool(message.tool)
            case Plan():
                self._made(message)
            case Vitals():
                numbers = (message.cpus, message.uptime_s, message.capture_cpu, message.capture_pss, message.focus_pids)
                _require(min(*numbers, message.screen_pss) >= 0, "vitals below 0")

    def _tool(self, name: str) -> Tool:
        tool = self._tools.get(name)
        if tool is None:
            raise UnfitError(f"it speaks of a tool {name[:40]!a} that there is not")
        return tool

    def _made(self, plan: Plan) -> None:
        """From now on the tool is what the plan describes."""
        static = self._tool(plan.tool)
        try:
            self._tools[static.name] = registry.made(plan)
        except (LookupError, ValueError) as error:
            raise UnfitError(f"it sends what cannot be: {error}") from error
        self._known = {key for key in self._known if key[0] != static.name}

    def _tick(self, tick: Tick) -> None:
        tool = self._tool(tick.tool)
        _require(0 <= tick.start < _LATEST and 0 <= tick.end < _LATEST, f"a time of {tool.name}")
        figures = (*tick.lost.values(), tick.cost.run_ns, tick.cost.run_count)
        _require(min(figures) >= 0, f"figures of {tool.name}")
        for batch in tick.events:
            self._batch(tool, batch.dtype, late=False)
        if tick.rows is not None:
            self._batch(tool, tick.rows.dtype, late=True)
        _require(not tick.stacks or tool.kind is Kind.STACKS, f"stacks of {tool.name}")
        _require(all(stack.count >= 0 for stack in tick.stacks), f"counts of {tool.name}")
        for histogram in tick.histograms:
            _histogram(tool, histogram)
        _names(tool, tick.names)

    def _batch(self, tool: Tool, layout: _Layout, *, late: bool) -> None:
        key = (tool.name, late, layout)
        if key in self._known:
            return
        _require(len(self._known) < _MOST_LAYOUTS, f"ever new records of {tool.name}")
        if tool.kind is Kind.PROCESSES:
            _require(late, f"events of {tool.name}")
            _check_process(tool, layout)
        elif tool.kind is Kind.COUNTS:
            _require(late and layout == countrow.ROW, f"rows of {tool.name}")
            _check_columns(tool, layout)
        else:
            _require(tool.kind is Kind.EVENTS, f"events of {tool.name}")
            check_row = _check_row if late else _check_event
            check_row(tool, layout)
        self._known.add(key)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise UnfitError(f"it sends what cannot be: {what}")


def _histogram(tool: Tool, histogram: Histogram) -> None:
    count = tool.buckets.count if tool.buckets else -1
    known = _GROUPS | ({"probe"} if tool.histogram_parts else set())
    _require(len(histogram.counts) == count and histogram.group in known, f"a histogram of {tool.name}")
    _require(histogram.key >= 0, f"a histogram of {tool.name}")


def _names(tool: Tool, names: Mapping[str, Mapping[int, str | int]]) -> None:
    late = {column.key for column in tool.columns if column.late}
    for domain, known in names.items():
        kinds = set(map(type, known.values()))
        _require(kinds <= ({int} if domain in late else {str}), f"names of {tool.name}")


def _samples(layout: _Layout) -> Iterable[Batch]:
    """A record of zeros, and one in which every field holds something small."""
    yield np.zeros(1, layout)
    filled = np.zeros(1, layout)
    for name in layout.names or ():
        filled[name] = b"a" if layout[name].base.kind == "S" else 1
    yield filled


def _check_event(tool: Tool, layout: _Layout) -> None:
    """Every column of an event can be made from a record of that layout, and is what its type says."""
    fields = layout.names or ()
    _require("ts" in fields and layout["ts"] == np.dtype("<u8"), f"records of {tool.name} without a time")
    _require(not tool.row_key or _is_whole(layout, tool.row_key), f"records of {tool.name} without {tool.row_key}")
    _check_columns(tool, layout)


def _check_process(tool: Tool, layout: _Layout) -> None:
    """A process's row has every field of ROW, which views rely on, and all that the tool's columns are made from."""
    for name in ROW.names or ():
        _require(name in (layout.names or ()) and layout[name] == ROW[name], f"{name} in rows of {tool.name}")
    _check_columns(tool, layout)


def _check_columns(tool: Tool, layout: _Layout) -> None:
    """Every column can be made from a record, and is what its type says."""
    for column in tool.columns:
        _require(column.derive is not None or _is_raw(column, layout), f"{column.key} of {tool.name}")
    for sample in _samples(layout):
        for column in tool.columns:
            _require(_fits(column, _made(tool, column, sample)), f"{column.key} of {tool.name}")


def _made(tool: Tool, column: Column, sample: Batch) -> Value:
    try:
        (value,) = values(column, sample, {})
    except Exception as error:  # what it is made from is missing or of another kind: that raises anything
        raise UnfitError(f"it sends what cannot be: {column.key} of {tool.name} ({type(error).__name__})") from error
    return value


def _check_row(tool: Tool, layout: _Layout) -> None:
    """A late row has the id of its event, and of the other columns some."""
    fields = layout.names or ()
    _require(bool(tool.row_key) and _is_whole(layout, tool.row_key), f"rows of {tool.name}")
    _require("ts" not in fields or layout["ts"] == np.dtype("<u8"), f"times of rows of {tool.name}")
    for column in tool.columns:
        if column.key in fields and (column.late or column.derive is None):
            _require(_is_raw(column, layout), f"{column.key} in rows of {tool.name}")


def _is_whole(layout: _Layout, key: str) -> bool:
    return key in (layout.names or ()) and layout[key].kind in "iu" and not layout[key].shape


def _is_raw(column: Column, layout: _Layout) -> bool:
    """Is the field of that name what the column's type says?"""
    if column.type in _NUMBERS:
        return _is_whole(layout, column.key)
    if column.type is Type.BOOL:
        return column.key in (layout.names or ()) and layout[column.key].kind in "biu" and not layout[column.key].shape
    return column.key in (layout.names or ()) and layout[column.key].kind == "S" and column.type not in _LISTS


def _fits(column: Column, value: Value) -> bool:
    if value is None:
        return True
    if column.type in _NUMBERS:
        return type(value) in {int, float}
    if column.type is Type.BOOL:
        return type(value) in {bool, int}
    if column.type in _LISTS:
        return type(value) is list and all(type(part) is str for part in value)
    return type(value) is str
