"""Where a record has the arguments: points with different ones share the same few fields.

A record has as many numbers and strings as the point with most of them, whose n-th are in `n0`, `n1` ... and `s0`,
`s1` ...; which column that is, is for each point to say. So a record stays small however many points there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ebtop.probing.filter import LONGEST_TEXT
from ebtop.probing.plan import Form, Parameter, Plan, Planned

TEXT_READ = LONGEST_TEXT + 2
"""Bytes that are asked for: one letter more than is shown tells that there are more, and a NUL."""

TEXT_ROOM = (TEXT_READ + 7) // 8 * 8
"""Bytes of the field."""

NO_ADDRESS = 16
"""The n-th bit of `unread` says that the n-th string could not be read, the one so many above that there is none."""

TEXTS = frozenset({Form.TEXT, Form.CHARS, Form.LOCATED})


_TAKEN = re.compile(
    "ts|pid|tid|uid|comm|cgroup|container|probe|latency_ns|stack|kstack|stack_id|tool|type|unread|truncated"
    r"|[ns]\d+"
)


def is_taken(key: str) -> bool:
    """Is it the name of something else, so that an argument of that name needs another?"""
    return _TAKEN.fullmatch(key) is not None


class Slot(NamedTuple):
    """A field of the record: the n-th number or string."""

    text: bool
    number: int

    @property
    def field(self) -> str:
        """Its name."""
        return f"{'s' if self.text else 'n'}{self.number}"


def told(point: Planned) -> tuple[Parameter, ...]:
    """What the events of a point tell, in the order of their columns."""
    return (*point.arguments, *([point.result] if point.result else []))


def slots(parameters: Sequence[Parameter]) -> Iterator[tuple[Parameter, Slot]]:
    """Each argument with its field."""
    counted = [0, 0]
    for parameter in parameters:
        text = parameter.form in TEXTS
        yield parameter, Slot(text, counted[text])
        counted[text] += 1


def most(plan: Plan) -> tuple[int, int]:
    """How many numbers and strings a record has."""
    texts = [sum(p.form in TEXTS for p in told(point)) for point in plan.points]
    whole = [len(told(point)) for point in plan.points]
    return max((w - t for w, t in zip(whole, texts, strict=True)), default=0), max(texts, default=0)


def value_of(plan: Plan, point: Planned) -> Parameter:
    """The argument whose distribution is wanted."""
    return next(parameter for parameter in told(point) if parameter.key == plan.value)


def is_signed(plan: Plan) -> bool:
    """Can the values of a distribution be below zero?"""
    return any(value_of(plan, point).signed for point in plan.points)
