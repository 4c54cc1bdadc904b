"""A view for each tool, so that anyone's SQL sees its events, rows, histograms or stacks as a plain table."""

from __future__ import annotations

from collections.abc import Iterable

from ebtop.record.columns import Plan, Way
from ebtop.record.schema import OWN, at, batch_table, late_table, literal, quoted, shown
from ebtop.tool import OF_ROWS, Kind, Tool, Type


def create_view(tool: Tool, plans: Iterable[Plan]) -> str:
    """SQL for the view; `plans` are those of the fields that the tool's batches have."""
    if tool.kind is Kind.HISTOGRAM:
        body = _HISTOGRAM.format(tool=literal(tool.name))
    elif tool.kind is Kind.STACKS:
        body = _STACKS.format(tool=literal(tool.name))
    else:
        role = "rows" if tool.kind in OF_ROWS else "events"
        columns = ",\n  ".join(f"{_value(tool, plan)} AS {quoted(plan.column.key)}" for plan in plans)
        table = quoted(batch_table(tool.name, role))
        body = f"SELECT\n  {columns}\nFROM {table} b, json_each(b.{quoted(OWN[5])}) e"
    return f"CREATE VIEW {quoted(tool.name)} AS {body}"


_HISTOGRAM = """SELECT t."end" AS ts, h."group" AS "group", h.key AS key,
  (SELECT value FROM text WHERE id = h.label) AS label, b.unit AS unit, b.low AS low, b.high AS high,
  json_extract(c.value, '$[1]') AS count
FROM tick t JOIN histogram h ON h.tick = t.id, json_each(h.counts) c
  JOIN bucket b ON b.tool = t.tool AND b.number = json_extract(c.value, '$[0]')
WHERE t.tool = {tool}"""

_STACKS = """SELECT t."end" AS ts, s.count AS count, s.pid AS pid, s.tid AS tid,
  (SELECT value FROM text WHERE id = s.comm) AS comm, (SELECT value FROM text WHERE id = s.frames) AS frames
FROM tick t JOIN stack s ON s.tick = t.id
WHERE t.tool = {tool}"""


def _value(tool: Tool, plan: Plan) -> str:
    """A column's value as SQL."""
    match plan.way:
        case Way.FIELD if plan.field:
            return _field(plan)
        case Way.NAME:
            of = f"tool = {literal(tool.name)} AND domain = {literal(plan.domain)} AND id = {number(plan.field)}"
            return f"(SELECT value FROM name WHERE {of} ORDER BY tick DESC LIMIT 1)"
        case Way.LATE:
            table = quoted(late_table(tool.name))
            return f"(SELECT {quoted(plan.column.key)} FROM {table} WHERE id = {number(plan.field)})"
        case Way.MADE:
            return _text(number(shown(plan.column.key)))
    return "NULL"


def _field(plan: Plan) -> str:
    if plan.text:
        return _text(number(plan.field))
    value = number(plan.field)
    if plan.column.type is Type.BOOL:
        value = f"({value} <> 0)"
    for unknown in plan.unknown:
        value = f"nullif({value}, {unknown})"
    return value


def number(name: str) -> str:
    """A number of an event: what all of its batch have, and what it adds to that."""
    return f"(b.{quoted(name)} + coalesce(json_extract(e.value, b.{quoted(at(name))}), 0))"


def _text(number: str) -> str:
    return f"(SELECT value FROM text WHERE id = {number})"
