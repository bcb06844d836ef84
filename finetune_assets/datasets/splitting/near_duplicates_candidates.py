"""Which pairs of sketched texts are worth comparing: those that share a band. Pure, whole columns at a time.

Rows come in an order that does not depend on the file, so that the pairs do not either. Texts that share a band stand
together in a run. In a run of at most 64 rows every pair is a candidate. Longer runs come from boilerplate; all their
pairs would grow with the square of the rows. They are sorted by a second band, three times by different ones: rows that
share that one too are candidates again, and otherwise each row meets the four that follow it, which is enough to
connect what is alike throughout. What the search finds in the end is measured, not assumed (`near_duplicates_recall`).

Most rows that share a band are not alike. Their signatures say so (`near_duplicates_signatures`) before anything else
is asked of a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from finetune_assets.datasets.splitting.near_duplicates_columns import SketchColumns
    from finetune_assets.datasets.splitting.near_duplicates_signatures import Signatures

    Rows = NDArray[np.int64]
    Camps = NDArray[np.int64] | NDArray[np.uint8]

COMPLETE_RUN = 64
_WINDOW = 16
_CHAIN = 4
_STEPS = (1, 2, 3)
_SLICE_PAIRS = 1 << 16
_CHUNK_PAIRS = 1 << 12


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


@dataclass(frozen=True, slots=True)
class Meeting:
    """Which pairs are asked for.

    Attributes:
        signatures: of the same rows; pairs that they estimate to be too different are left out.
        camps: returns a number for each row: two rows of one number are no candidates. It is asked again and again,
            and may return another column when more rows have come together; None while all pairs are wanted.
    """

    signatures: Signatures
    camps: Callable[[], Camps | None]


def candidate_pairs(columns: SketchColumns, meeting: Meeting) -> Iterator[Candidates]:
    """Yield the pairs that share a band, in chunks of 4,096 to about 70,000 pairs, the last of a band shorter.

    Args:
        columns: the sketches of the texts.
        meeting: which of these pairs are wanted.

    Yields:
        Each pair at least once; a pair of crowded runs may come again with another band.
    """
    import numpy as np

    crowded = np.zeros((columns.width, len(columns)), np.bool_)
    for band in range(columns.width):
        waiting: list[tuple[Rows, Rows]] = []
        held = 0
        for pair in _pairs_of_band(columns, band, crowded, meeting):
            waiting.append(pair)
            held += len(pair[0])
            if held >= _CHUNK_PAIRS:
                yield from _new_pairs(waiting, columns, band, crowded, meeting)
                waiting, held = [], 0
        if waiting:
            yield from _new_pairs(waiting, columns, band, crowded, meeting)


def _pairs_of_band(
    columns: SketchColumns, band: int, crowded: NDArray[np.bool_], meeting: Meeting
) -> Iterator[tuple[Rows, Rows]]:
    """Yield the pairs of one band and note which rows stand in a long run there."""
    import numpy as np

    keys = columns.band(band)
    order = _sorted(keys)
    begins, lengths = _runs(keys.take(order))
    large = lengths > COMPLETE_RUN
    crowded[band, order[np.repeat(large, lengths)]] = True
    wanted = (lengths > 1) & _of_several(meeting.camps(), order, begins)
    small = wanted & ~large
    at, reach = _spread(begins[small], lengths[small], lengths[small])
    yield from _following(order[at], reach, meeting)
    large &= wanted
    if not large.any():
        return
    at, left = _spread(begins[large], lengths[large], lengths[large])
    rows = order[at]
    run = np.repeat(np.arange(large.sum(), dtype=np.uint32), lengths[large])
    for step in _STEPS:
        keys = columns.band((band + step) % columns.width).take(rows)
        again = _sorted(keys)
        again = again.take(_sorted(run.take(again)))
        inner, sizes = _runs(run.take(again).astype(np.uint64) << np.uint64(32) | keys.take(again))
        _, near = _spread(inner, sizes, np.where(sizes > COMPLETE_RUN, _WINDOW + 1, sizes))
        # Rows are sorted within their runs, so what is left of a run is the same at the same place.
        yield from _following(rows[again], np.maximum(near, np.minimum(left, _CHAIN)), meeting)


def _runs(keys: NDArray[np.uint32] | NDArray[np.uint64]) -> tuple[Rows, Rows]:
    """Return where runs of equal keys begin, and their lengths."""
    import numpy as np

    begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.zeros(0, np.int64)
    return begins, np.diff(np.append(begins, len(keys)))


def _of_several(camps: Camps | None, order: Rows, begins: Rows) -> NDArray[np.bool_]:
    """Return which runs hold rows of several camps."""
    import numpy as np

    if camps is None or not len(begins):
        return np.ones(len(begins), np.bool_)
    here = camps.take(order)
    several: NDArray[np.bool_] = np.minimum.reduceat(here, begins) != np.maximum.reduceat(here, begins)
    return several


def _spread(begins: Rows, lengths: Rows, reach: Rows) -> tuple[Rows, Rows]:
    """Return every place of some runs, and how many of those that follow it in its run are less than `reach` away."""
    import numpy as np

    place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    left = np.minimum(np.repeat(lengths, lengths) - 1 - place, np.repeat(reach, lengths) - 1)
    return np.repeat(begins, lengths) + place, left


def _sorted(keys: NDArray[np.uint32]) -> Rows:
    """Return the order of the keys, of equal ones as they stand.

    In two halves, which numpy sorts by counting: half the time of sorting whole keys.
    """
    import numpy as np

    order = np.argsort(keys.astype(np.uint16), kind="stable")
    upper = (keys >> np.uint32(16)).astype(np.uint16)
    sorted_order: Rows = order.take(np.argsort(upper.take(order), kind="stable"))
    return sorted_order


def _following(rows: Rows, reach: Rows, meeting: Meeting) -> Iterator[tuple[Rows, Rows]]:
    """Yield the pairs of each row with as many following ones as it reaches, as far as they are wanted."""
    camps = here = words = None
    places = (reach > 0).nonzero()[0]
    distance = 1
    while len(places):
        if (now := meeting.camps()) is not camps and now is not None:
            camps, here = now, now.take(rows)
            places = _with_others(here, places, reach)
        if words is None:
            words = meeting.signatures.in_order(rows)
        for begin in range(0, len(places), _SLICE_PAIRS):
            one = places[begin : begin + _SLICE_PAIRS]
            if here is not None:
                one = one[here.take(one) != here.take(one + distance)]
            if not len(one):
                continue
            one = one[meeting.signatures.may_be_alike(words, one, distance)]
            if len(one):
                yield rows[one], rows[one + distance]
        distance += 1
        places = places[reach.take(places) >= distance]


def _with_others(here: Camps, places: Rows, reach: Rows) -> Rows:
    """Return the places that reach one of another camp."""
    import numpy as np

    changes = np.cumsum(np.append(False, here[1:] != here[:-1]))
    kept: Rows = places[changes[places + reach[places]] > changes[places]]
    return kept


def _new_pairs(
    waiting: list[tuple[Rows, Rows]],
    columns: SketchColumns,
    band: int,
    crowded: NDArray[np.bool_],
    meeting: Meeting,
) -> Iterator[Candidates]:
    """Yield the pairs that are alike by their signatures and did not come with an earlier band already."""
    import numpy as np

    left = np.concatenate([one for one, _ in waiting])
    right = np.concatenate([other for _, other in waiting])
    kept = meeting.signatures.are_alike(left, right)
    left, right = left[kept], right[kept]
    one, other = np.minimum(left, right), np.maximum(left, right)
    earlier = columns.bands_at(one, band) == columns.bands_at(other, band)
    known = (earlier & ~crowded[:band].take(one, axis=1)).any(axis=0)
    one, other = one[~known], other[~known]
    if len(one):
        yield Candidates(one, other, crowded[band].take(one))
