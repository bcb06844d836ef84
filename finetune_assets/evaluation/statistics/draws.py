"""Drawing rows with replacement, as the column sums of each draw.

Rows with equal statistics are interchangeable: where there are few different ones they are drawn together, as a
multinomial over them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Statistic = NDArray[np.float64]

# Numbers held at once by a block of multinomial draws: 8 million, 64 MB in float64.
_BLOCK = 8_000_000
# Row numbers drawn at once: they and their counts stay in a processor's cache.
_DRAWN = 1 << 16
# Up to this share of distinct rows, or so few, a multinomial over them beats drawing row by row (measured).
_WORTH_GROUPING = 0.1
_FEW = 150


def resampled_sums(table: Statistic, resamples: int, seed: int) -> Iterator[Statistic]:
    """Yield the column sums of rows drawn with replacement, in blocks of resamples.

    Args:
        table: shape [rows, columns], at least one row.
        resamples: how many resamples in all.
        seed: any non-negative integer.

    Yields:
        Shape [block, columns]; the blocks together hold `resamples` rows.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    columns, place = _distinct_columns(table)
    distinct, counts = _distinct_rows(columns)
    rows = len(table)
    if len(distinct) <= max(_FEW, _WORTH_GROUPING * rows):
        shares = counts / rows
        block = max(1, _BLOCK // len(distinct))
        for start in range(0, resamples, block):
            counted = generator.multinomial(rows, shares, size=min(block, resamples - start))
            yield (counted.astype(np.float64) @ distinct)[:, place]
        return
    varied = np.flatnonzero(columns.min(axis=0) < columns.max(axis=0))
    moving = np.ascontiguousarray(columns[:, varied])
    block = max(1, _DRAWN // rows)
    for start in range(0, resamples, block):
        drawn = generator.integers(0, rows, size=(min(block, resamples - start), rows), dtype=np.uint32)
        sums = np.repeat(columns[:1] * rows, len(drawn), axis=0)
        sums[:, varied] = _drawn_sums(moving, drawn)
        yield sums[:, place]


def _drawn_sums(table: Statistic, drawn: NDArray[np.uint32]) -> Statistic:
    """Return the sums of drawn rows, shape [draws, columns].

    Args:
        table: shape [rows, columns].
        drawn: row numbers, shape [draws, rows].
    """
    import numpy as np

    if table.shape[1] == 1:
        sums: Statistic = table.take(drawn).sum(axis=1, keepdims=True)
        return sums
    # Counted once, a draw serves every column by a product of matrices.
    draws, rows = drawn.shape
    places = drawn + np.arange(0, draws * rows, rows, dtype=np.int64)[:, None]
    counted = np.bincount(places.ravel(), minlength=draws * rows).reshape(draws, rows)
    return counted.astype(np.float64) @ table


def _distinct_columns(table: Statistic) -> tuple[Statistic, list[int]]:
    """Return the columns that differ, and for each column of the table which of them it is.

    The reference's words stand in both models' rows, and the n-grams of one order in those of the next.
    """
    import numpy as np

    found: dict[bytes, int] = {}
    place = [found.setdefault(column.tobytes(), len(found)) for column in np.ascontiguousarray(table.T)]
    return np.ascontiguousarray(table[:, [place.index(number) for number in range(len(found))]]), place


def _distinct_rows(table: Statistic) -> tuple[Statistic, NDArray[np.int64]]:
    """Return the rows that differ, sorted, and how often each occurs."""
    import numpy as np

    ordered = table[np.lexsort(table.T[::-1])]
    starts = np.flatnonzero(np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)]))
    return ordered[starts], np.diff(starts, append=len(table))
