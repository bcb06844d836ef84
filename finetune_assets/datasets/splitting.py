"""Splitting: which example goes to train, validation or test. Pure: columns in, assignments out.

Laws (each has a test):

- a leak group is never cut;
- an item once in a split stays in it, or is set aside with a reason, and its assignment is remembered when it vanishes;
- the result depends on the items, not on their order;
- `split(X, previous=split(X, p)) == split(X, p)`;
- every item is either in exactly one split or set aside.

New leak groups are dealt out stratum by stratum, in the order of `sha256(seed, component id)`, each to the split that
lacks most of its share. Earlier assignments come first: a group with one earlier split follows it; in a group with
several, old items come first, those nearest to training before the others, and then new ones, each in the order of
its key; an item that would tie two splits is set aside.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from finetune_assets.datasets.config import SplitConfig
from finetune_assets.datasets.leak_groups import Ties, UnionFind, components
from finetune_assets.records.example import SPLITS

SetAside = Literal["would_tie_splits", "tied_across_splits"]

TRAIN, VALIDATION, TEST, NOWHERE = range(4)
_ALL_STRATA = ""
# Shares become whole numbers, so that a tie between two deficits is a tie on every machine.
_SHARE_UNITS = 1_000_000


@dataclass(slots=True)
class SplitTable:
    """The items to split, as columns of equal length.

    Attributes:
        keys: content keys (32 bytes each), no two equal.
        strata: the label of each item.
        evaluation_only: 1 for an item that may go to test only, else 0.
        ties: which items share a leak group.
    """

    keys: list[bytes] = field(default_factory=list)
    strata: list[str] = field(default_factory=list)
    evaluation_only: bytearray = field(default_factory=bytearray)
    ties: Ties = field(default_factory=Ties)

    def add(self, key: bytes, stratum: str, *, evaluation_only: bool = False, groups: Iterable[str] = ()) -> int:
        """Add one item and return its number."""
        item = len(self.keys)
        self.keys.append(key)
        self.strata.append(stratum)
        self.evaluation_only.append(evaluation_only)
        for group in groups:
            self.ties.tie(item, group)
        return item


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
    groups = components(count, table.ties)
    wanted = bytearray(_wanted(table, item, previous) for item in range(count))
    masks = _masks(groups, wanted)
    troubled = {root for root, mask in masks.items() if mask not in (0, 1, 2, 4)}
    set_aside: dict[int, SetAside] = {}
    if troubled:
        members = [item for item in range(count) if groups.find(item) in troubled]
        set_aside = _settle(table, members, wanted, previous)
        groups = components(count, table.ties, without=set_aside)
        for item in set_aside:
            wanted[item] = 0
        masks = _masks(groups, wanted)

    splits = bytearray([NOWHERE]) * count
    new: dict[int, list[int]] = defaultdict(list)
    for item in range(count):
        if item in set_aside:
            continue
        root = groups.find(item)
        if masks[root]:
            splits[item] = masks[root].bit_length() - 1
        else:
            new[root].append(item)
    _deal(table, config, list(new.values()), splits)
    return SplitResult(splits=splits, set_aside=set_aside)


def _wanted(table: SplitTable, item: int, previous: Mapping[bytes, int]) -> int:
    """Return the splits that the item must be in, as a bit mask: none, one, or two that contradict each other."""
    earlier = previous.get(table.keys[item])
    mask = 0 if earlier is None else 1 << earlier
    return mask | 1 << TEST if table.evaluation_only[item] else mask


def _masks(groups: UnionFind, wanted: Sequence[int]) -> dict[int, int]:
    masks: dict[int, int] = defaultdict(int)
    for item, mask in enumerate(wanted):
        masks[groups.find(item)] |= mask
    return masks


def _settle(
    table: SplitTable, members: list[int], wanted: Sequence[int], previous: Mapping[bytes, int]
) -> dict[int, SetAside]:
    """Choose the items to set aside, so that no leak group holds two splits.

    Args:
        table: all items.
        members: the items of the leak groups that hold several splits, in any order.
        wanted: bit mask of the splits that each item must be in.
        previous: earlier assignments.

    Returns:
        The reason by item.
    """
    nodes = _nodes_of(table.ties, members)
    old = [item for item in members if table.keys[item] in previous]
    # Evaluation-only now, but in training before: it can be in neither.
    aside: dict[int, SetAside] = {item: "tied_across_splits" for item in old if wanted[item] not in (1, 2, 4)}
    old = [item for item in old if item not in aside]
    groups = _Tagged()
    # Nearest to training first. An item set aside ties nothing, so what hangs on it alone keeps its place, now and in
    # every later version.
    for item in sorted(old, key=lambda number: (wanted[number], table.keys[number])):
        if _mask_of(groups, nodes[item], wanted[item]) == wanted[item]:
            groups.join(item, nodes[item], wanted[item])
        else:
            aside[item] = "tied_across_splits"
    new = [item for item in members if table.keys[item] not in previous]
    for item in sorted(new, key=lambda number: table.keys[number]):
        if _mask_of(groups, nodes[item], wanted[item]) in (0, 1, 2, 4):
            groups.join(item, nodes[item], wanted[item])
        else:
            aside[item] = "would_tie_splits"
    return aside


def _mask_of(groups: _Tagged, nodes: Iterable[int], wanted: int) -> int:
    """Return the splits of an item's nodes together with those that it must be in itself."""
    mask = wanted
    for node in nodes:
        mask |= groups.node_mask(node)
    return mask


def _nodes_of(ties: Ties, members: list[int]) -> dict[int, list[int]]:
    nodes: dict[int, list[int]] = {item: [] for item in members}
    for item, node in ties:
        if item in nodes:
            nodes[item].append(node)
    return nodes


class _Tagged:
    """Groups that grow item by item, each with the bit mask of its splits."""

    def __init__(self) -> None:
        self._parent: dict[tuple[str, int], tuple[str, int]] = {}
        self._mask: dict[tuple[str, int], int] = {}

    def join(self, item: int, nodes: Iterable[int], mask: int) -> None:
        """Add an item, joining the groups of its nodes."""
        root = self._find(("item", item))
        self._mask[root] |= mask
        for node in nodes:
            other = self._find(("node", node))
            if other != root:
                self._parent[other] = root
                self._mask[root] |= self._mask[other]

    def node_mask(self, node: int) -> int:
        """Return the splits of the node's group."""
        return self._mask[self._find(("node", node))]

    def _find(self, element: tuple[str, int]) -> tuple[str, int]:
        if element not in self._parent:
            self._parent[element] = element
            self._mask[element] = 0
        while self._parent[element] != element:
            self._parent[element] = self._parent[self._parent[element]]
            element = self._parent[element]
        return element


def _deal(table: SplitTable, config: SplitConfig, new: list[list[int]], splits: bytearray) -> None:
    """Deal out new leak groups, stratum by stratum, writing into `splits`."""
    units = [round(config.shares[name] * _SHARE_UNITS) for name in SPLITS]
    open_splits = [split for split in (TRAIN, VALIDATION, TEST) if units[split]]
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for item, split in enumerate(splits):
        # Evaluation-only rows come on top of the shares, or their stratum would have no other test row.
        if split != NOWHERE and not table.evaluation_only[item]:
            counts[_stratum(table, config, item)][split] += 1

    queue = [(*_turn(table, config, group), group) for group in new]
    queue.sort(key=lambda entry: entry[:2])
    for stratum, _, group in queue:
        held = counts[stratum]
        total = sum(held) + len(group)
        # max() keeps the first of equals: train before validation before test.
        chosen = max(open_splits, key=lambda split: units[split] * total - held[split] * _SHARE_UNITS)
        for item in group:
            splits[item] = chosen
            counts[_stratum(table, config, item)][chosen] += 1


def _stratum(table: SplitTable, config: SplitConfig, item: int) -> str:
    return table.strata[item] if config.stratify else _ALL_STRATA


def _turn(table: SplitTable, config: SplitConfig, group: list[int]) -> tuple[str, bytes]:
    """Return a group's stratum (its most frequent label, the first by name among equals) and its place in the order."""
    labels = Counter(_stratum(table, config, item) for item in group)
    most = max(labels.values())
    stratum = min(label for label, count in labels.items() if count == most)
    component_id = min(table.keys[item] for item in group).hex()
    return stratum, hashlib.sha256(f"{config.seed}:{component_id}".encode()).digest()
