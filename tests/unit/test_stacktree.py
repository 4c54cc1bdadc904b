"""The tree of stacks and its layout, against sums made the slow way."""

from __future__ import annotations

import random
import time
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebtop.model.icicle import REST, layout
from ebtop.model.stacktree import PROCESS, CallTree, Shape, StackTree, functions, search
from ebtop.tick import Frame, Stack, Tick

SECOND = 10**9
NAMES = st.sampled_from("abcde")
FRAMES = st.builds(Frame, NAMES, st.sampled_from(["", "lib"]), st.booleans())
STACKS = st.lists(
    st.builds(Stack, st.lists(FRAMES, max_size=8).map(tuple), st.integers(1, 9), st.integers(1, 3), st.just(1), NAMES),
    max_size=12,
)


def user(*names: str) -> tuple[Frame, ...]:
    return tuple(Frame(name, "app", False) for name in names)


def tick(second: int, *stacks: Stack) -> Tick:
    return Tick("t", second * SECOND, (second + 1) * SECOND, stacks=stacks)


def of(*stacks: Stack, shape: Shape | None = None) -> CallTree:
    ticks = [tick(0, *stacks)]
    return StackTree().calls(ticks, ticks, shape or Shape())


def by_path(calls: CallTree) -> dict[tuple[str, ...], int]:
    """Totals by the names of the path."""
    return {
        tuple(f.name for f in calls.path(node)): int(calls.total[node])
        for node in range(len(calls.parent))
        if calls.total[node]
    }


def test_totals_by_path() -> None:
    found = of(Stack(user("main", "f"), 3, 1, 1, "x"), Stack(user("main", "g"), 2, 1, 1, "x"), Stack((), 1, 2, 2, "y"))
    assert by_path(found) == {
        (): 6, ("x",): 5, ("x", "main"): 5, ("x", "main", "f"): 3, ("x", "main", "g"): 2, ("y",): 1,
    }  # fmt: skip


def test_inverted_begins_with_what_ran() -> None:
    stacks = Stack(user("main", "f"), 3, 1, 1, "x"), Stack(user("main", "g", "f"), 2, 2, 2, "y")
    found = of(*stacks, shape=Shape(inverted=True))
    assert by_path(found)["f",] == 5
    assert by_path(found)["f", "g", "main", "y"] == 2
    assert [(f.frame.name, f.self_count, f.total) for f in functions(found)] == [
        ("f", 5, 5), ("main", 0, 5), ("g", 0, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        (Shape(kernel=False), ("x", "main")),
        (Shape(user=False), ("x", "sys")),
        (Shape(user=False, kernel=False), ("x",)),
    ],
)
def test_sides_can_be_left_out(shape: Shape, path: tuple[str, ...]) -> None:
    found = of(Stack((*user("main"), Frame("sys", "kernel", True)), 1, 1, 1, "x"), shape=shape)
    assert max(by_path(found), key=len) == path


def test_recursion_counts_once() -> None:
    found = of(Stack(user("f", "g", "f", "f"), 4, 1, 1, "x"), Stack(user("g"), 1, 1, 1, "x"))
    assert [(f.frame.name, f.self_count, f.total) for f in functions(found)] == [("f", 4, 4), ("g", 1, 5)]
    below = found.find((Frame("x", PROCESS, False), *user("f", "g")))
    assert [(f.frame.name, f.self_count, f.total) for f in functions(found, below)] == [("f", 4, 4), ("g", 0, 4)]


@given(st.lists(STACKS, max_size=4), st.builds(Shape, st.booleans(), st.booleans(), st.booleans()))
def test_as_counted_one_by_one(ticks_of: list[list[Stack]], shape: Shape) -> None:
    ticks = [tick(i, *stacks) for i, stacks in enumerate(ticks_of)]
    found = StackTree().calls(ticks, ticks, shape)
    own: Counter[Frame] = Counter()
    total: Counter[Frame] = Counter()
    for stack in (s for t in ticks for s in t.stacks):
        path = [Frame(stack.comm, PROCESS, False)]
        path += [f for f in stack.frames if (shape.kernel if f.kernel else shape.user)]
        own[path[-1]] += stack.count
        total.update(dict.fromkeys(path, stack.count))
    rows = functions(found)
    assert {r.frame: r.total for r in rows} == {f: n for f, n in total.items() if f.module != PROCESS}
    assert {r.frame: r.self_count for r in rows} == {r.frame: own[r.frame] for r in rows}
    assert found.samples == sum(s.count for t in ticks for s in t.stacks)


@given(st.lists(STACKS, min_size=1, max_size=5))
def test_growing_tick_by_tick_is_as_all_at_once(ticks_of: list[list[Stack]]) -> None:
    ticks = [tick(i, *stacks) for i, stacks in enumerate(ticks_of)]
    tree = StackTree()
    for end in range(1, len(ticks) + 1):
        grown = tree.calls(ticks[:end], ticks[max(0, end - 2) : end], Shape())
    fresh = StackTree().calls(ticks[-2:], ticks[-2:], Shape())
    for found, other in ((grown, fresh), (fresh, grown)):
        for node in range(len(found.parent)):
            path = found.path(node)
            if found.total[node]:
                assert other.path(other.find(path)) == path
                assert other.total[other.find(path)] == found.total[node]


def test_what_history_dropped_is_forgotten() -> None:
    tree = StackTree()
    for second in range(40):
        stacks = [Stack(user("main", f"f{second}_{i}"), 1, 1, 1, "x") for i in range(600)]
        ticks = [tick(second, *stacks)]
        found = tree.calls(ticks, ticks, Shape())
        assert found.samples == 600
    assert len(tree._stacks) < 20_000
    assert len(tree._ticks) == 1


def test_search_counts_samples_once() -> None:
    stacks = Stack(user("read", "Pread"), 3, 1, 1, "x"), Stack(user("write"), 1, 1, 1, "x")
    found = search(of(*stacks), "READ")
    assert found.matched == 3
    assert {found.name(n).name for n in range(len(found.parent)) if found.matches(n)} == {"read", "Pread"}
    assert search(found, "").matched == 0
    assert not any(search(found, "").matches(n) for n in range(len(found.parent)))
    assert search(of(Stack(user("a(b"), 2, 1, 1, "x")), "a(").matched == 2  # no regular expression: as it is
    assert search(of(), "x").matched == 0


def test_busiest_process_below_a_frame() -> None:
    found = of(Stack(user("f"), 3, 10, 10, "x"), Stack(user("f"), 5, 20, 20, "x"), Stack(user("g"), 9, 10, 10, "x"))
    f = found.find((Frame("x", PROCESS, False), *user("f")))
    assert found.busiest_pid(f) == 20
    assert found.busiest_pid(0) == 10


def test_a_path_that_is_gone_leads_to_its_caller() -> None:
    found = of(Stack(user("main", "f"), 1, 1, 1, "x"))
    process = Frame("x", PROCESS, False)
    assert found.path(found.find((process, *user("main", "gone", "more")))) == (process, *user("main"))
    assert found.find((Frame("y", PROCESS, False),)) == 0


@given(STACKS, st.integers(1, 60))
def test_blocks_tile_within_their_caller(stacks: list[Stack], width: int) -> None:
    rows = layout(of(*stacks), 0, width)
    for above, row in pairwise(rows):
        spans = {block.node: (block.left, block.right) for block in above}
        at = 0
        for block in row:
            left, right = spans[block.parent]
            assert left <= block.left < block.right <= right
            assert block.left >= at
            at = block.right
    assert all(block.node == REST or block.merged == 0 for row in rows for block in row)


def test_narrow_siblings_are_one_block_and_places_go_by_name() -> None:
    stacks = [Stack(user(f"tiny{i}"), 1, 1, 1, "x") for i in range(20)]
    stacks += [Stack(user("zebra"), 50, 1, 1, "x"), Stack(user("ant"), 30, 1, 1, "x")]
    calls = of(*stacks)
    row = layout(calls, 0, 50)[2]
    assert [calls.name(b.node).name for b in row if b.node != REST] == ["ant", "zebra"]
    assert (row[-1].node, row[-1].merged, row[-1].samples, row[-1].right) == (REST, 20, 20, 50)


def test_a_cell_s_worth_is_a_cell() -> None:
    row = layout(of(*(Stack(user(f"f{i}"), 1, 1, 1, "x") for i in range(7))), 0, 7)[2]
    assert [(block.left, block.right) for block in row] == [(i, i + 1) for i in range(7)]
    halves = [Stack(user("a"), 1, 1, 1, "x"), *(Stack(user(f"f{i}"), 2, 1, 1, "x") for i in range(9))]
    halves.append(Stack(user("z"), 1, 1, 1, "x"))
    assert all(block.right > block.left for block in layout(of(*halves), 0, 10)[2])


def test_nothing_at_all() -> None:
    found = of()
    assert (found.samples, functions(found), layout(found, 0, 80)) == (0, (), ())
    assert StackTree().calls([], [], Shape()).samples == 0


def test_as_deep_as_stacks_get() -> None:
    found = of(Stack(user(*(f"f{i}" for i in range(127))), 1, 1, 1, "x"))
    assert len(layout(found, 0, 80)) == 129
    assert len(functions(found)) == 127


def test_ten_thousand_distinct_stacks_are_counted_once() -> None:
    random_ = random.Random(1)
    frames = [Frame(f"fn_{i}", f"lib{i % 20}.so", i % 5 == 0) for i in range(3000)]
    stacks = [
        Stack((*frames[:12], *(frames[random_.randrange(4 + 40 * k)] for k in range(12))), 1, i % 50, 1, "x")
        for i in range(10_000)
    ]
    ticks = [tick(0, *stacks)]
    tree = StackTree()
    begin = time.process_time()
    calls = tree.calls(ticks, ticks, Shape())
    grown = time.process_time() - begin
    functions(search(tree.calls(ticks, ticks, Shape()), "fn_1"))
    again = time.process_time() - begin - grown
    assert calls.samples == 10_000
    assert again < grown / 2  # what is known is not counted again
