"""Smoke subsets: about so many examples, whole leak groups, every label in its share. Pure.

Rows keep the split that they have in the whole dataset. The choice depends on what the rows say and not on where they
stand; the same limit gives the same subset again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from finetune_assets.datasets.config import SplitConfig
from finetune_assets.datasets.splitting.assign import NOWHERE, SplitTable
from finetune_assets.datasets.splitting.leak_groups import components
from finetune_assets.datasets.splitting.strata import plain_strata, turn_of

SUBSET_VERSION = 2
"""Raised when the same limit gives another subset."""


def choose_subset(table: SplitTable, splits: Sequence[int], config: SplitConfig, limit: int) -> list[int]:
    """Return the items of a smoke subset, in ascending order.

    Leak groups stand in line by stratum (label and split), each stratum's groups in the order of a seeded hash and
    spread evenly over the line; those that still fit are taken from its front. A split that would get nothing gets its
    smallest group, as long as that takes a quarter of the rows at the most: a tuning job needs validation rows.

    Args:
        table: all items, with all their ties.
        splits: the split of each item in the whole dataset; items that are nowhere are not chosen.
        config: seed and stratification.
        limit: how many items to take.

    Returns:
        `limit` items where whole groups add up to it, else fewer; the first group alone where that is larger.
    """
    placed = [item for item in range(len(table.keys)) if splits[item] != NOWHERE]
    groups = components(len(table.keys), table.ties, without=set(range(len(table.keys))).difference(placed))
    members: dict[int, list[int]] = defaultdict(list)
    for item in placed:
        members[groups.find(item)].append(item)
    line = _line(table, splits, config, list(members.values()))
    taken = _front(line, limit)
    present = {splits[item] for item in taken}
    missing = [group for group in line if splits[group[0]] not in present]
    if missing:
        seeds = _smallest(missing, splits, limit // 4)
        taken = _front([*seeds, *(group for group in line if group not in seeds)], limit)
    return sorted(taken)


def _front(line: Sequence[list[int]], limit: int) -> list[int]:
    """Return the items of the groups that fit, from the front of the line."""
    taken: list[int] = []
    for group in line:
        if not taken or len(taken) + len(group) <= limit:
            taken.extend(group)
        if len(taken) >= limit:
            break
    return taken


def _smallest(line: Sequence[list[int]], splits: Sequence[int], most: int) -> list[list[int]]:
    """Return each split's smallest group, the first of equals, as long as all together have `most` items."""
    smallest: dict[int, list[int]] = {}
    for group in line:
        split = splits[group[0]]
        if split not in smallest or len(group) < len(smallest[split]):
            smallest[split] = group
    found: list[list[int]] = []
    for group in sorted(smallest.values(), key=len):
        if sum(map(len, found)) + len(group) <= most:
            found.append(group)
    return found


def _line(table: SplitTable, splits: Sequence[int], config: SplitConfig, groups: list[list[int]]) -> list[list[int]]:
    """Return the groups in the order in which they are taken."""
    strata: dict[tuple[str, int], list[tuple[bytes, list[int]]]] = defaultdict(list)
    names = plain_strata(table, config)
    for group in groups:
        stratum, turn = turn_of(names, table, config, group)
        strata[stratum, splits[group[0]]].append((turn, group))
    line: list[tuple[float, bytes, list[int]]] = []
    for entries in strata.values():
        total = sum(len(group) for _, group in entries)
        before = 0
        for turn, group in sorted(entries, key=lambda entry: entry[0]):
            # Somewhere within its own stretch of the line, or strata of a few rows would all come late.
            within = int.from_bytes(turn[8:12]) / (1 << 32)
            line.append(((before + len(group) * within) / total, turn, group))
            before += len(group)
    return [group for _, _, group in sorted(line, key=lambda entry: entry[:2])]
