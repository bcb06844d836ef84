"""True Jaccard similarity of many pairs of texts at once, the same to the last bit as of one pair after another. Pure.

A 64-bit hash stands for a shingle. The hashes of each text are sorted and lose their repetitions; of a pair, both are
sorted together, and what they share stands twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from finetune_assets.datasets.splitting.near_duplicates_sketch import shingle_hashes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Hashes of all pairs that are sorted together: about 2 MB.
_BLOCK_HASHES = 1 << 18
# Stands where a text has no more shingles. The hash of this value counts as the next lower one.
_NONE = (1 << 64) - 1


def pair_similarities(
    texts: Sequence[str], one: NDArray[np.int64], other: NDArray[np.int64], size: int
) -> NDArray[np.float64]:
    """Return what `records.similarity.jaccard` gives for the shingles of each pair.

    Args:
        texts: normalised texts.
        one: the place of each pair's first text.
        other: the place of its second text, of the same shape.
        size: characters of a shingle.

    Returns:
        The similarities, from 0 to 1, in the order of the pairs.
    """
    import numpy as np

    found = np.zeros(len(one), np.float64)
    if not len(one):
        return found
    characters = np.fromiter(map(len, texts), np.int64, len(texts))
    hashes, ends = shingle_hashes(texts, size)
    sets = _Sets(np.minimum(hashes, np.uint64(_NONE - 1)), ends.astype(np.int64))
    short = (characters[one] < size) | (characters[other] < size)
    # A text that is shorter than a shingle is its only one, which no other text has.
    for place in np.flatnonzero(short).tolist():
        text = texts[int(one[place])]
        found[place] = float(text != "" and text == texts[int(other[place])])
    width = np.maximum(sets.counts[one], sets.counts[other])
    # Pairs of about one length are compared together: their sets fill one matrix.
    order = np.argsort(np.where(short, 0, width), kind="stable")[int(short.sum()) :]
    for block in _blocks(order, width[order]):
        found[block] = sets.similarities(one[block], other[block])
    return found


def _blocks(order: NDArray[np.int64], width: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the pairs in blocks of bounded size, in the order of their width."""
    begin = 0
    while begin < len(order):
        end = begin + max(1, _BLOCK_HASHES // (2 * int(width[begin])))
        # The last pair of the block is the widest: by its width no more may be in the block.
        end = min(end, len(order))
        end = min(end, begin + max(1, _BLOCK_HASHES // (2 * int(width[end - 1]))))
        yield order[begin:end]
        begin = end


class _Sets:
    """Hashes of the shingles of some texts.

    Args:
        hashes: text after text, repetitions included.
        ends: where each text's begin, and where the last ends.
    """

    def __init__(self, hashes: NDArray[np.uint64], ends: NDArray[np.int64]) -> None:
        import numpy as np

        self._hashes = hashes
        self._begins = ends[:-1]
        self.counts = np.diff(ends)

    def similarities(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the similarity of pairs of texts of about one length."""
        import numpy as np

        members, place = np.unique(np.concatenate([one, other]), return_inverse=True)
        rows = self._matrix(members)
        sizes = np.count_nonzero(rows != _NONE, axis=1)
        left, right = place[: len(one)], place[len(one) :]
        both = np.concatenate([rows[left], rows[right]], axis=1)
        both.sort(axis=1)
        same = both[:, 1:] == both[:, :-1]
        # Those who have no more shingles are equal to each other as well.
        shared = np.count_nonzero(same & (both[:, 1:] != _NONE), axis=1)
        similarity: NDArray[np.float64] = shared / (sizes[left] + sizes[right] - shared)
        return similarity

    def _matrix(self, members: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the distinct hashes of each text in a row of its own; gaps stand where repetitions were."""
        import numpy as np

        counts = self.counts[members]
        columns = np.arange(int(counts.max()))
        filled = columns < counts[:, None]
        rows = np.full(filled.shape, _NONE, np.uint64)
        rows[filled] = self._hashes[(self._begins[members][:, None] + columns)[filled]]
        rows.sort(axis=1)
        rows[:, 1:][rows[:, 1:] == rows[:, :-1]] = _NONE
        return rows
