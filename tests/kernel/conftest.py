"""Kernel tests run ebtop as users do, on the running kernel, and compare with what is known to have happened."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ebtop import privilege
from tests.kernel.ebtop import end_started
from tests.kernel.screen import Screen


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark, and skip with the reason where nothing can be traced."""
    refusal = privilege.refusal()
    here = os.path.dirname(__file__)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.kernel)
            if refusal:
                item.add_marker(pytest.mark.skip(reason=refusal))


@pytest.fixture
def screen() -> Iterator[Screen]:
    """A capture process, and what talks to it."""
    found = Screen()
    yield found
    found.source.close()
    found.keeper.close()


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """A test that fails leaves no tracer behind."""
    yield
    end_started()
