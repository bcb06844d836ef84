"""Which pairs of sketched texts are worth comparing: those that share a band. Pure, whole columns at a time.

Rows come in an order that does not depend on the file, so that the pairs do not either. Texts that share a band stand
together in a run. In a run of at most 64 rows every pair is a candidate. Longer runs come from boilerplate; all their
pairs would grow with the square of the rows. They are sorted by a second band, three times by different ones: rows that
share that one too are candidates again, and otherwise each row meets the four that follow it, which is enough to
connect what is alike throughout. What the search finds in the end is measured, not assumed (`near_duplicates_recall`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

COMPLETE_RUN = 64
_WINDOW = 16
_CHAIN = 4
_STEPS = (1, 2, 3)
_CHUNK_PAIRS = 1 << 16


class Candidates(NamedTuple):
    """Pairs of rows: each is in `one` and `other` at the same place, the lower row in `one`.

    Attributes:
        one: rows.
        other: rows.
        crowded: True where the pair is of a run so long that not all of its pairs are candidates.
    """

    one: Rows
    other: Rows
    crowded: NDArray[np.bool_]


def candidate_pairs(bands: NDArray[np.uint32]) -> Iterator[Candidates]:
    """Yield the pairs that share a band, in chunks of about 65,536.

    Args:
        bands: band keys, one row for each text.

    Yields:
        Each pair at least once; a pair of crowded runs may come again with another band.
    """
    import numpy as np

    count, width = bands.shape
    crowded = np.zeros((count, width), np.bool_)
    for band in range(width):
        waiting: list[tuple[Rows, Rows]] = []
        held = 0
        for pair in _pairs_of_band(bands, band, crowded):
            waiting.append(pair)
            held += len(pair[0])
            if held >= _CHUNK_PAIRS:
                yield from _new_pairs(waiting, bands, band, crowded)
                waiting, held = [], 0
        if waiting:
            yield from _new_pairs(waiting, bands, band, crowded)


def _pairs_of_band(bands: NDArray[np.uint32], band: int, crowded: NDArray[np.bool_]) -> Iterator[tuple[Rows, Rows]]:
    """Yield the pairs of one band and note which rows stand in a long run there."""
    import numpy as np

    count, width = bands.shape
    # Key and row in one number: sorting these is far quicker than finding the order of the keys.
    both = bands[:, band].astype(np.uint64) << np.uint64(32) | np.arange(count, dtype=np.uint64)
    both.sort()
    order = (both & np.uint64(0xFFFFFFFF)).astype(np.int64)
    begins, lengths = _runs(both >> np.uint64(32))
    small = (lengths > 1) & (lengths <= COMPLETE_RUN)
    yield from _following(order, *_spread(begins[small], lengths[small], lengths[small]))
    large = lengths > COMPLETE_RUN
    if not large.any():
        return
    at, left = _spread(begins[large], lengths[large], lengths[large])
    rows = order[at]
    crowded[rows, band] = True
    run = np.repeat(np.arange(large.sum(), dtype=np.uint64), lengths[large]) << np.uint64(32)
    for step in _STEPS:
        key = run | bands[rows, (band + step) % width]
        again = np.argsort(key, kind="stable")
        inner, sizes = _runs(key[again])
        _, near = _spread(inner, sizes, np.where(sizes > COMPLETE_RUN, _WINDOW + 1, sizes))
        # Rows are sorted within their runs, so what is left of a run is the same at the same place.
        yield from _following(rows[again], np.arange(len(rows)), np.maximum(near, np.minimum(left, _CHAIN)))


def _runs(keys: NDArray[np.uint64]) -> tuple[Rows, Rows]:
    """Return where runs of equal keys begin, and their lengths."""
    import numpy as np

    begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.zeros(0, np.int64)
    return begins, np.diff(np.append(begins, len(keys)))


def _spread(begins: Rows, lengths: Rows, reach: Rows) -> tuple[Rows, Rows]:
    """Return every place of some runs, and how many of those that follow it in its run are less than `reach` away."""
    import numpy as np

    place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    left = np.minimum(np.repeat(lengths, lengths) - 1 - place, np.repeat(reach, lengths) - 1)
    return np.repeat(begins, lengths) + place, left


def _following(order: Rows, at: Rows, reach: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Yield the pairs of each place with as many following ones as it reaches."""
    distance = 1
    while len(at):
        keep = reach >= distance
        at, reach = at[keep], reach[keep]
        if len(at):
            yield order[at], order[at + distance]
        distance += 1


def _new_pairs(
    waiting: list[tuple[Rows, Rows]], bands: NDArray[np.uint32], band: int, crowded: NDArray[np.bool_]
) -> Iterator[Candidates]:
    """Yield the pairs that did not come with an earlier band already."""
    import numpy as np

    left = np.concatenate([one for one, _ in waiting])
    right = np.concatenate([other for _, other in waiting])
    one, other = np.minimum(left, right), np.maximum(left, right)
    known = ((bands[one, :band] == bands[other, :band]) & ~crowded[one, :band]).any(axis=1)
    one, other = one[~known], other[~known]
    if len(one):
        yield Candidates(one, other, crowded[one, band])
