"""Memory that is used again only when nobody looks at it any more."""

from __future__ import annotations

import gc

import numpy as np

from ebtop.source.rooms import Rooms

SIZE = 5 << 20


def address(view: memoryview) -> int:
    return int(np.frombuffer(view, np.uint8).__array_interface__["data"][0])


def test_what_is_free_is_given_again() -> None:
    rooms = Rooms()
    first = rooms.take(SIZE)
    assert len(first) == SIZE
    at = address(first)
    del first
    assert address(rooms.take(SIZE - 1000)) == at


def test_what_any_view_holds_is_not() -> None:
    rooms = Rooms()
    room = rooms.take(SIZE)
    room[100:108] = b"12345678"
    at, view = address(room), np.frombuffer(room.toreadonly()[96:4096], "<u8")[1:3]
    del room
    gc.collect()
    others = [rooms.take(SIZE) for _ in range(5)]
    assert at not in {address(other) for other in others}
    for other in others:
        other[:] = b"x" * SIZE
    assert view[:1].tobytes() == b"5678\0\0\0\0"
    del view
    assert address(rooms.take(SIZE)) == at


def test_a_larger_one_does_not_fit() -> None:
    rooms = Rooms()
    small = rooms.take(SIZE)
    at = address(small)
    del small
    assert address(rooms.take(2 * SIZE)) != at
    assert len(rooms.take(100 << 20)) == 100 << 20
    assert len(rooms.take(8)) == 8


def test_spare_memory_is_bounded_and_given_back_after_a_while() -> None:
    rooms = Rooms(spare=12 << 20)
    held = [rooms.take(SIZE) for _ in range(4)]
    del held
    assert sum(map(len, rooms._free)) == 12 << 20
    rooms._used -= Rooms.KEPT_S + 1
    rooms.take(8)
    assert rooms._free == []
