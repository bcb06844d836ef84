"""FrequentItems: counts of the items that recur, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class FrequentItems(Generic[T]):
    """Counts items; when there are too many different ones, the rarest are forgotten.

    The algorithm of Misra and Gries (Science of Computer Programming 2, 1982), in batches: an item's true count is at
    least `count` and at most `count + error`. An item that occurs more than `error` times is never forgotten.

    Args:
        capacity: most different items that are held.
    """

    def __init__(self, capacity: int = 500_000) -> None:
        self._capacity = capacity
        self._counts: dict[T, int] = {}
        self.error = 0

    def add(self, items: Iterable[T]) -> None:
        """Count each item once."""
        counts = self._counts
        for item in items:
            counts[item] = counts.get(item, 0) + 1
        while len(counts) > self._capacity:
            self.error += 1
            counts = {item: count - 1 for item, count in counts.items() if count > 1}
        self._counts = counts

    def count(self, item: T) -> int:
        """Return a lower bound of how often the item was counted."""
        return self._counts.get(item, 0)

    def most_common(self, at_least: int = 1) -> list[tuple[T, int]]:
        """Return items counted at least so often, most frequent first, equals by first occurrence."""
        found = [(item, count) for item, count in self._counts.items() if count >= at_least]
        return sorted(found, key=lambda entry: -entry[1])
