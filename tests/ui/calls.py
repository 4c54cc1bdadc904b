"""What the synthetic machine's programs do with sockets, and what capabilities they are asked for."""

from __future__ import annotations

import socket
import struct
from typing import Any

import numpy as np

from ebtop.tool import Batch

SOCKET_FIELDS: list[tuple[Any, ...]] = [
    ("latency_ns", "u8"), ("socket", "u8"), ("accepted", "u8"), ("fd", "i4"), ("level", "i4"), ("optname", "i4"),
    ("argument", "u4"), ("size", "u4"), ("op", "u2"), ("family", "u2"), ("protocol", "u2"), ("truncated", "u1"),
    ("data", "u1", 128),
]  # fmt: skip
CAPABILITY_FIELDS: list[tuple[Any, ...]] = [("cap", "i4"), ("audit", "u1"), ("ns", "u1"), ("held", "u1")]

_V4 = struct.pack("<H2s4s8x", socket.AF_INET, b"\x01\xbb", bytes([10, 0, 3, 7]))
_V6 = struct.pack("<H2s4x16s4x", socket.AF_INET6, b"\x15\x38", socket.inet_pton(socket.AF_INET6, "2001:db8::5:1"))
_ABSTRACT = struct.pack("<H", socket.AF_UNIX) + b"\0\x1b]0;owned\x07\xff"
LIVES: tuple[tuple[tuple[int, dict[str, Any]], ...], ...] = (
    (
        (1, {"family": 2, "protocol": 6, "ret": 6, "argument": 0o2000001}),
        (2, {"family": 2, "level": 1, "optname": 2, "data": b"\1\0\0\0"}),
        (3, {"family": 2, "data": _V4}),
        (4, {"family": 2, "argument": 511}),
        (7, {"family": 2, "ret": 7, "accepted": 1, "argument": 0o4000, "data": _V4}),
        (7, {"family": 2, "ret": -11, "argument": 0o4000}),
        (9, {"family": 2}),
    ),
    (
        (1, {"family": 10, "protocol": 6, "ret": 6, "argument": 0o4001}),
        (2, {"family": 10, "level": 6, "optname": 1, "data": b"\1\0\0\0"}),
        (5, {"family": 10, "ret": -115, "data": _V6}),
        (8, {"family": 10, "argument": 1}),
        (9, {"family": 10}),
    ),
    (
        (1, {"family": 1, "ret": 6, "argument": 2}),
        (2, {"family": 1, "level": 1, "optname": 999, "data": b"\xde\xad"}),
        (3, {"family": 1, "data": _ABSTRACT}),
        (9, {"family": 1}),
    ),
)
"""Of a socket each: ops by their numbers with the fields that are not 0."""


def fill_sockets(batch: Batch) -> Batch:
    """Calls on one socket after the other, whole lives as far as the batch goes."""
    steps = [(number, op, more) for number, life in enumerate(LIVES * len(batch)) for op, more in life]
    for row, (number, op, more) in zip(batch, steps, strict=False):
        first = int(batch["ts"][0]) % 1_000_000_007 + 2 * number
        row["op"], row["socket"], row["fd"], row["ret"], row["latency_ns"] = op, first, 6, 0, 1000 + 37 * number
        for field, value in more.items():
            if field == "data":
                row["data"][: len(value)] = np.frombuffer(value, np.uint8)
                row["size"] = len(value)
            else:
                row[field] = first + 1 if field == "accepted" else value
    return batch


def fill_capabilities(batch: Batch, rng: np.random.Generator) -> Batch:
    """Questions, some of them answered with no."""
    count = len(batch)
    batch["cap"] = rng.choice([10, 21, 6, 7, 1, 63], count, p=[0.2, 0.5, 0.1, 0.1, 0.09, 0.01])
    batch["ret"] = rng.choice([0, -1], count, p=[0.8, 0.2])
    batch["audit"] = rng.choice([0, 1, 2], count, p=[0.5, 0.4, 0.1])
    batch["ns"] = rng.choice([0, 1, 2], count, p=[0.9, 0.08, 0.02])
    batch["held"] = batch["ret"] == 0
    return batch
