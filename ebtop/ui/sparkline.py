"""A line of the past in as many cells as there is room for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BARS = " ▁▂▃▄▅▆▇█"


def sparkline(figures: npt.NDArray[np.float64], width: int, most: float = 0.0, root: bool = False) -> str:
    """The newest figures, one a cell, the newest at the right; heights by the largest of them or `most`.

    What is not nothing is seen. With `root` heights go by the square root: little is seen beside much.
    """
    return sparklines(figures[None, :], width, most, root)[0]


def sparklines(figures: npt.NDArray[np.float64], width: int, most: float = 0.0, root: bool = False) -> list[str]:
    """One for each row of figures."""
    newest = figures[:, -width:]
    top = np.maximum(newest.max(axis=1, initial=0.0), most)
    share = np.clip(newest / np.where(top > 0, top, 1.0)[:, None], 0.0, 1.0)
    if root:
        share = np.sqrt(share)
    heights = np.where(newest > 0, np.maximum(np.round(share * (len(_BARS) - 1)), 1), 0).astype(int)
    return ["".join([_BARS[height] for height in row]).rjust(width) for row in heights.tolist()]
