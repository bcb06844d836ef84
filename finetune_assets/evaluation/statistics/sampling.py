"""Seeded, stratified choice of rows: the same rows for the same seed, on every machine, whatever their order.

Here belongs how many rows each stratum gets and which; what the rows are for is the caller's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from finetune_assets.records.digests import digest_of_text


def shares_of(strata: Mapping[str, int], rows: int) -> dict[str, int]:
    """Deal out a number of rows to strata in proportion to their size (largest remainder).

    Each stratum gets at least one row where there are enough to go round; the largest strata are served first where
    there are not.

    Args:
        strata: rows that each stratum has, 1 or more.
        rows: rows to deal out, 0 or more.

    Returns:
        Rows of each stratum, at most what it has; together `rows`, or all there are.
    """
    total = sum(strata.values())
    wanted = min(max(rows, 0), total)
    order = sorted(strata, key=lambda name: (-strata[name], name))
    if wanted <= len(order):
        return {name: int(place < wanted) for place, name in enumerate(order)}
    # One row each is given away first; the rest follows the size of what is left of each stratum.
    spare, left = wanted - len(order), total - len(order)
    given = {name: 1 + spare * (strata[name] - 1) // left for name in order}
    remainders = sorted(order, key=lambda name: (-(spare * (strata[name] - 1) % left), name))
    for name in remainders[: wanted - sum(given.values())]:
        given[name] += 1
    return {name: given[name] for name in order}


def place_of(seed: int, key: str) -> str:
    """Return a row's place in the seeded order: rows are taken by rising place."""
    return digest_of_text(f"{seed}:{key}")


def stratified(rows: Sequence[tuple[str, str]], count: int, seed: int) -> list[int]:
    """Choose rows, each stratum in proportion to its size.

    Args:
        rows: (key, stratum) of each row; the key decides the choice, such as an example id.
        count: rows to choose, 0 or more.
        seed: any integer.

    Returns:
        Positions of the chosen rows in their own order, at most `count`.
    """
    left = shares_of(Counter(stratum for _, stratum in rows), count)
    chosen: list[int] = []
    for position in sorted(range(len(rows)), key=lambda index: place_of(seed, rows[index][0])):
        stratum = rows[position][1]
        if left[stratum]:
            left[stratum] -= 1
            chosen.append(position)
    return sorted(chosen)
