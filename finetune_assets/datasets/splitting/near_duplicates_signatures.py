"""What MinHash signatures say of pairs: which are alike enough to be compared. Pure, whole columns at a time.

Two signatures agree in about as many places as their texts are alike. Counting the places is exact here, in two steps:
the lowest bits of all values stand in a few machine words, so that hardly an instruction or two a word rule out most
pairs; of the rest every value's lowest eight bits are compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from finetune_assets.datasets.splitting.near_duplicates_columns import SketchColumns

# How many of a value's bits are compared first. Values that differ agree in these once in eight times.
_BITS = 3
_WORD = 64
_PACKED_ROWS = 1 << 14


class Signatures:
    """The low bits of the MinHash values of some texts.

    Args:
        columns: the sketches of the texts.
        least: share of the values (0 to 1) in which two texts must agree.
    """

    def __init__(self, columns: SketchColumns, least: float) -> None:
        self._columns = columns
        self._least = least * columns.hashes
        # Values that differ in their low bits differ; so many may.
        self._most_apart = columns.hashes - math.ceil(self._least)
        self._words = _packed(columns)

    def in_order(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the packed bits of some texts, one column each, for `may_be_alike`."""
        found: NDArray[np.uint64] = self._words.take(rows, axis=1)
        return found

    def may_be_alike(self, words: NDArray[np.uint64], one: NDArray[np.int64], distance: int) -> NDArray[np.bool_]:
        """Return which pairs may be alike; none that `are_alike` keeps is left out.

        Args:
            words: as `in_order` gave them.
            one: columns of it, ascending.
            distance: how many columns further the other text of each pair stands.
        """
        begin, end = int(one[0]), int(one[-1]) + 1
        # Reading everything in between takes a third of the time of picking.
        if 2 * len(one) >= end - begin:
            apart = _differing([(word[begin:end], word[begin + distance : end + distance]) for word in words])
            apart = apart.take(one - begin)
        else:
            other = one + distance
            apart = _differing([(word.take(one), word.take(other)) for word in words])
        kept: NDArray[np.bool_] = apart <= self._most_apart
        return kept

    def are_alike(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which pairs agree in as many values as they must."""
        import numpy as np

        same = np.count_nonzero(self._columns.marks_at(one) == self._columns.marks_at(other), axis=1)
        kept: NDArray[np.bool_] = same >= self._least
        return kept


def _differing(words: Sequence[tuple[NDArray[np.uint64], NDArray[np.uint64]]]) -> NDArray[np.uint8]:
    """Return how many values of each pair differ in their lowest bits."""
    import numpy as np

    found = np.zeros(len(words[0][0]), np.uint8)
    for begin in range(0, len(words), _BITS):
        differing = words[begin][0] ^ words[begin][1]
        for one, other in words[begin + 1 : begin + _BITS]:
            differing |= one ^ other
        found += np.bitwise_count(differing)
    return found


def _packed(columns: SketchColumns) -> NDArray[np.uint64]:
    """Return the lowest bits: for each 64 values three words (one for each bit), for each of these one row."""
    import numpy as np

    count = len(columns)
    words = -(-columns.hashes // _WORD)
    found = np.zeros((words * _BITS, count), np.uint64)
    for begin in range(0, count, _PACKED_ROWS):
        part = columns.marks_at(np.arange(begin, min(begin + _PACKED_ROWS, count)))
        for bit in range(_BITS):
            packed = np.zeros((len(part), words * _WORD // 8), np.uint8)
            held = np.packbits(part >> bit & 1, axis=1)
            packed[:, : held.shape[1]] = held
            found[bit::_BITS, begin : begin + len(part)] = packed.view("<u8").T
    return found
