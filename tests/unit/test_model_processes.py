"""What the pane of processes asks for."""

from __future__ import annotations

import numpy as np
import pytest

from ebtop.model.filter import parse
from ebtop.model.processes import Processes, ProcessQuery, Sought
from ebtop.model.processtree import depths, laid_out, of_subtrees, parents, seen
from tests.unit.processticks import MS, SECOND, TOOL, gone, process, snapshot, tick


def ask(*ticks, **wanted) -> Processes:
    return ProcessQuery(TOOL).run(snapshot(*ticks), Sought(**wanted))


def pids(found: Processes) -> list[int]:
    return [int(found.row(line)["pid"][0]) for line in range(len(found))]


def busy(pid: int, share: float, ppid: int = 1, **fields):
    return process(pid, ppid, cpu_ns=int(share * SECOND), **fields)


TREE = (
    process(1, 0), busy(10, 0.01), busy(11, 0.5), busy(20, 0.2, ppid=10), busy(21, 0.9, ppid=10),
    gone(90, 20, b"sh", 40, cpu_ns=300 * MS), gone(91, 20, b"sed", 7, cpu_ns=100 * MS),
)  # fmt: skip


def test_sorted_by_cpu_first() -> None:
    found = ask(tick(0, busy(1, 0.1), busy(2, 2.0), process(3), busy(4, 0.5)))
    assert pids(found) == [2, 4, 1, 3]
    assert (found.matching, found.all_, found.gone) == (4, 4, 0)
    assert found.total["cpu_ns"] == 2.6 * SECOND


@pytest.mark.parametrize("tree", [False, True])
def test_whatever_is_drawn_adds_up_to_the_total(tree: bool) -> None:
    found = ask(tick(0, *TREE), tree=tree)
    assert sum(int(found.row(line)["cpu_ns"][0]) for line in range(len(found))) == found.total["cpu_ns"]
    assert found.total["cpu_ns"] == sum(int(row["cpu_ns"]) for row in TREE)
    assert (found.matching, found.gone) == (5, 47)


def test_a_fold_stands_where_its_sum_puts_it() -> None:
    found = ask(tick(0, *TREE))
    assert pids(found)[:4] == [21, 11, 90, 20]
    assert found.names_in_fold(2) == [(b"sh", 40), (b"sed", 7)]
    assert found.names_in_fold(0) == ()


@pytest.mark.parametrize(
    ("sort", "descending", "first"),
    [("pid", False, [1, 2, 3]), ("rss", True, [3, 1, 2]), ("comm", False, [3, 2, 1]), ("wait_p99_ns", True, [2, 1, 3]),
     ("wait_p99_ns", False, [1, 2, 3]), ("opens", True, [1, 2, 3]), ("argv", True, [1, 2, 3])],
)  # fmt: skip
def test_sorted_by_any_column_unknown_ones_last(sort: str, descending: bool, first: list[int]) -> None:
    rows = (
        process(1, rss=5, comm=b"c", wait={2: 9}, opens=9), process(2, rss=1, comm=b"B", wait={5: 9}, opens=3),
        process(3, rss=9, comm=b"a"),
    )  # fmt: skip
    assert pids(ask(tick(0, *rows), sort=sort, descending=descending)) == first


def test_rates_are_a_second_whatever_the_interval() -> None:
    rows = (busy(1, 0.5, opens=30),)
    found = ask(tick(0, *rows, seconds=2.0))
    assert found.seconds == 2.0
    assert found.past[-1].of(np.array([1000], np.uint64)).tolist() == [0.25 * SECOND]


def test_the_order_is_calm_and_true() -> None:
    asked = ProcessQuery(TOOL)
    shares = [(1.0, 0.9), (0.85, 1.0), (0.9, 1.0), (0.9, 0.95)]  # neither changes by more than a quarter
    ticks = [tick(n, busy(1, a), busy(2, b)) for n, (a, b) in enumerate(shares)]
    for end in range(1, len(ticks) + 1):
        assert pids(asked.run(snapshot(*ticks[:end]), Sought())) == [1, 2]
    ticks.append(tick(4, busy(1, 0.9), busy(2, 1.4)))
    assert pids(asked.run(snapshot(*ticks), Sought())) == [2, 1]


def test_a_jump_in_time_or_another_column_gives_the_exact_order() -> None:
    asked = ProcessQuery(TOOL)
    ticks = [tick(0, busy(1, 1.0), busy(2, 0.9)), tick(1, busy(1, 0.9, opens=5), busy(2, 1.1, opens=6))]
    assert pids(asked.run(snapshot(ticks[0]), Sought())) == [1, 2]
    assert pids(asked.run(snapshot(*ticks), Sought())) == [1, 2]
    assert pids(asked.run(snapshot(*ticks), Sought(sort="opens"))) == [2, 1]
    assert pids(asked.run(snapshot(*ticks), Sought())) == [2, 1]
    assert pids(asked.run(snapshot(ticks[0]), Sought())) == [1, 2]


def test_who_rests_for_a_moment_stays_in_sight() -> None:
    ticks = [tick(0, busy(1, 1.0), busy(2, 0.5)), *(tick(n, busy(2, 0.5)) for n in range(1, 4))]
    found = [pids(ask(*ticks[:end])) for end in range(1, 5)]
    assert found == [[1, 2], [1, 2], [1, 2], [2, 1]]


def test_a_wait_is_ranked_calmly_too_and_who_never_waited_stays_last() -> None:
    ticks = [tick(0, process(1, wait={9: 9}), process(2, wait={5: 9}), process(3)), tick(1, process(2, wait={5: 9}))]
    assert pids(ask(*ticks, sort="wait_p99_ns")) == [1, 2, 3]
    assert pids(ask(*ticks, sort="wait_p99_ns", descending=False)) == [2, 1, 3]


def test_a_filter_says_who_counts() -> None:
    found = ask(tick(0, *TREE), filter=parse(TOOL, "cpu>30%"))
    assert sorted(pids(found)) == [11, 21]
    assert pids(ask(tick(0, *TREE), filter=parse(TOOL, "cpu>300ms"))) == [21, 11]
    assert (found.matching, found.all_, found.gone) == (2, 5, 0)
    assert found.total["cpu_ns"] == 1.4 * SECOND
    assert not found.context.any()
    assert pids(ask(tick(0, *TREE), filter=parse(TOOL, "comm=sed"))) == [91]


def test_in_a_tree_ancestors_of_what_matches_stay_and_do_not_count() -> None:
    found = ask(tick(0, *TREE), filter=parse(TOOL, "comm=p21"), tree=True)
    assert pids(found) == [1, 10, 21]
    assert found.context[found.order].tolist() == [True, True, False]
    assert (found.matching, found.total["cpu_ns"]) == (1, 0.9 * SECOND)


def test_the_tree_sorts_brothers_by_what_they_and_all_below_have() -> None:
    found = ask(tick(0, *TREE), tree=True)
    assert pids(found) == [1, 10, 21, 20, 90, 11]  # 10: 0.01 + 0.9 + 0.2 + 0.4 of its own and below
    assert [found.branches(line) for line in range(6)] == [
        [], [False], [False, False], [False, True], [False, True, True], [True]
    ]  # fmt: skip
    assert [found.has_children(line) for line in range(6)] == [True, True, False, True, False, False]
    assert found.parent(4) == 3
    assert found.parent(0) is None
    assert pids(ask(tick(0, *TREE), tree=True, sort="pid", descending=False)) == [1, 10, 20, 90, 21, 11]


def test_what_is_shut_shows_the_sum_of_what_it_hides() -> None:
    found = ask(tick(0, *TREE), tree=True, closed=frozenset({10_000}))
    assert pids(found) == [1, 10, 11]
    one = found.row(1)[0]
    assert (one["pid"], one["comm"], one["cpu_ns"], one["count"]) == (10, b"p10", 1510 * MS, 50)
    assert found.trends(1, 2, 9)[0].tolist() == [1510 * MS]
    assert sum(int(found.row(line)["cpu_ns"][0]) for line in range(3)) == found.total["cpu_ns"]
    assert found.find(20_000) is None
    assert found.find(11_000) == 2


def test_trends_have_nothing_of_who_did_nothing() -> None:
    ticks = [tick(0, busy(1, 0.5), process(2)), tick(1), tick(2, busy(1, 1.0), gone(9, 1, b"sh", 3, cpu_ns=MS))]
    found = ask(*ticks)
    trends = {int(found.row(line)["pid"][0]): found.trends(line, line + 1, 9)[0].tolist() for line in range(3)}
    assert trends == {1: [0.5 * SECOND, 0.0, SECOND], 9: [0.0, 0.0, MS], 2: [0.0, 0.0, 0.0]}
    assert found.most == SECOND
    assert found.trends(0, 1, 2)[0].tolist() == [0.0, SECOND]


def test_a_column_that_is_no_rate_leaves_the_trend_to_cpu() -> None:
    assert ask(tick(0, *TREE), sort="rss").trend.key == "cpu_ns"
    assert ask(tick(0, *TREE), sort="wait_p99_ns").trend.key == "wait_p99_ns"


def test_parents_of_odd_rows_have_an_end() -> None:
    """Whose parent is itself, or its own child, stands at the top."""
    found = ask(tick(0, process(1, 1), process(2, 3), process(3, 2), process(4, 2), process(5, 77)), tree=True)
    assert sorted(pids(found)) == [1, 2, 3, 4, 5]
    assert all(found.branches(line) == [] for line in range(5))


def test_layout_of_a_random_tree_is_that_of_a_walk() -> None:
    rng = np.random.default_rng(3)
    count = 200
    parent = np.array([-1 if at < 3 else int(rng.integers(-1, at)) for at in range(count)])
    rank = rng.permutation(count)
    children: dict[int, list[int]] = {}
    for at in sorted(range(count), key=lambda at: rank[at]):
        children.setdefault(int(parent[at]), []).append(at)

    def walk(at: int, shut: set[int]) -> list[int]:
        below = [] if at in shut else children.get(at, [])
        return [at, *(one for child in below for one in walk(child, shut))]

    laid = laid_out(parent, rank)
    assert laid.order.tolist() == [one for root in children[-1] for one in walk(root, set())]
    assert laid.size.tolist() == [len(walk(at, set())) for at in laid.order.tolist()]
    last = {siblings[-1] for above, siblings in children.items() if above >= 0} | set(children[-1])
    assert {int(at) for at, is_last in zip(laid.order, laid.last, strict=True) if is_last} == last
    shut = set(rng.choice(count, 20).tolist())
    drawn = laid.order[seen(laid, np.isin(laid.order, list(shut)))]
    assert drawn.tolist() == [one for root in children[-1] for one in walk(root, shut)]


def test_depths_and_sums() -> None:
    parent = np.array([-1, 0, 1, 1, 5, 4])
    assert depths(parent).tolist() == [0, 1, 2, 2, -1, -1]
    assert of_subtrees(np.array([1.0, 2, 3, np.nan]), parent[:4], add=True).tolist() == [6, 5, 3, 0]
    assert of_subtrees(np.array([1.0, 2, 3, 9]), parent[:4], add=False).tolist() == [9, 9, 3, 9]
    assert len(parents(np.zeros(0, [("pid", "u4"), ("ppid", "u4"), ("start", "u8"), ("state", "S1")]))) == 0


def test_five_thousand_processes() -> None:
    rows = [busy(pid, pid % 97 / 100, ppid=max(pid // 8, 1) if pid > 1 else 0) for pid in range(1, 5001)]
    flat, tree = (ask(tick(0, *rows), tree=tree) for tree in (False, True))
    assert len(flat) == len(tree) == 5000
    shares = [int(flat.row(line)["cpu_ns"][0]) for line in range(5000)]
    assert shares == sorted(shares, reverse=True)
    assert pids(tree)[0] == 1
    assert sorted(pids(tree)) == list(range(1, 5001))
