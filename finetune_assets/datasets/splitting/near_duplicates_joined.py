"""Joined: which rows a search has connected already, so that boilerplate is not compared with all of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finetune_assets.datasets.splitting.leak_groups import UnionFind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

_LARGE_GROUP = 64
_IN_VAIN_SHARE = 16


class Joined:
    """Which rows are connected already.

    Args:
        count: of all positions.
        positions: of those that are searched.
    """

    def __init__(self, count: int, positions: Rows) -> None:
        self._groups = UnionFind(count)
        self._positions = positions
        self._camps: Rows | None = None
        self._changed = False
        self._in_vain = 0

    def join(self, one: int, other: int) -> bool:
        """Connect two positions; False where both stand in one large group already."""
        groups = self._groups
        if (root := groups.find(one)) == groups.find(other):
            return groups.size(root) <= _LARGE_GROUP
        self._changed = True
        groups.union(one, other)
        return True

    def camps(self) -> Rows | None:
        """Return a number for each searched row, equal within a large group.

        Seldom the newest numbers, since making them takes time; what they let through in vain is counted, and newer
        ones are made when those would have been the cheaper way.
        """
        import numpy as np

        if self._changed and self._in_vain >= len(self._positions) // _IN_VAIN_SHARE:
            self._changed, self._in_vain = False, 0
            large = self._groups.large(self._positions, _LARGE_GROUP)
            self._camps = np.where(large < 0, self._positions, large) if (large >= 0).any() else None
        return self._camps

    def apart(self, one: Rows, other: Rows) -> NDArray[np.bool_]:
        """Return which pairs do not stand in one large group."""
        import numpy as np

        left, right = self._groups.large(one, _LARGE_GROUP), self._groups.large(other, _LARGE_GROUP)
        wanted: NDArray[np.bool_] = (left != right) | (left < 0)
        self._in_vain += len(wanted) - int(np.count_nonzero(wanted))
        return wanted
