"""The row of one thing that is counted, as tools of Kind.COUNTS have it in Tick.rows."""

from __future__ import annotations

import numpy as np

ROW = np.dtype([("probe", "<u4"), ("pad", "<u4"), ("count", "<u8")])
"""`probe` is a number, of which the tool's columns make a name; `count` how often it was in the interval."""
