"""The machine's figures, and which of them are called unusual."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ebtop.model.machine import ENOUGH, PAST, SHOWN, WAITS, MachineReader, cpus, figures
from ebtop.processrow import WAIT_BUCKETS
from ebtop.tool import values
from tests.unit.processticks import MS, TOOL, batch, gone, process, tick


def usual(n: int, **more):
    """A tick of a machine on which all is well."""
    one = process(5, wait={3: 100}, opens=1000, failed_opens=20, connects=10, execs=1)
    for name, value in more.pop("fields", {}).items():
        one[name] = value
    if "wait" in more:
        one["wait"] = 0
        for bucket, count in more.pop("wait").items():
            one["wait"][bucket] = count
    return tick(n, one, **more)


def test_figures_are_of_all_rows_and_a_second() -> None:
    rows = (
        process(5, opens=10, failed_opens=4, connects=6, execs=2, read_bytes=100, write_bytes=300, io_ns=9 * MS, ios=3),
        gone(6, 5, b"sh", 10, opens=30, execs=10, failed_exits=4),
    )
    found = figures(tick(0, *rows, seconds=2.0, cpu0=0.5, cpu1=1.0, refused=8))
    assert found.cpu == 0.75
    assert (found.opens, found.failed_opens, found.connects, found.execs) == (20, 2, 3, 6)
    assert (found.disk, found.io_latency, found.failed_exits, found.refused) == (200, 3 * MS, 2, 4)
    assert found.failed_share == 0.1
    assert np.isnan(found.wait_p99)


def test_percentiles_are_of_the_waits_of_all_processes() -> None:
    found = figures(tick(0, process(5, wait={2: 50}), gone(6, 5, b"sh", 9, wait={2: 48, 9: 2})))
    assert 2048 <= found.wait_p50 <= 4096
    assert 2**18 <= found.wait_p99 <= 2**19


def test_a_rows_percentile_is_that_of_the_machine_with_that_row_alone() -> None:
    rng = np.random.default_rng(1)
    column = TOOL.column("wait_p99_ns")
    assert column is not None
    for _ in range(50):
        one = process(5)
        one["wait"] = rng.integers(0, 9, WAIT_BUCKETS) * rng.integers(0, 2, WAIT_BUCKETS)
        (value,) = values(column, batch(one), {})
        whole = figures(tick(0, one)).wait_p99
        assert value is None if np.isnan(whole) else value == pytest.approx(whole, abs=1)


def test_buckets_are_those_of_the_row() -> None:
    """wait[i] counts delays of less than 2**(i + 10) ns and at least half of that."""
    assert WAITS.count == WAIT_BUCKETS
    assert [int(edge) for edge in WAITS.low[:3]] == [0, 1 << 10, 1 << 11]
    assert int(WAITS.low[-1]) == 1 << (WAIT_BUCKETS + 9)


def test_nothing_is_known_of_an_empty_tick() -> None:
    found = figures(replace(tick(0), rows=None))
    assert np.isnan([found.cpu, found.wait_p50, found.io_latency]).all()
    assert MachineReader().read(()) is None


def test_cpus_are_in_order_whatever_else_there_is() -> None:
    gauges = {"cpu10": 0.3, "cpu2": 0.2, "cpu": 9.0, "cpux": 9.0, "cpu3": float("nan")}
    assert cpus(gauges) == [0.2, 0.3]


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"wait": {14: 100}}, "wait_p99"),
        ({"fields": {"execs": 40}}, "execs"),
        ({"fields": {"failed_opens": 300}}, "failed_opens"),
        ({"fields": {"opens": 6000, "failed_opens": 120}}, "opens"),
        ({"fields": {"connects": 60}}, "connects"),
        ({"fields": {"write_bytes": 20_000_000}}, "disk"),
        ({"fields": {"failed_exits": 3}}, "failed_exits"),
        ({"refused": 1.0}, "refused"),
        ({"cpu0": 0.9}, "cpu"),
        ({"psi_io": 11.0}, "pressure"),
        ({"memory_used": 95.0, "memory_total": 100.0}, "memory"),
    ],
)
def test_what_is_unusual_is_marked_and_nothing_else(more, name: str) -> None:
    calm = [usual(n, cpu0=0.1) for n in range(ENOUGH)]
    reader = MachineReader()
    quiet = reader.read(calm)
    assert quiet is not None
    assert quiet.unusual == frozenset()
    now = usual(ENOUGH, **({"cpu0": 0.1} | more))
    found = reader.read([*calm, now])
    assert found is not None
    assert found.unusual == {name}


@pytest.mark.parametrize(
    "more",
    [{"wait": {13: 100}}, {"fields": {"execs": 19}}, {"fields": {"failed_opens": 99}}, {"psi_io": 10.0},
     {"fields": {"opens": 4900, "failed_opens": 99}}],
)  # fmt: skip
def test_trifles_are_not_marked(more) -> None:
    found = MachineReader().read([*(usual(n) for n in range(ENOUGH)), usual(ENOUGH, **more)])
    assert found is not None
    assert found.unusual == frozenset()


def test_what_has_always_been_so_is_not_marked() -> None:
    found = MachineReader().read([usual(n, wait={14: 100}, refused=9.0) for n in range(ENOUGH + 1)])
    assert found is not None
    assert found.unusual == frozenset()


def test_with_little_past_only_limits_are_marked() -> None:
    found = MachineReader().read([usual(0), usual(1, wait={14: 100}, psi_cpu=50.0)])
    assert found is not None
    assert found.unusual == {"pressure"}


def test_an_earlier_moment_is_held_against_what_was_before_it() -> None:
    ticks = [usual(n) for n in range(ENOUGH + 1)] + [usual(ENOUGH + 1 + n, refused=9.0) for n in range(PAST)]
    reader = MachineReader()
    late, early = reader.read(ticks), reader.read(ticks[: ENOUGH + 2])
    assert late is not None
    assert early is not None
    assert late.unusual == frozenset()
    assert early.unusual == {"refused"}
    assert len(late.past) == SHOWN
    assert early.line("refused").tolist() == [0.0] * (ENOUGH + 1) + [9.0]
