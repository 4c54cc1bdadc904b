"""A screen whose clock, users, colours and own cost are the same everywhere."""

from __future__ import annotations

import pwd
import time

import pytest

from ebtop.model import format as formats
from ebtop.ui.cost import OwnCost

USERS = {0: "root", 33: "www-data", 108: "postgres", 1000: "deploy"}


class _User:
    def __init__(self, name: str) -> None:
        self.pw_name = name


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("LOGNAME", "tests")  # tmp_path asks for our name, and by number there are only these users
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: _User(USERS[uid]))
    monkeypatch.setattr(OwnCost, "measure", lambda _cost: None)
    formats.user.cache_clear()
    yield
    formats.user.cache_clear()
    monkeypatch.undo()
    time.tzset()
