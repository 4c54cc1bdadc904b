"""Who is whose child: processes as a tree, laid out in the order in which it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ebtop.model.census import GONE, Indices
from ebtop.tool import Batch

Floats = npt.NDArray[np.float64]
_NONE = -1


def parents(rows: Batch) -> Indices:
    """The row of each row's parent, -1 where it is not among them. Nobody is its own ancestor, whatever rows say."""
    if not len(rows):
        return np.zeros(0, np.intp)
    living = np.flatnonzero(rows["state"] != GONE)
    order = living[np.lexsort((rows["start"][living], rows["pid"][living]))]
    pids = rows["pid"][order]
    at = np.searchsorted(pids, rows["ppid"], "right") - 1  # of several with a pid the one that was started last
    if not len(order):
        return np.full(len(rows), _NONE)
    found = np.where((at >= 0) & (pids[at] == rows["ppid"]), order[at], _NONE)
    found[found == np.arange(len(rows))] = _NONE
    found[depths(found) == _NONE] = _NONE
    return found


def depths(parent: Indices) -> Indices:
    """How many ancestors each has; -1 where that has no end."""
    depth = np.where(parent == _NONE, 0, _NONE)
    level = 0
    left = np.flatnonzero(depth == _NONE)
    while len(left):
        below = depth[parent[left]] == level
        if not below.any():
            break
        level += 1
        depth[left[below]] = level
        left = left[~below]
    return depth


def of_subtrees(figures: Floats, parent: Indices, add: bool) -> Floats:
    """Each one's figure and those of all below it, added up or the largest of them; unknown ones count as nothing."""
    total = np.nan_to_num(figures)
    depth = depths(parent)
    for level in range(int(depth.max(initial=0)), 0, -1):
        here = np.flatnonzero(depth == level)
        (np.add if add else np.maximum).at(total, parent[here], total[here])
    return total


def with_ancestors(chosen: npt.NDArray[np.bool_], parent: Indices) -> npt.NDArray[np.bool_]:
    """Those that are chosen, and all that they come from."""
    found = chosen.copy()
    new = np.flatnonzero(found)
    while len(new):
        above = np.unique(parent[new])
        new = above[(above != _NONE) & ~found[above]]
        found[new] = True
    return found


@dataclass(frozen=True, slots=True)
class Laid:
    """A tree as it is drawn, everything open: `order` are the rows from top to bottom; the others go by place in it.

    `size` is how many a row and all below it are; `parent` a place, -1 for none; `last` who has no sibling below.
    """

    order: Indices
    size: Indices
    parent: Indices
    last: npt.NDArray[np.bool_]


def laid_out(parent: Indices, rank: Indices) -> Laid:
    """Depth first, siblings by `rank` (the place that each row has among all)."""
    count = len(parent)
    size = of_subtrees(np.ones(count), parent, add=True).astype(np.intp)
    # Siblings one after the other: where each begins, from the sizes of those before it.
    order = np.lexsort((rank, parent))
    before = np.cumsum(size[order]) - size[order]
    starts = np.flatnonzero(np.concatenate([[True], parent[order][1:] != parent[order][:-1]])) if count else order
    groups = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, count)))
    offset = np.empty(count, np.intp)
    offset[order] = before - before[starts][groups] if count else 0
    place = offset.copy()
    depth = depths(parent)
    for level in range(1, int(depth.max(initial=0)) + 1):
        here = np.flatnonzero(depth == level)
        place[here] += place[parent[here]] + 1
    laid = np.empty(count, np.intp)
    laid[place] = np.arange(count)
    above = np.where(parent == _NONE, _NONE, place[parent])[laid]
    sizes = size[laid]
    end = np.arange(count) + sizes
    last = np.where(above == _NONE, True, end == above + sizes[above])
    return Laid(laid, sizes, above, last)


def seen(laid: Laid, closed: npt.NDArray[np.bool_]) -> Indices:
    """The places that are drawn when those in `closed` (by place) hide what is below them."""
    edges = np.zeros(len(laid.order) + 1, np.intp)
    shut = np.flatnonzero(closed & (laid.size > 1))
    np.add.at(edges, shut + 1, 1)
    np.add.at(edges, shut + laid.size[shut], -1)
    return np.flatnonzero(np.cumsum(edges[:-1]) == 0)
