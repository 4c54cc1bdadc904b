"""The same clock and colours everywhere."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ebtop.ui.cost import OwnCost


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    for name, value in {"TERM": "xterm-256color", "COLORTERM": "truecolor"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(OwnCost, "measure", lambda _cost: None)
    yield
    monkeypatch.undo()
    time.tzset()
