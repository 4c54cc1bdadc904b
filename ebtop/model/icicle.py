"""Where the frames of an icicle graph go: whole cells, the root on top, nothing drawn narrower than a cell."""

from __future__ import annotations

from dataclasses import dataclass

from ebtop.model.stacktree import CallTree

REST = -1
"""The node of a block that stands for all its siblings that are narrower than a cell."""


@dataclass(frozen=True, slots=True)
class Block:
    """Cells `left` to `right` (exclusive) of a row. `merged` is the number of frames in a block of the rest."""

    left: int
    right: int
    node: int
    parent: int
    samples: int
    merged: int = 0


Rows = tuple[tuple[Block, ...], ...]


def layout(calls: CallTree, top: int, width: int) -> Rows:
    """Rows of blocks from left to right; the first is the node `top` over the whole width.

    Siblings go by name, so that none changes places when counts change; the narrow ones are put together behind the
    others. What a function took itself is left blank at its right.
    """
    samples = int(calls.total[top]) if len(calls.total) else 0
    if samples == 0 or width <= 0:
        return ()
    rows = [[(Block(0, width, top, REST, samples), 0)]]
    while rows[-1]:
        below = []
        for block, start in rows[-1]:
            if block.node != REST:
                below += _children(calls, block.node, start, _Scale(width, samples))
        rows.append(below)
    return tuple(tuple(block for block, _ in row) for row in rows[:-1])


@dataclass(frozen=True, slots=True)
class _Scale:
    """Whole numbers only: what has a cell's worth of samples must never be rounded to no cell."""

    width: int
    samples: int

    def cell(self, samples: int) -> int:
        return (2 * samples * self.width + self.samples) // (2 * self.samples)

    def fills_a_cell(self, samples: int) -> bool:
        return samples * self.width >= self.samples


def _children(calls: CallTree, node: int, start: int, scale: _Scale) -> list[tuple[Block, int]]:
    """The blocks below one that has `start` samples at its left, each with the samples at its own left."""
    children = calls.children(node)
    wide = []
    narrow = narrow_samples = 0
    for child, samples in zip(children, calls.total[children].tolist(), strict=True):
        if scale.fills_a_cell(samples):
            wide.append((calls.name(child), child, samples))
        else:
            narrow += 1
            narrow_samples += samples
    placed = []
    for _, child, samples in sorted(wide):
        placed.append((Block(scale.cell(start), scale.cell(start + samples), child, node, samples), start))
        start += samples
    rest = Block(scale.cell(start), scale.cell(start + narrow_samples), REST, node, narrow_samples, narrow)
    return [*placed, (rest, start)] if rest.right > rest.left else placed
