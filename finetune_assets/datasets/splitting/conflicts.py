"""Conflicts of a split: which items are set aside where one leak group would hold two splits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from finetune_assets.datasets.splitting.leak_groups import Ties

if TYPE_CHECKING:
    from finetune_assets.datasets.splitting.table import SplitTable

SetAside = Literal["would_tie_splits", "tied_across_splits", "synthetic_tied_to_evaluation"]

# Comes after every mask of one split.
_UNDECIDED = 8


def settle(
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
    # Evaluation-only or synthetic now, but on the other side before: it can be in neither.
    aside: dict[int, SetAside] = {item: _reason(table, item) for item in old if wanted[item] not in (1, 2, 4)}
    old = [item for item in old if item not in aside]
    groups = _Tagged()
    # Nearest to training first. An item set aside ties nothing, so what hangs on it alone keeps its place, now and in
    # every later version.
    for item in sorted(old, key=lambda number: (table.synthetic[number], wanted[number], table.keys[number])):
        if _mask_of(groups, nodes[item], wanted[item]) == wanted[item]:
            groups.join(item, nodes[item], wanted[item])
        else:
            aside[item] = _reason(table, item)
    new = [item for item in members if table.keys[item] not in previous]
    for item in sorted(new, key=lambda number: (wanted[number] or _UNDECIDED, table.keys[number])):
        if _mask_of(groups, nodes[item], wanted[item]) in (0, 1, 2, 4):
            groups.join(item, nodes[item], wanted[item])
        else:
            aside[item] = "would_tie_splits"
    return aside


def _reason(table: SplitTable, item: int) -> SetAside:
    return "synthetic_tied_to_evaluation" if table.synthetic[item] else "tied_across_splits"


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
