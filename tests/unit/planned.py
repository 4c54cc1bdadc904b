"""A plan to try what is made of plans on."""

from __future__ import annotations

from ebtop.attachpoint import PointKind
from ebtop.probing.plan import Form, Mode, Parameter, Place, Plan, Planned

ARGUMENTS = (
    Parameter("fd", "int", 4, True, Form.NUMBER, Place.RECORD, 16),
    Parameter("name", "char *", 8, False, Form.TEXT, Place.RECORD, 24),
)
PLAN = Plan("probe", Mode.TRACE, (Planned("tracepoint:x:y", PointKind.TRACEPOINT, "x:y", arguments=ARGUMENTS),))
