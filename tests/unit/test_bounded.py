"""What a cache keeps, and what goes."""

from __future__ import annotations

from ebtop.resolve.bounded import BoundedCache


def test_the_least_recently_used_go_first() -> None:
    cache: BoundedCache[str, int] = BoundedCache(10, 100)
    for number, key in enumerate("abcd"):
        cache.put(key, number, 30)
    assert cache.get("b") == 1
    cache.put("e", 4, 30)
    assert cache.values() == [3, 1, 4]
    assert cache.weight == 90


def test_what_alone_is_too_heavy_costs_the_others_nothing() -> None:
    cache: BoundedCache[str, int] = BoundedCache(10, 100)
    cache.put("a", 1, 30)
    cache.put("b", 2, 60)
    cache.put("b", 3, 101)
    assert cache.values() == [1]
    assert cache.weight == 30
