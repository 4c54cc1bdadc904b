"""What the pane of processes asks for: who is there, in which order, as a list or a tree, and what adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ebtop.model.bygone import Bygone, Past, adds_up, told_always
from ebtop.model.census import SUMMED, Census, Folded, Indices, census, folded, summed
from ebtop.model.columns import NUMERIC, as_text, coded, numbers
from ebtop.model.filter import Filter
from ebtop.model.processtree import Laid, laid_out, of_subtrees, parents, seen, with_ancestors
from ebtop.model.ranking import PEAK_TICKS, Ranking, ordered
from ebtop.model.snapshot import ToolSnapshot
from ebtop.tool import Batch, Column, Names, Tool

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

BY_CPU = "cpu_ns"


@dataclass(frozen=True, slots=True)
class Sought:
    """What to show. `closed` are the processes (keys) below whom nothing is drawn; `turned` the columns that are shown
    although they are hidden, or the other way round."""

    sort: str = BY_CPU
    descending: bool = True
    filter: Filter | None = None
    tree: bool = False
    closed: frozenset[int] = frozenset()
    turned: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Processes:
    """The answer, immutable. `rows` of `folded` stand on the screen as `order` says.

    `context` marks those that do not match the filter, and are there for their descendants alone. `total` is one row:
    the sums of all that match; `matching` how many they are, of `all_`. In a tree row n of the screen is
    `places[n]` of `laid`.
    """

    folded: Folded
    order: Indices
    context: Mask
    total: Batch
    matching: int
    gone: int
    all_: int
    seconds: float
    names: Names
    trend: Column
    past: Sequence[Bygone]
    laid: Laid | None = None
    places: Indices = field(default_factory=lambda: np.zeros(0, np.intp))
    closed: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.order)

    def key(self, line: int) -> int:
        """What tells the row from others, also in other ticks."""
        return int(self.folded.keys[self.order[line]])

    def find(self, key: int) -> int | None:
        """The line of a key."""
        found = np.flatnonzero(self._keys == np.uint64(key))
        return int(found[0]) if len(found) else None

    @cached_property
    def _keys(self) -> npt.NDArray[np.uint64]:
        return self.folded.keys[self.order]

    def row(self, line: int) -> Batch:
        """The row as a batch of one; where what is below it is not drawn, with the sums of all that."""
        at = int(self.order[line])
        own = self.folded.rows[at : at + 1]
        if not self.shut(line):
            return own
        total = summed(self.folded.rows[self._below(line)])
        for name in own.dtype.names or ():
            if name not in SUMMED:
                total[name] = own[name]
        return total

    def rows(self, first: int, end: int) -> Batch:
        """Those of the lines from `first` to before `end`, as `row` has them."""
        if self.laid is None or not self.closed:
            return self.folded.rows[self.order[first:end]]
        return np.concatenate([self.row(line) for line in range(first, min(end, len(self)))])

    def trends(self, first: int, end: int, ticks: int) -> Floats:
        """The trend's figures of the lines from `first` to before `end`, as rows are drawn: (lines, ticks), the newest
        last."""
        keys = self.folded.keys[self.order[first:end]]
        found = np.zeros((len(keys), len(self.past[-ticks:])))
        for at, each in enumerate(self.past[-ticks:]):
            found[:, at] = each.of(keys)
        for at in range(len(keys)) if self.closed else ():
            if self.shut(first + at):
                found[at] = self._trend_below(first + at, ticks)
        return found

    def _trend_below(self, line: int, ticks: int) -> Floats:
        keys = self.folded.keys[self._below(line)]
        add = adds_up(self.trend)
        found = (each.of(keys) for each in self.past[-ticks:])
        return np.array([each.sum() if add else each.max() for each in found])

    @cached_property
    def most(self) -> float:
        """The largest figure of any process in the past that trends are drawn of."""
        return max((float(each.values.max(initial=0.0)) for each in self.past), default=0.0)

    def names_in_fold(self, line: int) -> Sequence[tuple[bytes, int]]:
        """Who is in a fold, the most frequent first; () for a process."""
        at = int(self.order[line]) - self.folded.first_fold
        return self.folded.members[at] if at >= 0 else ()

    def shut(self, line: int) -> bool:
        """Whether something below the row is not drawn."""
        return self.has_children(line) and self.key(line) in self.closed

    def has_children(self, line: int) -> bool:
        """Whether something is below the row in the tree."""
        return self.laid is not None and int(self.laid.size[self.places[line]]) > 1

    def parent(self, line: int) -> int | None:
        """The line of the parent, in a tree."""
        above = int(self.laid.parent[self.places[line]]) if self.laid is not None else -1
        return int(np.searchsorted(self.places, above)) if above >= 0 else None

    def branches(self, line: int) -> list[bool]:
        """For each ancestor but the first, and for the row: whether it is the last of its siblings."""
        found: list[bool] = []
        at = int(self.places[line]) if self.laid is not None else -1
        while self.laid is not None and self.laid.parent[at] >= 0:
            found.append(bool(self.laid.last[at]))
            at = int(self.laid.parent[at])
        return found[::-1]

    def _below(self, line: int) -> Indices:
        assert self.laid is not None  # noqa: S101  only in a tree is anything shut
        place = int(self.places[line])
        return self.laid.order[place : place + int(self.laid.size[place])]


class ProcessQuery:
    """Answers queries about snapshots, each from its own ticks alone. For one thread."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self._past = Past()
        self._ranking = Ranking()

    def run(self, snapshot: ToolSnapshot, sought: Sought) -> Processes:
        """The processes as of the last tick."""
        found = census(snapshot.ticks)
        column = self._tool.column(sought.sort) or self._tool.columns[0]
        chosen = sought.filter.mask(found.rows, snapshot.names) if sought.filter else np.ones(len(found.rows), np.bool_)
        kept = with_ancestors(chosen, parents(found.rows)) if sought.tree and sought.filter else chosen
        whole = folded(found.rows[kept], found.short[kept])
        strangers = np.concatenate([(~chosen[kept])[~found.short[kept]], np.zeros(len(whole.members), np.bool_)])
        by = column if column.type in NUMERIC and told_always(column) else self._tool.column(BY_CPU) or column
        past = self._past.of(snapshot.ticks, by, snapshot.names)
        figures = _figures(column, whole.rows, snapshot.names, found.seconds)
        if told_always(column):
            for each in past[-PEAK_TICKS:-1]:
                then = each.of(whole.keys)
                figures = np.where(then > 0, np.fmax(figures, then), figures)
        order, laid, places = self._order(whole, figures, column, sought, snapshot)
        there = int(np.count_nonzero(chosen[: found.living]))
        return Processes(
            whole, order, strangers, summed(found.rows[chosen]), there, _ended(found, chosen), found.living,
            found.seconds, snapshot.names, by, past, laid, places, sought.closed,
        )  # fmt: skip

    def _order(
        self, whole: Folded, figures: Floats, column: Column, sought: Sought, snapshot: ToolSnapshot
    ) -> tuple[Indices, Laid | None, Indices]:
        rows, end = whole.rows, snapshot.ticks[-1].end if snapshot.ticks else 0
        parent = parents(rows) if sought.tree else None
        if parent is not None and (adds_up(column) or told_always(column)):
            figures = of_subtrees(figures, parent, adds_up(column))
        settled = self._ranking.settled(whole.keys, figures, column, sought.tree, end)
        order = ordered(settled, sought.descending, rows["kind"], rows["pid"])
        if parent is None:
            return order, None, order
        rank = np.empty(len(order), np.intp)
        rank[order] = np.arange(len(order))
        laid = laid_out(parent, rank)
        closed = np.isin(whole.keys[laid.order], np.array(sorted(sought.closed), np.uint64))
        places = seen(laid, closed)
        return laid.order[places], laid, places


def _figures(column: Column, rows: Batch, names: Names, seconds: float) -> Floats:
    """What rows are sorted by: numbers (a second), or places in the alphabet; NaN for what is not known."""
    if column.type in NUMERIC:
        found = numbers(column, rows, names).astype(np.float64)
        return found / seconds if column.rate else found
    texts = coded(column, rows, names)
    known = [as_text(column, value) for value in texts.values]
    place = {text: float(at) for at, text in enumerate(sorted(set(known), key=lambda t: (t.casefold(), t)))}
    return np.array([place[text] if text else np.nan for text in known], np.float64)[texts.codes]


def _ended(found: Census, chosen: Mask) -> int:
    """How many processes ended in the interval, of those chosen."""
    rows = found.rows[found.living :]
    return int(rows["count"][chosen[found.living :]].sum())
