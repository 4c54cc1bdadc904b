"""Events of several rings in the order of their time, in portions that bound what is in memory as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ebtop.tool import Batch

PORTION = 8192
"""Rows that are turned into text at once: enough to make NumPy cheap, few enough to stay in the CPU's cache."""

Row = TypeVar("Row")
Places = npt.NDArray[np.intp]


def _by_time(batch: Batch) -> Batch:
    """The batch ordered by `ts`, which it is except where CPUs raced for a place in the ring."""
    ts = batch["ts"]
    return batch if bool((ts[1:] >= ts[:-1]).all()) else batch[np.argsort(ts, kind="stable")]


def _portions(batches: list[Batch], size: int) -> Iterator[list[Batch]]:
    """Parts of each batch that lie in the same span of time; no row of a later portion is older."""
    if len(batches) == 1:
        yield from ([batches[0][at : at + size]] for at in range(0, len(batches[0]), size))
        return
    longest = max(batches, key=len)["ts"]
    at = [0] * len(batches)
    for last in range(size - 1, len(longest) + size - 1, size):
        if last < len(longest) - 1:
            until = [int(np.searchsorted(b["ts"], longest[last], side="right")) for b in batches]
        else:
            until = [len(b) for b in batches]
        yield [b[i:j] for b, i, j in zip(batches, at, until, strict=True) if j > i]
        at = until


def in_order(
    batches: Sequence[Batch], render: Callable[[Batch], list[Row]], size: int = PORTION
) -> Iterator[list[Row]]:
    """Render each batch (one row for each of its records) and yield all rows merged by `ts`, portion by portion.

    Rows of the same time stay in the order of the batches.
    """
    ordered = [_by_time(batch) for batch in batches if len(batch)]
    if not ordered:
        return
    for parts in _portions(ordered, size):
        rows = list(chain.from_iterable(map(render, parts)))
        if len(parts) > 1:
            order = np.argsort(np.concatenate([part["ts"] for part in parts]), kind="stable")
            rows = list(map(rows.__getitem__, order.tolist()))
        yield rows


def in_places(batches: Iterable[tuple[Batch, Places]], render: Callable[[Batch], list[Row]]) -> list[Row]:
    """Render each batch and put its rows where `Places` says (a number for each), the lowest first."""
    found = [(places, render(batch)) for batch, places in batches]
    if not found:
        return []
    rows = list(chain.from_iterable(rendered for _, rendered in found))
    order = np.argsort(np.concatenate([places for places, _ in found]), kind="stable")
    return list(map(rows.__getitem__, order.tolist()))
