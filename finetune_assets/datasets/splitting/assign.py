"""Splitting: which example goes to train, validation or test. Pure: columns in, assignments out.

Laws (each has a test):

- a leak group is never cut;
- an item once in a split stays in it, or is set aside with a reason, and its assignment is remembered when it vanishes;
- the result depends on the items, not on their order;
- `split(X, previous=split(X, p)) == split(X, p)`;
- every item is either in exactly one split or set aside.

New leak groups are dealt out stratum by stratum (which those are, `strata` says), in the order of
`sha256(seed, component id)`, each to the split that lacks most of its share. Earlier assignments come first: a group
with one earlier split follows it; in a group with several, old items come first, those nearest to training before the
others, and then new ones, those with an official split first, each in the order of its key; an item that would tie two
splits is set aside.

Synthetic items decide nothing for observed ones: new ones come last, go to training, and are set aside where they
share a leak group with an evaluation item.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from finetune_assets.datasets.config import SplitConfig
from finetune_assets.datasets.splitting.conflicts import SetAside as SetAside
from finetune_assets.datasets.splitting.conflicts import settle
from finetune_assets.datasets.splitting.keys import ordered
from finetune_assets.datasets.splitting.leak_groups import UnionFind, components
from finetune_assets.datasets.splitting.strata import Shares, SmallStrata, Strata, pooled_strata, turn_of
from finetune_assets.datasets.splitting.table import SplitTable as SplitTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRAIN, VALIDATION, TEST, NOWHERE = range(4)
_PLACE_BYTES = 32


@dataclass(frozen=True, slots=True)
class SplitResult:
    """Where each item went.

    Attributes:
        splits: the split's number by item: 0 train, 1 validation, 2 test, 3 nowhere (set aside).
        set_aside: the reason by item.
        small: the strata that were too small to be divided by themselves.
    """

    splits: bytearray
    set_aside: dict[int, SetAside]
    small: SmallStrata = field(default_factory=SmallStrata)

    def assignments(self, table: SplitTable, previous: Mapping[bytes, int]) -> Iterator[tuple[bytes, int]]:
        """Yield what the next version must remember, in the order of the keys: key and split.

        That is this split, and earlier assignments of all other keys.
        """
        order = array("q", table.keys.order().tobytes())
        items = (item for item in order if self.splits[item] != NOWHERE)
        here = ((table.keys[item], self.splits[item]) for item in items)
        # Of one key in both, what is said here comes first.
        for _, said in groupby(merge(here, sorted(previous.items()), key=itemgetter(0)), key=itemgetter(0)):
            yield next(said)


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
    wanted = bytearray(_wanted(table, config, item, previous) for item in _stated(table, config, previous))
    wanted = wanted or bytearray(count)
    last = {item for item in range(count) if table.synthetic[item] and table.keys[item] not in previous}
    groups = components(count, table.ties, without=last)
    masks = _masks(groups, wanted)
    set_aside: dict[int, SetAside] = {}
    if any(mask not in (0, 1, 2, 4) for mask in masks):
        members = [item for item in range(count) if masks[groups.find(item)] not in (0, 1, 2, 4) and item not in last]
        set_aside = settle(table, members, wanted, previous)
        groups = components(count, table.ties, without=last.union(set_aside))
        for item in set_aside:
            wanted[item] = 0
        masks = _masks(groups, wanted)

    roots = groups.roots(count)
    del groups
    splits, new = _placed(masks, roots, [*set_aside, *last])
    shared = _shared(table, set_aside)
    strata = pooled_strata(table, config, roots, shared)
    del roots
    _deal(table, config, strata, new, shared, splits)
    _train_on_synthetic(table, last, splits, set_aside)
    return SplitResult(splits=splits, set_aside=set_aside, small=strata.small)


def _shared(table: SplitTable, set_aside: Collection[int]) -> bytearray:
    """Return 1 for each item that the shares are kept of, else 0.

    Evaluation-only rows come on top, or their stratum would have no other test row; and synthetic ones, or each would
    send an observed row to the evaluation.
    """
    import numpy as np

    on_top = np.frombuffer(bytes(table.evaluation_only), np.uint8) | np.frombuffer(bytes(table.synthetic), np.uint8)
    shared = bytearray((on_top == 0).tobytes())
    for item in set_aside:
        shared[item] = 0
    return shared


def _stated(table: SplitTable, config: SplitConfig, previous: Mapping[bytes, int]) -> range:
    """Return the items that may have to be somewhere: all of them, or none."""
    honoured = bool(config.official and config.official.use == "honour") and any(table.official)
    return range(len(table.keys) if previous or honoured or any(table.evaluation_only) else 0)


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


def _placed(masks: bytearray, roots: NDArray[np.int64], left_out: Sequence[int]) -> tuple[bytearray, Groups]:
    """Return the split of every item whose leak group has one already, and the leak groups that have none."""
    import numpy as np

    held = np.frombuffer(bytes(masks), np.uint8)[roots]
    splits = np.array([NOWHERE, TRAIN, VALIDATION, NOWHERE, TEST], np.uint8)[held]
    is_new = held == 0
    splits[left_out] = NOWHERE
    is_new[left_out] = False
    return bytearray(splits.tobytes()), Groups.of(np.flatnonzero(is_new), roots)


def _masks(groups: UnionFind, wanted: Sequence[int]) -> bytearray:
    """Return the splits of each leak group as a bit mask, by the element that stands for it."""
    masks = bytearray(len(groups))
    for item, mask in enumerate(wanted):
        if mask:
            masks[groups.find(item)] |= mask
    return masks


class Groups:
    """Leak groups as one column of items, those of a group next to each other.

    Args:
        items: the items.
        begins: where each group begins; one more for the end.
    """

    def __init__(self, items: Sequence[int], begins: Sequence[int]) -> None:
        self._items = items
        self._begins = begins

    @classmethod
    def of(cls, items: NDArray[np.int64], roots: NDArray[np.int64]) -> Groups:
        """Return the groups of items whose `roots` are equal."""
        import numpy as np

        items = items[np.argsort(roots[items], kind="stable")]
        held = roots[items]
        begins = np.flatnonzero(np.append(True, held[1:] != held[:-1])[: len(held)])
        return cls(_column(items), _column(np.append(begins, len(held))))

    def __len__(self) -> int:
        return len(self._begins) - 1

    def __getitem__(self, number: int) -> Sequence[int]:
        """Return the items of a group."""
        return self._items[self._begins[number] : self._begins[number + 1]]

    def __iter__(self) -> Iterator[Sequence[int]]:
        return (self[number] for number in range(len(self)))


def _column(numbers: NDArray[np.int64]) -> array[int]:
    found = array("q")
    found.frombytes(numbers.astype("i8").tobytes())
    return found


def _deal(
    table: SplitTable, config: SplitConfig, strata: Strata, new: Groups, shared: bytearray, splits: bytearray
) -> None:
    """Deal out new leak groups, stratum by stratum, writing into `splits`.

    Args:
        table: the items.
        config: shares and seed.
        strata: the stratum of each item.
        new: the leak groups to deal out.
        shared: 1 for the items that shares are kept of.
        splits: where the items are so far.
    """
    counts: dict[str, list[int]] = {name: [0, 0, 0] for name in strata.names}
    for item, split in enumerate(splits):
        if split != NOWHERE and shared[item]:
            counts[strata.names[item]][split] += 1
    ranks = {name: rank for rank, name in enumerate(sorted(counts))}
    names = sorted(counts)
    stratum_of, places = array("q"), bytearray()
    for group in new:
        name, place = turn_of(strata.names, table, config, group)
        stratum_of.append(ranks[name])
        places += place
    shares = Shares(config)
    for number in ordered(places, _PLACE_BYTES, within=stratum_of):
        group = new[number]
        chosen = shares.next(counts[names[stratum_of[number]]], len(group))
        for item in group:
            splits[item] = chosen
            counts[strata.names[item]][chosen] += 1
