"""Processes as lines: every column in machine formats, a table an interval for people."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

from ebtop.export.csv import CsvExporter
from ebtop.export.exporter import ByteStream
from ebtop.export.json import JsonExporter
from ebtop.export.table import TableExporter
from tests.unit.processticks import MS, TOOL, gone, process, tick


class Sink(io.BytesIO):
    def isatty(self) -> bool:
        return False


def exported(make, *ticks) -> str:
    sink: ByteStream = Sink()
    exporter = make(sink)
    exporter.begin(TOOL, ())
    for one in ticks:
        exporter.tick(TOOL, one, NAMES)
    return sink.getvalue().decode()


NAMES = {"argv": {5000: "bash\0deploy \x1b[2J.sh"}, "cgroup": {7: "/a"}, "container": {7: "web"}}
TICK = tick(
    0, process(5, cgroup=7, cpu_ns=1500 * MS, read_bytes=100, write_bytes=20, io_ns=9, ios=3, wait={2: 10}, opens=4),
    process(6, comm=b"idle"), gone(9, 5, b"sed", 3, cpu_ns=30 * MS, execs=3, failed_exits=1), seconds=2.0,
)  # fmt: skip


def test_json_has_every_column_those_that_are_made_from_others_too() -> None:
    lines = [json.loads(line) for line in exported(JsonExporter, TICK).splitlines()]
    assert [(line["type"], line["pid"], line["ts"]) for line in lines] == [
        ("row", pid, "1970-01-01T00:16:42.000000000Z") for pid in (5, 6, 9)
    ]
    keys = {"tool", "type", "ts", *(column.key for column in TOOL.columns)}
    assert all(line.keys() == keys for line in lines)
    one, idle, folded = lines
    assert one["argv"] == ["bash", "deploy \x1b[2J.sh"]
    assert (one["cpu_ns"], one["disk_bytes"], one["io_latency_ns"]) == (1500 * MS, 120, 3)  # of the interval, in ns
    assert (one["container"], one["cgroup"], one["state"]) == ("web", "/a", "S")
    assert 2048 <= one["wait_p99_ns"] <= 4096
    assert (idle["argv"], idle["wait_p99_ns"], idle["io_latency_ns"], idle["cgroup"]) == (None, None, None, None)
    assert (folded["count"], folded["failed_exits"], folded["state"], folded["ppid"]) == (3, 1, "X", 5)


def test_csv_has_the_same() -> None:
    header, *lines = csv.reader(io.StringIO(exported(CsvExporter, TICK), newline=""))
    one = dict(zip(header, lines[0], strict=True))
    assert len(lines) == 3
    assert (one["type"], one["pid"], one["disk_bytes"], one["argv"]) == (
        "row",
        "5",
        "120",
        r'["bash","deploy \u001b[2J.sh"]',
    )


def test_the_table_is_one_an_interval_of_who_did_something() -> None:
    empty, head, titles, *lines = exported(TableExporter, TICK, tick(1)).splitlines()
    assert empty == ""
    assert "2 did something: CPU 76 %, 3 execs, 4 opens, 0 connects in 2.0 s" in head
    assert titles.split()[:5] == ["PID", "USER", "CPU", "%", "WAIT"]
    first, second, *rest = lines
    assert first.split()[0] == "5"
    assert "75 %" in first
    assert r"deploy \x1b[2J.sh" in first
    assert second.split()[0] == "9"
    assert "1.5" in second  # execs a second
    assert rest[0] == ""
    assert "0 did something" in rest[1]
    assert len(rest) == 2


def test_a_tick_without_rows_is_a_line_of_nothing_for_nobody() -> None:
    bare = replace(TICK, rows=None)
    assert exported(JsonExporter, bare) == ""
    assert exported(TableExporter, bare) == ""
