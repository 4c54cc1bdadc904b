"""Stacks as a tree that grows with each tick, for icicle graphs and the table of functions.

A stack's path in the tree is: all, the name of its thread (comm), its frames root first. Inverted it is: all, its
frames leaf first, comm last; so that the first level says where time is spent, and below it who called. (Flame and
icicle graphs: Brendan Gregg, "The Flame Graph", Communications of the ACM 59(6), 2016.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ebtop.model.pattern import PatternError, searcher
from ebtop.tick import Frame, Stack, Tick

PROCESS = "\0process"
"""The module of frames that stand for a process, which no file can be called."""

ROOT = Frame("all", PROCESS, False)

Ids = npt.NDArray[np.int64]
Path = tuple[Frame, ...]
"""From below the root to a node: what names it, whatever the tree."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Which frames make up the tree, and from which end."""

    inverted: bool = False
    kernel: bool = True
    user: bool = True


@dataclass(frozen=True, slots=True)
class Function:
    """A row of the table of functions: samples in it alone, and in it or what it called."""

    frame: Frame
    self_count: int
    total: int


@dataclass(frozen=True)
class CallTree:
    """The samples of some ticks, added up on a tree; immutable.

    Nodes are numbers, parents before their children; 0 is the root. `frame[node]` is an index into `frames`.
    `total[node]` counts the samples at or below a node; those without any are not part of the calls. `leaf`,
    `tip`, `weight` and `pid` have an entry per distinct stack: where it ends, an index into `frames` for the function
    that ran (inverted, that is where it begins), how often it was seen, and whose it was.
    """

    frames: tuple[Frame, ...]
    parent: Ids
    frame: Ids
    outer: Ids
    total: Ids
    leaf: Ids
    tip: Ids
    weight: Ids
    pid: Ids
    functions: tuple[Function, ...] = ()
    pattern: str = ""
    matching: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    matched: int = 0

    @property
    def samples(self) -> int:
        """All samples."""
        return int(self.total[0]) if len(self.total) else 0

    def name(self, node: int) -> Frame:
        """The frame of a node."""
        return ROOT if node == 0 else self.frames[self.frame[node]]

    @cached_property
    def _by_parent(self) -> tuple[Ids, Ids]:
        live = np.flatnonzero(self.total > 0)[1:]
        order = live[np.argsort(self.parent[live], kind="stable")]
        return order, self.parent[order]

    def children(self, node: int) -> list[int]:
        """The nodes below one, in the order in which they were first seen."""
        order, parents = self._by_parent
        first, last = np.searchsorted(parents, [node, node + 1])
        found: list[int] = order[first:last].tolist()
        return found

    def path(self, node: int) -> Path:
        """The way to a node."""
        result = []
        while node:
            result.append(self.name(node))
            node = int(self.parent[node])
        return tuple(reversed(result))

    def find(self, path: Path) -> int:
        """The node of that path, or its deepest ancestor that is there."""
        node = 0
        for wanted in path:
            below = next((n for n in self.children(node) if self.name(n) == wanted), None)
            if below is None:
                break
            node = below
        return node

    def matches(self, node: int) -> bool:
        """Whether the pattern is found in the node's name."""
        return bool(node and len(self.matching) and self.matching[self.frame[node]])

    def busiest_pid(self, node: int) -> int | None:
        """The process with most samples at or below a node."""
        mine = self.passing(node)
        if not mine.any():
            return None
        pids, place = np.unique(self.pid[mine], return_inverse=True)
        return int(pids[np.argmax(np.bincount(place, weights=self.weight[mine]))])

    def passing(self, node: int) -> npt.NDArray[np.bool_]:
        """For each distinct stack, whether its path leads through a node."""
        return _reaches(self.parent, self.leaf, node)

    def below(self, node: int) -> npt.NDArray[np.bool_]:
        """For each node, whether it is this one or below it."""
        return _reaches(self.parent, np.arange(len(self.parent)), node)


def _reaches(parent: Ids, starts: Ids, node: int) -> npt.NDArray[np.bool_]:
    """For each of `starts`, whether `node` is on its way up to the root. Parents have smaller numbers."""
    reached: npt.NDArray[np.bool_] = starts == node
    at = starts.copy()
    pending = np.flatnonzero(starts > node)
    while len(pending):
        at[pending] = parent[at[pending]]
        reached[pending] = at[pending] == node
        pending = pending[at[pending] > node]
    return reached


class _Frames(dict[Frame, int]):
    """Frames by number: asking for one that is not known gives it the next."""

    def __init__(self) -> None:
        super().__init__()
        self.list: list[Frame] = []

    def __missing__(self, frame: Frame) -> int:
        number = self[frame] = len(self.list)
        self.list.append(frame)
        return number


class _Known(NamedTuple):
    """A distinct stack, its frames by number, root first."""

    process: int
    pid: int
    frames: tuple[int, ...]


class _Tree:
    """The tree of one shape; it only grows."""

    def __init__(self, shape: Shape, frames: _Frames) -> None:
        self.shape = shape
        self._frames = frames
        self._children: dict[int, int] = {}  # parent << 32 | frame: the node
        self._new_parent: list[int] = [-1]
        self._new_frame: list[int] = [-1]
        empty = np.zeros(0, dtype=np.int64)
        self.parent, self.frame, self.outer = empty, empty, empty
        self.leaf, self.tip = empty, empty

    def add(self, stacks: Sequence[_Known]) -> None:
        """Take in stacks that are not in the tree yet."""
        known = len(self.parent)
        paths = [self._path(stack) for stack in stacks]
        self.leaf = np.concatenate([self.leaf, np.array([self._leaf(path, known) for path in paths], dtype=np.int64)])
        tips = [path[0 if self.shape.inverted else -1] for path in paths]
        self.tip = np.concatenate([self.tip, np.array(tips, dtype=np.int64)])
        self.parent = np.concatenate([self.parent, np.array(self._new_parent, dtype=np.int64)])
        self.frame = np.concatenate([self.frame, np.array(self._new_frame, dtype=np.int64)])
        self._new_parent, self._new_frame = [], []
        self.outer = np.concatenate([self.outer, self._outer(known)])

    def _path(self, stack: _Known) -> tuple[int, ...]:
        """The frames of a stack as the shape has them."""
        frames = stack.frames
        if not (self.shape.kernel and self.shape.user):
            named = self._frames.list
            frames = tuple(f for f in frames if (self.shape.kernel if named[f].kernel else self.shape.user))
        return (*frames[::-1], stack.process) if self.shape.inverted else (stack.process, *frames)

    def _leaf(self, path: tuple[int, ...], known: int) -> int:
        node, children, parents = 0, self._children, self._new_parent
        for which in path:
            edge = node << 32 | which
            below = children.get(edge)
            if below is None:
                below = children[edge] = known + len(parents)
                parents.append(node)
                self._new_frame.append(which)
            node = below
        return node

    def _outer(self, known: int) -> Ids:
        """For each node from `known` on, its nearest ancestor with the same frame; -1 without one (no recursion)."""
        nodes = np.arange(known, len(self.parent))
        outer = np.full(len(nodes), -1, dtype=np.int64)
        at = self.parent[nodes]
        pending = np.flatnonzero(at > 0)
        while len(pending):
            here = at[pending]
            same = self.frame[here] == self.frame[nodes[pending]]
            outer[pending[same]] = here[same]
            at[pending] = self.parent[here]
            pending = pending[~same & (at[pending] > 0)]
        return outer


class StackTree:
    """Adds up the stacks of ticks; keeps what it has worked out for as long as the ticks are held.

    For one thread. Each distinct stack is put into the tree once, however many ticks it occurs in.
    """

    def __init__(self) -> None:
        self._frames = _Frames()
        self._ids: dict[_Known, int] = {}
        self._stacks: list[_Known] = []
        self._ticks: dict[tuple[int, int], tuple[Ids, Ids]] = {}  # by start and end: its stacks' ids, their counts
        self._tree = _Tree(Shape(), self._frames)

    def calls(self, held: Sequence[Tick], window: Sequence[Tick], shape: Shape) -> CallTree:
        """The stacks of `window` in that shape; what belongs to ticks outside of `held` is forgotten."""
        self._forget(held)
        for tick in window:
            self._learn(tick)
        if self._tree.shape != shape:
            self._tree = _Tree(shape, self._frames)
        tree = self._tree
        tree.add(self._stacks[len(tree.leaf) :])
        mine = [self._ticks[tick.start, tick.end] for tick in window]
        nothing = np.zeros(0, dtype=np.int64)
        ids = np.concatenate([nothing, *(ids for ids, _ in mine)])
        counts = np.concatenate([nothing, *(counts for _, counts in mine)])
        weight = np.bincount(ids, weights=counts, minlength=len(self._stacks)).astype(np.int64)
        seen = np.flatnonzero(weight)
        leaf, tip, weight = tree.leaf[seen], tree.tip[seen], weight[seen]
        pid = np.array([self._stacks[i].pid for i in seen.tolist()], dtype=np.int64)
        total = totals(tree.parent, leaf, weight)
        return CallTree(tuple(self._frames.list), tree.parent, tree.frame, tree.outer, total, leaf, tip, weight, pid)

    def _learn(self, tick: Tick) -> None:
        if (tick.start, tick.end) in self._ticks:
            return
        ids = np.fromiter((self._id(stack) for stack in tick.stacks), dtype=np.int64, count=len(tick.stacks))
        counts = np.array([stack.count for stack in tick.stacks], dtype=np.int64)
        self._ticks[tick.start, tick.end] = (ids, counts)

    def _id(self, stack: Stack) -> int:
        number = self._frames.__getitem__
        known = _Known(number(Frame(stack.comm, PROCESS, False)), stack.pid, tuple(map(number, stack.frames)))
        found = self._ids.get(known)
        if found is None:
            found = self._ids[known] = len(self._stacks)
            self._stacks.append(known)
        return found

    def _forget(self, held: Sequence[Tick]) -> None:
        """Drop ticks that History has dropped; start over when most stacks are of such ticks."""
        alive = {(tick.start, tick.end) for tick in held}
        if self._ticks.keys() <= alive:
            return
        self._ticks = {key: value for key, value in self._ticks.items() if key in alive}
        used = sum(len(ids) for ids, _ in self._ticks.values())
        if len(self._stacks) > 10_000 + 4 * used:
            self.__init__()  # type: ignore[misc]


def totals(parent: Ids, leaf: Ids, weight: Ids) -> Ids:
    """For each node the samples at or below it: each stack's weight, carried from its leaf up to the root."""
    total = np.zeros(len(parent), dtype=np.int64)
    at, carried = leaf, weight
    while len(at):
        np.add.at(total, at, carried)
        at = parent[at]
        on = at >= 0
        at, carried = at[on], carried[on]
    return total


def functions(calls: CallTree, node: int = 0) -> tuple[Function, ...]:
    """What runs at or below a node, by function: most samples of its own first, then total, then name.

    A function that calls itself counts once in its total. Processes are no functions.
    """
    inside = calls.below(node) if node else np.ones(len(calls.parent), dtype=np.bool_)
    size = len(calls.frames)
    mine = inside[calls.leaf]
    own = np.bincount(calls.tip[mine], weights=calls.weight[mine], minlength=size)
    # A node whose function is also above it, but not above `node`, is counted with the one above.
    first = inside & ((calls.outer < 0) | ~inside[calls.outer]) & (calls.total > 0)
    first[0] = False
    total = np.bincount(calls.frame[first], weights=calls.total[first], minlength=size)
    rows = [
        Function(calls.frames[i], int(own[i]), int(total[i]))
        for i in np.flatnonzero(total).tolist()
        if calls.frames[i].module != PROCESS
    ]
    return tuple(sorted(rows, key=lambda row: (-row.self_count, -row.total, row.frame)))


def _holds(plain: str, name: str) -> bool:
    return plain in name.casefold()


def search(calls: CallTree, pattern: str) -> CallTree:
    """The calls with the frames marked in whose name the regular expression is found (any case), and the samples
    with such a frame counted. What is no regular expression is searched for as it is; "" marks nothing.
    """
    if not pattern:
        return replace(calls, pattern="", matching=np.zeros(0, dtype=np.bool_), matched=0)
    try:
        found = searcher(pattern, ignore_case=True)
    except PatternError:
        found = partial(_holds, pattern.casefold())
    matching = np.array([found(frame.name) for frame in calls.frames], dtype=np.bool_)
    hit = np.zeros(len(calls.leaf), dtype=np.bool_)
    pending, at = np.arange(len(calls.leaf)), calls.leaf.copy()
    while len(pending):
        pending = pending[at[pending] > 0]
        hit[pending] |= matching[calls.frame[at[pending]]]
        pending = pending[~hit[pending]]
        at[pending] = calls.parent[at[pending]]
    return replace(calls, pattern=pattern, matching=matching, matched=int(calls.weight[hit].sum()))
