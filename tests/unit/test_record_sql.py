"""Anyone's SQL sees in a recording what JSON shows of the same ticks."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebtop.export.json import JsonExporter
from ebtop.record.columns import Way, plans
from ebtop.record.schema import TABLES
from ebtop.tick import Tick
from ebtop.tool import Column, Kind, Tool, Type
from tests.ui import synthetic
from tests.unit.recordings import EXECS, OPENS, SAMPLES, TOOLS, WAITS, assert_same, read, record, ticks

STREAMS = [tool for tool in TOOLS if tool.kind is Kind.EVENTS]


def select(path: Path, query: str, *values: object) -> list[dict[str, Any]]:
    """Rows, by plain SQL; bytes that are no UTF-8 as JSON has them."""
    database = sqlite3.connect(path)
    cursor = database.execute(query, values)
    columns = [name for name, *_rest in cursor.description]
    rows = [dict(zip(columns, map(_told, row), strict=True)) for row in cursor]
    database.close()
    return rows


def _told(value: Any) -> Any:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def as_json(tool: Tool, said: Sequence[Tick]) -> list[dict[str, Any]]:
    """What `ebtop run --format json` writes of the ticks, with late values filled in."""
    stream = io.BytesIO()
    exporter = JsonExporter(stream)
    names: dict[str, dict[int, str | int]] = {}
    for tick in said:
        for domain, known in tick.names.items():
            names.setdefault(domain, {}).update(known)
        exporter.tick(tool, tick, names)
    objects = list(map(json.loads, stream.getvalue().splitlines()))
    late = {o[tool.row_key]: o for o in objects if o["type"] == "row"} if tool.row_key else {}
    events = [o for o in objects if o["type"] == "event"]
    for event in events:
        found = late.get(event.get(tool.row_key), {})
        event.update({c.key: found.get(c.key) for c in tool.columns if c.late})
    return events


def in_sql(tool: Tool, key: str, value: Any) -> Any:
    """A value of JSON as SQL has it."""
    column = tool.column(key)
    assert column is not None
    if value is not None and column.type in {Type.FLAGS, Type.ARGV}:
        return json.dumps(value, separators=(",", ":"))
    return int(value) if isinstance(value, bool) else value


@pytest.mark.parametrize("tool", STREAMS, ids=lambda t: t.name)
def test_a_view_has_the_columns_and_values_of_json(tmp_path: Path, tool: Tool) -> None:
    said = ticks(3, 400, [tool])
    rows = select(record(tmp_path / "r", said), f'SELECT * FROM "{tool.name}" ORDER BY ts')
    events = as_json(tool, said)
    assert list(rows[0]) == [column.key for column in tool.columns]
    times = [int(ts) for tick in said for batch in tick.events for ts in batch["ts"]]
    assert [row["ts"] for row in rows] == sorted(times)
    for key in [column.key for column in tool.columns if column.key != "ts"]:
        wanted = sorted(str(in_sql(tool, key, event[key])) for event in events)
        assert sorted(str(row[key]) for row in rows) == wanted, key


def test_events_of_a_tool_by_comm_are_one_readable_statement(tmp_path: Path) -> None:
    said = ticks(2, 300, [OPENS])
    path = record(tmp_path / "r", said)
    rows = select(path, f"SELECT path, count(*) AS n FROM {OPENS.name} WHERE comm = 'nginx' GROUP BY path")
    wanted = sum(int((batch["comm"] == b"nginx").sum()) for tick in said for batch in tick.events)
    assert sum(row["n"] for row in rows) == wanted > 100


def test_what_is_unknown_is_null(tmp_path: Path) -> None:
    tick = synthetic.tick(OPENS, 0, 10)
    batch = tick.events[0].copy()
    batch["latency_ns"][:4] = (1 << 64) - 1
    batch["cgroup"] = 99
    path = record(tmp_path / "r", [replace(tick, events=(batch,))])
    rows = select(path, f"SELECT latency_ns, cgroup FROM {OPENS.name}")
    assert [row["latency_ns"] for row in rows][:5] == [None, None, None, None, int(batch["latency_ns"][4])]
    assert {row["cgroup"] for row in rows} == {None}


def test_the_end_of_a_program_is_found_by_its_start(tmp_path: Path) -> None:
    path = record(tmp_path / "r", ticks(3, 400, [EXECS]))
    rows = select(path, f"SELECT exec_id, exit_code FROM {EXECS.name}")
    assert {row["exit_code"] for row in rows} == {None, 0, 1}
    assert all(row["exit_code"] in {None, int(row["exec_id"] % 5 == 0)} for row in rows)


def test_a_name_that_is_learnt_later_is_found(tmp_path: Path) -> None:
    first, second = (replace(tick, names={}) for tick in ticks(2, 20, [OPENS]))
    second = replace(second, names={"cgroup": synthetic.CGROUPS})
    rows = select(record(tmp_path / "r", [first, second]), f"SELECT DISTINCT cgroup FROM {OPENS.name}")
    assert {row["cgroup"] for row in rows} == set(synthetic.CGROUPS.values())


def test_histograms_and_stacks_have_views(tmp_path: Path) -> None:
    said = ticks(2, 500, [WAITS, SAMPLES])
    path = record(tmp_path / "r", said)
    rows = select(path, f"SELECT sum(count) AS n, min(low) AS low FROM {WAITS.name} WHERE \"group\" = 'all'")
    assert rows[0]["n"] == sum(int(h.counts.sum()) for tick in said for h in tick.histograms if h.group == "all")
    rows = select(path, f"SELECT comm, sum(count) AS n FROM {SAMPLES.name} GROUP BY comm")
    assert sum(row["n"] for row in rows) == sum(stack.count for tick in said for stack in tick.stacks)
    frames = select(path, f"SELECT frames FROM {SAMPLES.name} LIMIT 1")[0]["frames"]
    assert json.loads(frames)[0] == ["_start", "nginx", False]


def test_losses_and_costs_are_plain_tables(tmp_path: Path) -> None:
    tick = replace(synthetic.tick(OPENS, 0, 10), lost={"ring full": 7}, gauges={"load": 1.5})
    path = record(tmp_path / "r", [tick])
    assert select(path, "SELECT tool, reason, count FROM lost") == [
        {"tool": OPENS.name, "reason": "ring full", "count": 7}
    ]
    assert select(path, "SELECT name, value FROM gauge") == [{"name": "load", "value": 1.5}]
    assert select(path, "SELECT run_ns FROM tick") == [{"run_ns": tick.cost.run_ns}]


def test_a_tool_that_said_nothing_has_an_empty_view(tmp_path: Path) -> None:
    path = record(tmp_path / "r", [synthetic.running(tool) for tool in TOOLS])
    for tool in TOOLS:
        assert select(path, f'SELECT * FROM "{tool.name}"') == []


def test_each_column_of_an_event_is_got_at() -> None:
    layouts = {tool.name: synthetic.tick(tool, 0, 50).events[0].dtype for tool in STREAMS}
    found = {(t.name, plan.column.key): plan for t in STREAMS for plan in plans(t, layouts[t.name])}
    assert [key for key, plan in found.items() if plan.way is Way.NOTHING] == []
    assert found[OPENS.name, "latency_ns"].unknown == (-1,)
    assert found[OPENS.name, "abspath"].inputs == ("path", "dir")
    assert found[OPENS.name, "cgroup"].way is Way.NAME
    assert found[EXECS.name, "exit_code"].way is Way.LATE


def test_a_sentinel_that_means_something_else_is_no_sentinel() -> None:
    layout = np.dtype([("ts", "<u8"), ("n", "<u4")])
    column = replace(OPENS.columns[1], key="n", derive=lambda batch, _names: [n * 2 for n in batch["n"].tolist()])
    tool = replace(OPENS, columns=(column,))
    assert plans(tool, layout)[0].way is Way.MADE


def test_processes_are_rows_of_the_view(tmp_path: Path) -> None:
    layout = np.dtype([("pid", "<u4"), ("count", "<u8"), ("comm", "S16"), ("key", "<u8")])
    rows = np.array([(1, 5, b"init", 8), (7, 0, b"\xff", 9)], layout)
    columns = (
        OPENS.columns[1],
        Column("count", "N", Type.COUNT, ""),
        Column("comm", "COMM", Type.TEXT, ""),
        Column("share", "SHARE", Type.INT, "", derive=lambda batch, _names: [n / 2 for n in batch["count"].tolist()]),
    )
    tool = Tool("load", "x", Kind.PROCESSES, "", "", (), columns, row_key="key")
    path = record(tmp_path / "r", [Tick("load", 0, 10, rows=rows, gauges={"cpus": 2})], [tool])
    assert select(path, "SELECT * FROM load") == [
        {"pid": 1, "count": 5, "comm": "init", "share": 2.5}, {"pid": 7, "count": 0, "comm": "\udcff", "share": 0.0},
    ]  # fmt: skip
    assert_same(read(path)[0].rows, rows)


def test_no_tool_is_called_as_a_table() -> None:
    assert {tool.name for tool in TOOLS}.isdisjoint(TABLES)
