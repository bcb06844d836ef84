"""Leaks between the official splits of a source: what stands in more than one of them as it was given.

Counted whether the official splits are honoured or overruled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from finetune_assets.datasets.splitting.assign import SplitTable
from finetune_assets.datasets.splitting.config import OfficialSplitConfig
from finetune_assets.datasets.splitting.near_duplicates import NearPairs
from finetune_assets.records.example import SPLITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def official_mask(value: Any, config: OfficialSplitConfig) -> int:
    """Return the split that a row's field names, as a bit mask; 0 where it names none."""
    split = config.names.get(str(value).strip().lower()) if value is not None else None
    return 0 if split is None else 1 << SPLITS.index(split)


@dataclass(frozen=True, slots=True)
class OfficialLeaks:
    """What stands in several official splits.

    Attributes:
        rows: rows by the official split that they state; rows that state none are under `none`.
        keys: equal questions, all rows counted, those in conflict too.
        groups: declared groups among the kept rows.
        near_pairs: pairs of near-duplicates among the kept rows whose official splits share nothing.
    """

    rows: dict[str, int]
    keys: int
    groups: int
    near_pairs: int

    def to_json(self, config: OfficialSplitConfig) -> dict[str, Any]:
        """Return the counts with what was done about them."""
        return {"field": config.field, "use": config.use, **asdict(self)}


def official_leaks(
    masks_of_rows: bytes | bytearray,
    key_of: Iterable[int],
    table: SplitTable,
    pairs: NearPairs,
    order: NDArray[np.int64] | None,
) -> OfficialLeaks:
    """Count the leaks between official splits.

    Args:
        masks_of_rows: the official split of every row, as a bit mask.
        key_of: the number of its content key, by row.
        table: the kept rows as items.
        pairs: near-duplicates among the items.
        order: the item at each position of the pairs.
    """
    by_key: dict[int, int] = {}
    counts = dict.fromkeys((*SPLITS, "none"), 0)
    for mask, key in zip(masks_of_rows, key_of, strict=True):
        counts[_name(mask)] += 1
        if mask:
            by_key[key] = by_key.get(key, 0) | mask
    by_node: dict[int, int] = {}
    for item, node in table.ties:
        if node < table.ties.group_count and table.official[item]:
            by_node[node] = by_node.get(node, 0) | table.official[item]
    near = 0
    if order is not None:
        for one, other, _ in pairs:
            masks = table.official[int(order[one])], table.official[int(order[other])]
            near += bool(all(masks) and not masks[0] & masks[1])
    return OfficialLeaks(rows=counts, keys=_several(by_key), groups=_several(by_node), near_pairs=near)


def _name(mask: int) -> str:
    return SPLITS[mask.bit_length() - 1] if mask else "none"


def _several(masks: Mapping[int, int]) -> int:
    return sum(mask & (mask - 1) > 0 for mask in masks.values())
