"""Near-duplicates across splits: the closest pair, and those that should not be there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from finetune_assets.datasets.splitting.near_duplicates import LOWER, NearSearch


@dataclass(slots=True)
class Closest:
    """How alike rows of different splits are.

    Attributes:
        similarity: true Jaccard similarity of the closest pair; None where no pair is alike enough to be compared.
        pair: its positions.
        leaks: pairs at or above the threshold, as positions and similarity.
    """

    similarity: float | None = None
    pair: tuple[int, int] | None = None
    leaks: list[tuple[int, int, float]] = field(default_factory=list)

    def see(self, one: int, other: int, similarity: float, threshold: float) -> None:
        """Take a pair into account."""
        if self.similarity is None or similarity > self.similarity:
            self.similarity, self.pair = similarity, (one, other)
        if similarity >= threshold:
            self.leaks.append((one, other, similarity))


def closest_across(search: NearSearch, splits: Sequence[int] | bytes | bytearray) -> Closest:
    """Compare rows of different splits.

    Candidates share a band and are estimated at no more than 0.2 below the threshold; each is compared exactly.

    Args:
        search: over rows that all have a split.
        splits: the split's number by position.
    """
    import numpy as np

    where = np.frombuffer(bytes(splits), np.uint8)
    threshold = search.sketches.config.threshold
    found = Closest()
    for first, *others in search.equal:
        for other in others:
            if where[first] != where[other]:
                found.see(first, other, 1.0, threshold)

    camps = where[search.positions]
    for ones, those, similarities in search.compared(threshold - LOWER, lambda: camps):
        for pair in zip(ones.tolist(), those.tolist(), similarities.tolist(), strict=True):
            found.see(*pair, threshold)
    return found
