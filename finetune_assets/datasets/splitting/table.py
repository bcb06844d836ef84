"""SplitTable: the items that a split is decided for, as columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from finetune_assets.datasets.splitting.keys import KeyColumn
from finetune_assets.datasets.splitting.leak_groups import Ties


@dataclass(slots=True)
class SplitTable:
    """The items to split, as columns of equal length.

    Attributes:
        keys: content keys (32 bytes each), no two equal.
        strata: the label of each item.
        evaluation_only: 1 for an item that may go to test only, else 0.
        official: bit mask of the splits that the source states for the item's rows, 0 for none.
        synthetic: 1 for an item that was made, not observed: it may go to training only.
        ties: which items share a leak group.
    """

    keys: KeyColumn = field(default_factory=KeyColumn)
    strata: list[str] = field(default_factory=list)
    evaluation_only: bytearray = field(default_factory=bytearray)
    official: bytearray = field(default_factory=bytearray)
    synthetic: bytearray = field(default_factory=bytearray)
    ties: Ties = field(default_factory=Ties)

    def add(
        self,
        key: bytes,
        stratum: str,
        *,
        evaluation_only: bool = False,
        official: int = 0,
        synthetic: bool = False,
        groups: Iterable[str] = (),
    ) -> int:
        """Add one item and return its number."""
        item = len(self.keys)
        self.keys.append(key)
        self.strata.append(stratum)
        self.evaluation_only.append(evaluation_only)
        self.official.append(official)
        self.synthetic.append(synthetic)
        for group in groups:
            self.ties.tie(item, group)
        return item
