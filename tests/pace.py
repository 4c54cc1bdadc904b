"""How much CPU time something takes, counted in a chore that a slow or busy machine stretches just as much.

For what must not take long whatever it is given: the bounds are far from what is usual (a chore is some ten
milliseconds) and far from what a mistake costs. How fast ebtop is, tests/bench measures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


def _chore() -> float:
    """CPU seconds of a fixed piece of plain Python."""
    began = time.process_time()
    words = {str(n): n for n in range(40_000)}
    sum(words[str(n)] for n in range(0, 40_000, 3))
    return time.process_time() - began


@cache
def _usual() -> float:
    return _chore()


@contextmanager
def at_most(chores: float) -> Iterator[None]:
    """Fails if what is done inside takes the CPU time of more than so many chores."""
    usual, began = _usual(), time.process_time()
    yield
    took = time.process_time() - began
    if took > chores * usual:  # is the machine slower than it was?
        now = _chore()
        assert took <= chores * now, f"took {took:.3f} s, {took / now:.0f} chores of {now * 1000:.1f} ms"
