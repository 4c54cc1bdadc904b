"""Where the frames of an icicle graph go: whole cells, the root on top, nothing drawn narrower than a cell."""

from __future__ import annotations

from dataclasses import dataclass

from ebtop.model.stacktree import Profile

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


def layout(profile: Profile, top: int, width: int) -> Rows:
    """Rows of blocks from left to right; the first is the node `top` over the whole width.

    Siblings go by name, so that none changes places when counts change; the narrow ones are put together behind the
    others. What a function took itself is left blank at its right.
    """
    samples = int(profile.total[top]) if len(profile.total) else 0
    if samples == 0 or width <= 0:
        return ()
    scale = width / samples
    rows = [[(Block(0, width, top, REST, samples), 0.0)]]
    while rows[-1]:
        below = []
        for block, start in rows[-1]:
            if block.node != REST:
                below += _children(profile, block.node, start, scale)
        rows.append(below)
    return tuple(tuple(block for block, _ in row) for row in rows[:-1])


def _children(profile: Profile, node: int, start: float, scale: float) -> list[tuple[Block, float]]:
    """The blocks below one that starts at `start` (in cells, not rounded), each with where it starts."""
    placed, narrow, narrow_samples = [], 0, 0
    children = profile.children(node)
    totals = profile.total[children].tolist()
    wide = []
    for child, samples in zip(children, totals, strict=True):
        if samples * scale >= 1:
            wide.append((profile.name(child), child, samples))
        else:
            narrow += 1
            narrow_samples += samples
    for _, child, samples in sorted(wide):
        end = start + samples * scale
        placed.append((Block(round(start), round(end), child, node, samples), start))
        start = end
    rest = Block(round(start), round(start + narrow_samples * scale), REST, node, narrow_samples, narrow)
    if rest.right > rest.left:
        placed.append((rest, start))
    return placed
