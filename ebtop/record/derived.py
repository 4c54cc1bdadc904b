"""Values of columns that are made when they are recorded, as numbers of texts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ebtop.model.distinct import Keys, combined
from ebtop.record.columns import Plan, Way, made
from ebtop.record.packing import Part
from ebtop.record.remembered import Numbers, Remembered
from ebtop.record.texts import Texts
from ebtop.source.wire_json import dump
from ebtop.tool import Names, Value

NONE = 0
"""The number of no text."""

_SALT = np.uint64(0xD6E8FEB86659FD93)  # odd: a field that does not vary must not vanish


class Maker:
    """Makes the values of one column. The same input is looked at once, until names change that it depends on."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._known = Remembered()

    def forget(self) -> None:
        """Texts were forgotten."""
        self._known.forget()

    def learn(self, domains: Iterable[str]) -> None:
        """Names of these domains are new."""
        if not self.plan.domains.isdisjoint(domains):
            self._known.forget()

    def numbers(self, part: Part, names: Names, texts: Texts) -> Numbers:
        """For each record the number of its value's text."""
        keys = self._keys(part)
        numbers, missing, first, codes = self._known.look_up(keys)
        if len(missing):
            values = made(self.plan, part.batch[first], names)
            new = np.array([_number(value, texts) for value in values], np.int64)
            self._known.learn(keys[first], new)
            numbers[missing] = new[codes]
        return np.broadcast_to(numbers, len(part.batch))

    def _keys(self, part: Part) -> Keys:
        """Of all inputs together; one for all records where no input varies."""
        varying = [part.keys(field) for field in self.plan.inputs if part.varies(field)]
        same = [part.keys(field)[:1] for field in self.plan.inputs if not part.varies(field)]
        found = combined(varying) if varying else np.zeros(1, np.uint64)
        return found + combined(same) * _SALT if same else found


def _number(value: Value, texts: Texts) -> int:
    if value is None or value != value:  # a float that is no number
        return NONE
    if isinstance(value, str):
        return texts.number(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, list):
        return texts.number(dump(value))
    return texts.number(value - (1 << 64) if isinstance(value, int) and value >= 1 << 63 else value)


def makers(plans: Iterable[Plan]) -> list[Maker]:
    """Those of the columns that need one."""
    return [Maker(plan) for plan in plans if plan.way is Way.MADE]
