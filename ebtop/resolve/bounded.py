"""A least-recently-used cache that is bounded both in entries and in what the entries weigh."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """At most `count` entries that weigh at most `weight` bytes together; the least recently used go first."""

    def __init__(self, count: int, weight: int = 1 << 62) -> None:
        self._count = count
        self._limit = weight
        self._weight = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, now the most recently used one; None when it is not (or no longer) there."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Keep a value; others may go for it. One that alone is too heavy is not kept, and they stay."""
        self.drop(key)
        if weight > self._limit:
            return
        self._entries[key] = (value, weight)
        self._weight += weight
        while self._entries and (len(self._entries) > self._count or self._weight > self._limit):
            _, (_, gone) = self._entries.popitem(last=False)
            self._weight -= gone

    def drop(self, key: K) -> None:
        """Forget a key, if it is there."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._weight -= entry[1]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._weight = 0

    def values(self) -> list[V]:
        """All values, the least recently used first."""
        return [value for value, _ in self._entries.values()]

    @property
    def weight(self) -> int:
        """What all entries weigh together."""
        return self._weight

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries
