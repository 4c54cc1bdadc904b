"""From threads' totals to rows of processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ebtop import registry
from ebtop.capture.processes import Processes
from ebtop.capture.program import Program
from ebtop.processrow import KEYFRAME, KEYFRAME_EVERY
from ebtop.tool import Batch, Kind

(TOOL,) = (tool for tool in registry.tools() if tool.kind is Kind.PROCESSES)
RECORD = Program(TOOL.name, TOOL).records["thread_totals"]
SECOND = 1_000_000_000
LIVES, ENDED, PUSHED_OUT = 0, 1, 2
FOCUSED, KERNEL = 1, 2


def threads(*given: dict[str, Any]) -> Batch:
    """Records: of a thread that sleeps, in focus, unless told otherwise."""
    made: Batch = np.zeros(len(given), RECORD)
    for record, fields in zip(made, given, strict=True):
        standard = {"pid": fields["tid"], "flags": FOCUSED, "state": 1, "start": 10 * SECOND, "comm": b"sh", "ppid": 1}
        for name, value in (standard | fields).items():
            record[name] = value
    return made


class Kernel:
    """What the iterator would give next; and what /proc says."""

    def __init__(self, *given: dict[str, Any]) -> None:
        self.now = threads(*given)
        self.asked: list[int] = []
        self.processes = Processes(lambda: self.now, self)

    def arguments(self, pid: int) -> str:
        self.asked.append(pid)
        return f"command\0{pid}"

    def resident(self, pid: int) -> int:
        return pid * 4096

    def tick(self, *given: dict[str, Any], ended: Iterable[dict[str, Any]] = ()) -> dict[int, Any]:
        """The rows by pid after these are there and those have ended."""
        self.now = threads(*given)
        ends = [threads(*({"why": ENDED, "state": 0x80} | end for end in ended))] if ended else []
        self.rows, self.names, self.gauges = self.processes.rows(ends, 100 * SECOND)
        return {int(row["pid"]): row for row in self.rows}


def test_what_was_before_counts_for_nothing_and_totals_become_differences() -> None:
    kernel = Kernel({"tid": 7, "cpu_ns": 1000, "voluntary": 5})
    row = kernel.tick({"tid": 7, "cpu_ns": 1700, "voluntary": 6, "claimed": 1, "opens": 3})[7]
    assert (row["cpu_ns"], row["voluntary"], row["opens"], row["state"]) == (700, 1, 3, b"S")
    row = kernel.tick({"tid": 7, "cpu_ns": 1701, "voluntary": 6, "claimed": 1, "opens": 10})[7]
    assert (row["cpu_ns"], row["voluntary"], row["opens"]) == (1, 0, 7)


def test_threads_of_a_process_add_up_and_the_leader_names_it() -> None:
    kernel = Kernel({"tid": 7, "comm": b"java"}, {"tid": 8, "pid": 7, "comm": b"GC"})
    row = kernel.tick(
        {"tid": 8, "pid": 7, "comm": b"GC", "cpu_ns": 30, "state": 0}, {"tid": 7, "comm": b"java", "cpu_ns": 4}
    )[7]
    assert (row["comm"], row["cpu_ns"], row["threads"], row["state"]) == (b"java", 34, 2, b"R")


def test_a_thread_that_ended_counts_to_its_end_and_not_twice() -> None:
    kernel = Kernel({"tid": 7, "cpu_ns": 100}, {"tid": 8, "pid": 7, "cpu_ns": 50})
    row = kernel.tick({"tid": 7, "cpu_ns": 101}, ended=[{"tid": 8, "pid": 7, "cpu_ns": 90}])[7]
    assert (row["cpu_ns"], row["threads"], row["exits"]) == (41, 1, 0)
    zombie = {"tid": 7, "cpu_ns": 130, "state": 0x20, "exit_code": 3 << 8}
    row = kernel.tick(zombie, ended=[{"tid": 7, "cpu_ns": 130, "exit_code": 3 << 8, "claimed": 1, "opens": 2}])[7]
    assert (row["cpu_ns"], row["opens"], row["state"], row["exits"], row["exit_code"]) == (29, 2, b"Z", 0, 3)
    row = kernel.tick({"tid": 9})[7]
    assert (row["cpu_ns"], row["state"], row["exits"], row["failed_exits"], row["exit_code"]) == (0, b"X", 1, 1, 3)
    assert 7 not in kernel.tick({"tid": 9})


def test_counts_of_a_slot_that_was_lost_are_kept() -> None:
    """Two threads take a slot from each other: each count is seen once, whenever it is told."""
    kernel = Kernel({"tid": 7}, {"tid": 8})
    kernel.tick({"tid": 7, "claimed": 5, "opens": 4}, {"tid": 8})
    pushed = {"tid": 7, "why": PUSHED_OUT, "claimed": 5, "opens": 6}
    rows = kernel.tick({"tid": 7, "claimed": 0}, {"tid": 8, "claimed": 9, "opens": 1}, ended=[pushed])
    assert (rows[7]["opens"], rows[8]["opens"]) == (2, 1)
    again = {"tid": 8, "why": PUSHED_OUT, "claimed": 9, "opens": 1}
    rows = kernel.tick({"tid": 7, "claimed": 11, "opens": 3}, {"tid": 8, "claimed": 0}, ended=[again])
    assert rows[7]["opens"] == 3
    assert 8 not in rows


def brief(pid: int, **more: Any) -> dict[str, Any]:
    return {"tid": pid, "start": 99 * SECOND + pid, "cpu_ns": 5_000_000, "lived_ns": pid, "claimed": pid, **more}


def test_those_that_lived_and_ended_within_a_tick_are_one_row_below_a_parent_that_lives() -> None:
    kernel = Kernel({"tid": 50, "comm": b"bash"})
    ended = [
        brief(101, ppid=50, comm=b"sed"), brief(102, ppid=50, comm=b"sed", exit_code=1 << 8),
        brief(103, ppid=50), brief(104, ppid=103, comm=b"sed", exit_code=9), brief(105, ppid=999, comm=b"sed"),
    ]  # fmt: skip
    kernel.tick({"tid": 50, "comm": b"bash"}, ended=ended)
    found = {(int(r["ppid"]), bytes(r["comm"])): r for r in kernel.rows if r["state"] == b"X"}
    assert found.keys() == {(50, b"sed"), (50, b"sh"), (999, b"sed")}
    folded = found[50, b"sed"]
    assert (folded["count"], folded["exits"], folded["failed_exits"]) == (3, 3, 2)
    assert (folded["cpu_ns"], folded["exit_code"], folded["age_ns"]) == (15_000_000, 128 + 9, (101 + 102 + 104) // 3)
    assert kernel.rows["cpu_ns"].sum() == 25_000_000


def test_everyone_is_told_of_now_and_then_and_otherwise_who_has_news() -> None:
    kernel = Kernel({"tid": 7}, {"tid": 8})
    assert kernel.tick({"tid": 7}, {"tid": 8}).keys() == {7, 8}
    assert kernel.gauges == {KEYFRAME: 1.0}
    assert kernel.names == {"argv": {int(r["id"]): f"command\0{r['pid']}" for r in kernel.rows}}
    for _ in range(KEYFRAME_EVERY - 1):
        assert kernel.tick({"tid": 7}, {"tid": 8}) == {}
        assert kernel.gauges == {}
    assert kernel.tick({"tid": 7}, {"tid": 8}, {"tid": 9, "start": 50 * SECOND}).keys() == {7, 8, 9}
    assert set(kernel.names["argv"].values()) == {"command\x009"}
    kernel.processes.tell_all()
    assert kernel.tick({"tid": 7}, {"tid": 8}).keys() == {7, 8, 9}  # 9 with its end


def test_a_process_that_becomes_another_program_is_asked_again() -> None:
    kernel = Kernel({"tid": 7})
    kernel.tick({"tid": 7})
    kernel.tick({"tid": 7, "comm": b"sed", "claimed": 1, "execs": 1})
    assert kernel.asked == [7, 7]


def test_who_is_not_in_focus_is_not_told_of() -> None:
    kernel = Kernel({"tid": 7}, {"tid": 8, "flags": 0})
    assert kernel.tick({"tid": 7}, {"tid": 8, "flags": 0, "cpu_ns": 9}).keys() == {7}


def test_kernel_threads_have_no_arguments() -> None:
    kernel = Kernel({"tid": 2, "flags": FOCUSED | KERNEL, "comm": b"kthreadd", "state": 0x402})
    row = kernel.tick({"tid": 2, "flags": FOCUSED | KERNEL, "comm": b"kthreadd", "state": 0x402})[2]
    assert (row["kind"], row["state"], row["rss"]) == (1, b"I", 0)
    assert kernel.names == {}


def test_a_pid_that_was_given_to_another_is_another_process() -> None:
    kernel = Kernel({"tid": 7, "cpu_ns": 10**12})
    rows = kernel.tick({"tid": 7, "start": 90 * SECOND, "cpu_ns": 5}, ended=[{"tid": 7, "cpu_ns": 10**12 + 3}])
    assert sorted((row["cpu_ns"], bytes(row["state"])) for row in kernel.rows) == [(3, b"X"), (5, b"S")]
    assert len(set(kernel.rows["id"].tolist())) == 2
    assert len(rows) == 1
