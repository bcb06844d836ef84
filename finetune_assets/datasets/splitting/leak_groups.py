"""Leak groups: which examples a split must keep together.

Items are tied through nodes: a declared group (`child_id=17`) is a node, and so is any pair that another detector
finds, such as near-duplicates. Equal content needs no tie, since equal content is one item.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class UnionFind:
    """Disjoint sets over 0…n-1, near-linear (union by size, path halving).

    Args:
        count: how many elements there are at first.
    """

    def __init__(self, count: int) -> None:
        self._parent = array("q", range(count))
        self._size = array("q", [1]) * count

    def __len__(self) -> int:
        return len(self._parent)

    def find(self, element: int) -> int:
        """Return the element that stands for the set of `element`."""
        parent = self._parent
        while parent[element] != element:
            parent[element] = parent[parent[element]]
            element = parent[element]
        return element

    def roots(self, count: int) -> NDArray[np.int64]:
        """Return the element that stands for the set of each of the first `count` elements."""
        import numpy as np

        parent = np.frombuffer(self._parent, np.int64)
        found = parent[:count]
        while not np.array_equal(above := parent[found], found):
            found = above
        return found.copy()

    def size(self, element: int) -> int:
        """Return how many elements the set of `element` has."""
        return self._size[self.find(element)]

    def large(self, elements: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        """Return for many elements at once which stands for their set, where it has more than `size`; -1 elsewhere."""
        import numpy as np

        parent = np.frombuffer(self._parent, np.int64)
        found = parent[elements]
        while not np.array_equal(above := parent[found], found):
            found = above
        held: NDArray[np.int64] = np.where(np.frombuffer(self._size, np.int64)[found] > size, found, -1)
        return held

    def union(self, one: int, other: int) -> int:
        """Make one set of two and return the element that stands for it."""
        one, other = self.find(one), self.find(other)
        if one == other:
            return one
        if self._size[one] < self._size[other]:
            one, other = other, one
        self._parent[other] = one
        self._size[one] += self._size[other]
        return one


class Ties:
    """Which items share which nodes, held as two columns of whole numbers.

    Items and nodes are numbered apart, each from 0. A near-duplicate detector adds a pair with `tie_pair`.
    """

    def __init__(self) -> None:
        self.items = array("q")
        self.nodes = array("q")
        self._names: dict[str, int] = {}
        self._numbered = 0
        self._node_count = 0

    @property
    def node_count(self) -> int:
        """How many nodes there are."""
        return self._node_count

    @property
    def group_count(self) -> int:
        """How many declared groups there are."""
        return len(self._names) + self._numbered

    def tie(self, item: int, group: str) -> None:
        """Tie an item to a declared group, named as `field=value`."""
        node = self._names.get(group)
        if node is None:
            node = self._names[group] = self._new_node()
        self._add(item, node)

    def tie_numbered(self, items: NDArray[np.int64], groups: NDArray[np.int32]) -> None:
        """Tie items to declared groups that are numbered instead of named, all at once and before any other tie.

        Args:
            items: an item for each tie.
            groups: its group, any whole number from 0.
        """
        import numpy as np

        _, nodes = np.unique(groups, return_inverse=True)
        self._numbered = self._node_count = int(nodes.max(initial=-1)) + 1
        self.items.frombytes(items.astype(np.int64).tobytes())
        self.nodes.frombytes(nodes.astype(np.int64).tobytes())

    def tie_pair(self, one: int, other: int) -> None:
        """Tie two items to each other."""
        node = self._new_node()
        self._add(one, node)
        self._add(other, node)

    def tie_pairs(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        """Tie many pairs, each as `tie_pair` does."""
        import numpy as np

        nodes = np.arange(self._node_count, self._node_count + len(one))
        self.items.frombytes(np.column_stack([one, other]).astype(np.int64).tobytes())
        self.nodes.frombytes(np.repeat(nodes, 2).astype(np.int64).tobytes())
        self._node_count += len(one)

    def tie_all(self, items: Iterable[int]) -> None:
        """Tie items that are all alike to each other."""
        node = self._new_node()
        for item in items:
            self._add(item, node)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.items, self.nodes, strict=True)

    def _new_node(self) -> int:
        self._node_count += 1
        return self._node_count - 1

    def _add(self, item: int, node: int) -> None:
        self.items.append(item)
        self.nodes.append(node)


def components(count: int, ties: Ties, *, without: Iterable[int] = ()) -> UnionFind:
    """Return the leak groups of items 0…count-1.

    Args:
        count: number of items.
        ties: what ties them.
        without: items that tie nothing, each its own group.

    Returns:
        A union-find whose elements 0…count-1 are the items and whose others are the nodes.
    """
    groups = UnionFind(count + ties.node_count)
    left_out = frozenset(without)
    for item, node in ties:
        if item not in left_out:
            groups.union(item, count + node)
    return groups
