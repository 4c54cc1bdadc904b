"""Values of columns that are made when they are recorded, as numbers of texts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ebtop.model.distinct import combined, distinct
from ebtop.record.columns import Plan, Way, made
from ebtop.record.packing import Numbers, Part
from ebtop.record.texts import Texts
from ebtop.source.wire_json import dump
from ebtop.tool import Names, Value

NONE = 0
"""The number of no text."""

_MOST = 100_000


class Maker:
    """Makes the values of one column. The same input is looked at once, until names change that it depends on."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._known: dict[int, int] = {}

    def forget(self) -> None:
        """Texts were forgotten."""
        self._known.clear()

    def learn(self, domains: Iterable[str]) -> None:
        """Names of these domains are new."""
        if not self.plan.domains.isdisjoint(domains):
            self._known.clear()

    def numbers(self, part: Part, names: Names, texts: Texts) -> Numbers:
        """For each record the number of its value's text."""
        inputs = [field for field in self.plan.inputs if part.varies(field)]
        if len(self._known) > _MOST:
            self._known.clear()
        if not inputs:
            first, codes = np.zeros(1, np.intp), np.zeros(len(part.batch), np.intp)
        elif len(inputs) == 1:
            first, codes = part.distinct(inputs[0])
        else:
            first, codes = distinct(combined([part.keys(field) for field in inputs]))
        whole = combined([part.keys(field)[first] for field in self.plan.inputs]) if self.plan.inputs else first
        wanted: list[int] = whole.tolist()
        unknown = [place for place, key in enumerate(wanted) if key not in self._known]
        if unknown:
            values = made(self.plan, part.batch[first[unknown]], names)
            for place, value in zip(unknown, values, strict=True):
                self._known[wanted[place]] = _number(value, texts)
        return np.array([self._known[key] for key in wanted], np.int64)[codes]


def _number(value: Value, texts: Texts) -> int:
    if value is None or value != value:  # a float that is no number
        return NONE
    if isinstance(value, str):
        return texts.number(value.encode("utf-8", "surrogateescape"))
    return texts.number(dump(value)) if isinstance(value, list) else texts.number(value)


def makers(plans: Iterable[Plan]) -> list[Maker]:
    """Those of the columns that need one."""
    return [Maker(plan) for plan in plans if plan.way is Way.MADE]
