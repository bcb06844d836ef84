"""Balancing: labels with very many training rows lose some of them, chosen by a seeded hash.

Nothing is cut down to the smallest label: that would throw most rows away. Validation and test keep their natural
shares.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from finetune_assets.datasets.selection_config import BalanceConfig
from finetune_assets.datasets.splitting.assign import NOWHERE, TRAIN, SplitTable

BALANCED_AWAY = "balanced_away"
"""The quarantine reason of a training row that balancing leaves out."""


def cut_to_balance(table: SplitTable, splits: bytearray, config: BalanceConfig) -> list[int]:
    """Take training rows of overfull labels out of `splits`.

    The rows with the smallest hash of seed and content stay: a choice that depends on neither the order of the rows nor
    on the other labels, and changes little when rows are added. Their assignments stand, so that no row moves later.

    Args:
        table: the items.
        splits: the split of each item; rows cut become NOWHERE.
        config: the limit and the seed.

    Returns:
        The items cut, in ascending order.
    """
    if config.max_per_class is None:
        return []
    by_label: dict[str, list[int]] = defaultdict(list)
    for item, split in enumerate(splits):
        if split == TRAIN:
            by_label[table.strata[item]].append(item)
    cut: list[int] = []
    for items in by_label.values():
        if len(items) > config.max_per_class:
            ranked = sorted(items, key=lambda item: _rank(table.keys, item, config.seed))
            cut.extend(ranked[config.max_per_class :])
    for item in cut:
        splits[item] = NOWHERE
    return sorted(cut)


def _rank(keys: Sequence[bytes], item: int, seed: int) -> bytes:
    return hashlib.sha256(f"balance:{seed}:".encode() + keys[item]).digest()
