"""Splitting: which example goes to train, validation or test. Pure: columns in, assignments out.

Laws (each has a test):

- a leak group is never cut;
- an item once in a split stays in it, or is set aside with a reason, and its assignment is remembered when it vanishes;
- the result depends on the items, not on their order;
- `split(X, previous=split(X, p)) == split(X, p)`;
- every item is either in exactly one split or set aside.

New leak groups are dealt out stratum by stratum, in the order of `sha256(seed, component id)`, each to the split that
lacks most of its share. Earlier assignments come first: a group with one earlier split follows it; in a group with
several, old items come first, those nearest to training before the others, and then new ones, those with an official
split first, each in the order of its key; an item that would tie two splits is set aside.

Synthetic items decide nothing for observed ones: new ones come last, go to training, and are set aside where they
share a leak group with an evaluation item.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from finetune_assets.datasets.config import SplitConfig
from finetune_assets.datasets.splitting.conflicts import SetAside as SetAside
from finetune_assets.datasets.splitting.conflicts import settle
from finetune_assets.datasets.splitting.leak_groups import UnionFind, components
from finetune_assets.datasets.splitting.table import SplitTable as SplitTable
from finetune_assets.records.example import SPLITS

TRAIN, VALIDATION, TEST, NOWHERE = range(4)
_ALL_STRATA = ""
# Shares become whole numbers, so that a tie between two deficits is a tie on every machine.
_SHARE_UNITS = 1_000_000


@dataclass(frozen=True, slots=True)
class SplitResult:
    """Where each item went.

    Attributes:
        splits: the split's number by item: 0 train, 1 validation, 2 test, 3 nowhere (set aside).
        set_aside: the reason by item.
    """

    splits: bytearray
    set_aside: dict[int, SetAside]

    def assignments(self, table: SplitTable, previous: Mapping[bytes, int]) -> dict[bytes, int]:
        """Return what the next version must remember: this split, and earlier assignments of all other keys."""
        found = dict(previous)
        for key, split in zip(table.keys, self.splits, strict=True):
            if split != NOWHERE:
                found[key] = split
        return found


def assign_splits(table: SplitTable, config: SplitConfig, previous: Mapping[bytes, int]) -> SplitResult:
    """Assign every item of the table.

    Args:
        table: the items.
        config: shares, seed, stratification.
        previous: earlier assignments, content key to split number. Keys that the table lacks are ignored.

    Returns:
        Each item's split, or the reason why it has none.
    """
    count = len(table.keys)
    wanted = bytearray(_wanted(table, config, item, previous) for item in range(count))
    last = {item for item in range(count) if table.synthetic[item] and table.keys[item] not in previous}
    groups = components(count, table.ties, without=last)
    masks = _masks(groups, wanted)
    troubled = {root for root, mask in masks.items() if mask not in (0, 1, 2, 4)}
    set_aside: dict[int, SetAside] = {}
    if troubled:
        members = [item for item in range(count) if groups.find(item) in troubled and item not in last]
        set_aside = settle(table, members, wanted, previous)
        groups = components(count, table.ties, without=last.union(set_aside))
        for item in set_aside:
            wanted[item] = 0
        masks = _masks(groups, wanted)

    splits = bytearray([NOWHERE]) * count
    new: dict[int, list[int]] = defaultdict(list)
    for item in range(count):
        if item in set_aside or item in last:
            continue
        root = groups.find(item)
        if masks[root]:
            splits[item] = masks[root].bit_length() - 1
        else:
            new[root].append(item)
    _deal(table, config, list(new.values()), splits)
    _train_on_synthetic(table, last, splits, set_aside)
    return SplitResult(splits=splits, set_aside=set_aside)


def _wanted(table: SplitTable, config: SplitConfig, item: int, previous: Mapping[bytes, int]) -> int:
    """Return the splits that the item must be in, as a bit mask: none, one, or two that contradict each other."""
    earlier = previous.get(table.keys[item])
    if table.synthetic[item]:
        # New ones are placed last, by themselves.
        return 0 if earlier is None else 1 << earlier | 1 << TRAIN
    mask = 0 if earlier is None else 1 << earlier
    if table.evaluation_only[item]:
        return mask | 1 << TEST
    if not mask and config.official and config.official.use == "honour":
        # Rows with one content and several official splits: training keeps it.
        mask = table.official[item] & -table.official[item]
    return mask


def _train_on_synthetic(
    table: SplitTable, last: Collection[int], splits: bytearray, set_aside: dict[int, SetAside]
) -> None:
    """Put new synthetic items into training, but for those that share a node with an evaluation item."""
    if not last:
        return
    judged = bytearray(table.ties.node_count)
    for item, node in table.ties:
        if splits[item] in (VALIDATION, TEST):
            judged[node] = 1
    for item in last:
        splits[item] = TRAIN
    for item, node in table.ties:
        if item in last and judged[node]:
            splits[item] = NOWHERE
            set_aside[item] = "synthetic_tied_to_evaluation"


def _masks(groups: UnionFind, wanted: Sequence[int]) -> dict[int, int]:
    masks: dict[int, int] = defaultdict(int)
    for item, mask in enumerate(wanted):
        masks[groups.find(item)] |= mask
    return masks


def _deal(table: SplitTable, config: SplitConfig, new: list[list[int]], splits: bytearray) -> None:
    """Deal out new leak groups, stratum by stratum, writing into `splits`."""
    units = [round(config.shares[name] * _SHARE_UNITS) for name in SPLITS]
    open_splits = [split for split in (TRAIN, VALIDATION, TEST) if units[split]]
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for item, split in enumerate(splits):
        # Evaluation-only rows come on top of the shares, or their stratum would have no other test row; and synthetic
        # ones, or each would send an observed row to the evaluation.
        if split != NOWHERE and not table.evaluation_only[item] and not table.synthetic[item]:
            counts[_stratum(table, config, item)][split] += 1

    queue = [(*turn_of(table, config, group), group) for group in new]
    queue.sort(key=lambda entry: entry[:2])
    for stratum, _, group in queue:
        held = counts[stratum]
        total = sum(held) + len(group)
        lacking = [units[split] * total - held[split] * _SHARE_UNITS for split in open_splits]
        # index() finds the first of equals: train before validation before test.
        chosen = open_splits[lacking.index(max(lacking))]
        for item in group:
            splits[item] = chosen
            counts[_stratum(table, config, item)][chosen] += 1


def _stratum(table: SplitTable, config: SplitConfig, item: int) -> str:
    return table.strata[item] if config.stratify else _ALL_STRATA


def turn_of(table: SplitTable, config: SplitConfig, group: list[int]) -> tuple[str, bytes]:
    """Return a group's stratum (its most frequent label, the first by name among equals) and its place in the order."""
    if len(group) == 1:
        return _stratum(table, config, group[0]), _place(config, table.keys[group[0]])
    labels = Counter(_stratum(table, config, item) for item in group)
    most = max(labels.values())
    stratum = min(label for label, count in labels.items() if count == most)
    return stratum, _place(config, min(table.keys[item] for item in group))


def _place(config: SplitConfig, component_id: bytes) -> bytes:
    return hashlib.sha256(f"{config.seed}:{component_id.hex()}".encode()).digest()
