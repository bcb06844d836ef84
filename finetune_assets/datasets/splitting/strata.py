"""Strata: within which rows the shares of a split are kept, and whose turn it is there. Pure.

A stratum is a label. One with few leak groups cannot be divided by shares: its first group goes to training, and where
every row has a label of its own, every row would. Such strata are pooled and divided together. Pooling looks at the
rows and not at their order, and decides for new leak groups only: what is assigned stays, whatever its stratum becomes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from finetune_assets.datasets.splitting.config import SplitConfig
from finetune_assets.datasets.splitting.table import SplitTable
from finetune_assets.records.example import SPLITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALL_STRATA = ""
"""The stratum of all rows where labels do not count, and of those whose label is too rare."""

# Shares become whole numbers, so that a tie between two deficits is a tie on every machine.
_SHARE_UNITS = 1_000_000
# A label with as many leak groups is divided by itself whatever the shares.
_LARGE = 10_000


@dataclass(frozen=True, slots=True)
class SmallStrata:
    """The strata that were pooled.

    Attributes:
        fewer_than: leak groups below which a stratum is pooled; 0 where none is.
        strata: how many were pooled.
        examples: their items.
    """

    fewer_than: int = 0
    strata: int = 0
    examples: int = 0


@dataclass(frozen=True, slots=True)
class Strata:
    """The stratum of each item, and which were pooled."""

    names: Sequence[str]
    small: SmallStrata = field(default_factory=SmallStrata)


class Shares:
    """Which split lacks most of its share.

    Args:
        config: the shares.
    """

    def __init__(self, config: SplitConfig) -> None:
        self._units = [round(config.shares[name] * _SHARE_UNITS) for name in SPLITS]
        self._open = [split for split, units in enumerate(self._units) if units]

    def next(self, held: Sequence[int], more: int) -> int:
        """Return the split's number for the next leak group.

        Args:
            held: items that each split holds.
            more: items of the leak group.
        """
        total = sum(held) + more
        lacking = [self._units[split] * total - held[split] * _SHARE_UNITS for split in self._open]
        # index() finds the first of equals: train before validation before test.
        return self._open[lacking.index(max(lacking))]

    def divisible_from(self) -> int:
        """Return how many rows it takes until each split with a share has one of them, 10,000 at most."""
        held = [0, 0, 0]
        for count in range(1, _LARGE):
            held[self.next(held, 1)] += 1
            if all(held[split] for split in self._open):
                return count
        return _LARGE


def plain_strata(table: SplitTable, config: SplitConfig) -> Sequence[str]:
    """Return the stratum of each item, rare or not."""
    return table.strata if config.stratify else [ALL_STRATA] * len(table.strata)


def pooled_strata(
    table: SplitTable, config: SplitConfig, roots: NDArray[np.int64], shared: bytes | bytearray
) -> Strata:
    """Return the stratum of each item, with the small ones pooled.

    Args:
        table: the items.
        config: shares and stratification.
        roots: the leak group of each item, as a whole number.
        shared: 1 for the items that strata are measured by, those that shares are kept of; else 0.
    """
    import numpy as np

    if not config.stratify:
        return Strata(plain_strata(table, config))
    numbers = {name: number for number, name in enumerate(dict.fromkeys(table.strata))}
    counts = np.frombuffer(shared, np.bool_)
    of_item = np.fromiter(map(numbers.__getitem__, table.strata), np.int32, len(table.strata))[counts]
    # Each leak group counts once in each stratum that it has items of.
    pairs = roots[counts]
    pairs *= max(len(numbers), 1)
    pairs += of_item
    pairs.sort()
    first = np.append(True, pairs[1:] != pairs[:-1])[: len(pairs)]
    groups = np.bincount(pairs[first] % max(len(numbers), 1), minlength=len(numbers))
    least = Shares(config).divisible_from()
    is_small = (groups > 0) & (groups < least)
    if not is_small.any():
        return Strata(table.strata, SmallStrata(fewer_than=least))
    small = {name for name, number in numbers.items() if is_small[number]}
    held = int(is_small[of_item].sum())
    names = [ALL_STRATA if name in small else name for name in table.strata]
    return Strata(names, SmallStrata(least, len(small), held))


def turn_of(strata: Sequence[str], table: SplitTable, config: SplitConfig, group: Sequence[int]) -> tuple[str, bytes]:
    """Return a group's stratum (its most frequent label, the first by name among equals) and its place in the order."""
    if len(group) == 1:
        return strata[group[0]], _place(config, table.keys[group[0]])
    labels = Counter(strata[item] for item in group)
    most = max(labels.values())
    stratum = min(label for label, count in labels.items() if count == most)
    return stratum, _place(config, min(table.keys[item] for item in group))


def _place(config: SplitConfig, component_id: bytes) -> bytes:
    return hashlib.sha256(f"{config.seed}:{component_id.hex()}".encode()).digest()
