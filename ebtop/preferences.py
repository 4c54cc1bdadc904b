"""What libraries are told through the environment, where the user has not: ours alone, not a traced command's."""

from __future__ import annotations

import os

_OURS: set[str] = set()


def prefer(name: str, value: str) -> None:
    """Set a variable that is not set; before the library is imported that reads it."""
    if name not in os.environ:
        os.environ[name] = value
        _OURS.add(name)


def callers() -> dict[str, str]:
    """The environment without what `prefer` put there."""
    return {name: value for name, value in os.environ.items() if name not in _OURS}
