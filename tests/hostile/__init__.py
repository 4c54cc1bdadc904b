"""Everything that others choose, against everything that reads or shows it.

`EBTOP_EXAMPLES=10 make test ARGS=tests/hostile` tries ten times as many examples.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("EBTOP_EXAMPLES", "1"))


def examples(count: int) -> Any:
    """Hypothesis settings for so many examples, or as many times more as the environment asks for."""
    unhurried = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(max_examples=count * TIMES, deadline=None, suppress_health_check=unhurried)
