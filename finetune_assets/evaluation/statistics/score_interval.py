"""The interval of a paired difference of shares that keeps its level on few rows, and the rows that a margin takes.

What passes a release as "not worse" rests on its lower bound, so it may be too wide but not too narrow.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from finetune_assets.evaluation.statistics.exact import Interval

# Counts taken off the distance; found by enumerating 20 to 1,000 rows, margins of 0.5 to 10 points, wins of 0 to 20 %.
_CONTINUITY = 0.25


def score_difference(wins: int, losses: int, rows: int, *, confidence: float = 0.90) -> Interval:
    """Return the score interval of (wins - losses) / rows over pairs (Tango, Statistics in Medicine 17, 1998).

    Each bound is the difference that the one-sided score test just rejects, a quarter of a count being taken off the
    distance for continuity. With it the chance that a bound lies beyond the truth stays within its tail from 20 rows
    on, also where only losses occur (enumerated on a grid); Tango's own reaches 6.8 % for 5 %, a bootstrap's 8.9 %.

    Args:
        wins: pairs where only the candidate is right, 0 or more.
        losses: pairs where only the baseline is right, 0 or more.
        rows: all pairs, 0 or more.
        confidence: two-sided, between 0 and 1.

    Returns:
        Lower and upper bound in [-1, 1]; (-1, 1) when there are no rows.
    """
    if rows < wins + losses or min(wins, losses) < 0:
        raise ValueError(f"{wins} wins and {losses} losses in {rows} rows")
    if rows == 0:
        return (-1.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    # "0.0 -" keeps a minus sign off zero.
    return (_score_bound(wins, losses, rows, z), 0.0 - _score_bound(losses, wins, rows, z))


def _score_bound(wins: float, losses: float, rows: float, z: float) -> float:
    """Return the largest difference below the observed one that the score test rejects, by bisection."""
    low, high = -1.0, (wins - losses) / rows
    for _ in range(50):
        tried = (low + high) / 2.0
        if wins - losses - rows * tried - _CONTINUITY > z * _score_spread(wins, losses, rows, tried):
            low = tried
        else:
            high = tried
    return low


def _score_spread(wins: float, losses: float, rows: float, difference: float) -> float:
    """Return the standard deviation of wins - losses where the difference of shares is as given.

    The share of losses is the most likely one under that difference: the larger root of a quadratic.
    """
    linear = (2 * rows - wins + losses) * difference - wins - losses
    constant = -losses * difference * (1.0 - difference)
    lost = (math.sqrt(max(0.0, linear * linear - 8 * rows * constant)) - linear) / (4 * rows)
    return math.sqrt(max(0.0, rows * (2 * lost + difference * (1.0 - difference))))


def rows_for_margin(wins: int, losses: int, rows: int, margin: float, *, confidence: float = 0.90) -> int | None:
    """Return how many rows lift the lower bound of `score_difference` above -margin if the observed shares hold.

    Returns:
        The total number of rows, at least `rows`; None when the observed difference is not above -margin.
    """
    if rows == 0 or (wins - losses) / rows <= -margin:
        return None
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)

    def clears(total: int) -> bool:
        return _score_bound(wins * total / rows, losses * total / rows, total, z) > -margin

    high = rows
    while not clears(high):
        high *= 2
    low = rows
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if clears(middle) else (middle + 1, high)
    return high
