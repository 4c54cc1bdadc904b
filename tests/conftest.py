"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("ebtop", deadline=None)  # no test fails because the machine is slow
settings.load_profile("ebtop")
