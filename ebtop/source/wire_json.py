"""JSON on the wire, and the error of all that has no place on it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


class WireError(Exception):
    """The stream is not what the protocol says, or a message cannot be put into it. The text is one line."""


def dump(header: object) -> bytes:
    """JSON in ASCII; odd bytes in strings are lone surrogates and stay so. NumPy's numbers are numbers."""
    try:
        return _ENCODER.encode(header).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError(f"a message cannot be sent: {error}") from None


def _number(value: object) -> object:
    if isinstance(value, (np.integer, np.floating, np.bool_)):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in it")


def load(raw: bytes) -> Any:
    """Parse JSON that may come from anyone."""
    try:
        return _DECODER.decode(raw.decode("ascii"))
    except (ValueError, RecursionError):
        raise WireError("a header is not JSON") from None


def _refuse(_constant: str) -> None:
    raise ValueError("no NaN, no Infinity")


# json.dumps and json.loads would make these anew for each message.
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_number)
_DECODER = json.JSONDecoder(parse_constant=_refuse)
