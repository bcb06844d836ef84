"""Resampling of paired rows: bootstrap intervals and sign-flip tests of any measure that is a function of sums.

Both models answered the same rows, so rows are drawn, or swapped, as pairs. Right/wrong has exact tests of its own in
`exact.py`; what is here serves error rates, F1 of tokens, BLEU and other measures whose rows are no coin tosses.
How rows are drawn is in `draws.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Statistic = NDArray[np.float64]

from finetune_assets.evaluation.statistics.draws import resampled_sums
from finetune_assets.evaluation.statistics.exact import UNSEEN, Interval, allow_for_unseen
from finetune_assets.records.measure import Measure

# Numbers held at once by a block of swaps: 8 million, 64 MB in float64.
_BLOCK = 8_000_000
_EXACT_UP_TO = 14


@dataclass(frozen=True, slots=True)
class SignFlip:
    """A paired permutation test.

    Attributes:
        p_better: one-sided p-value against "not better".
        p_worse: one-sided p-value against "not worse".
        exact: True when every swap was counted instead of a sample of them.
    """

    p_better: float
    p_worse: float
    exact: bool


def gain(measure: Measure, ours: Statistic, theirs: Statistic) -> float:
    """Return how much better our summed figure is than theirs; positive is better, whatever the measure's direction.

    Args:
        measure: the figure.
        ours: statistics of our rows, shape [rows, width].
        theirs: the same rows of the other model.

    Returns:
        The difference of the figures; nan where no row applies.
    """
    return float(measure.sign * (measure.value(ours.sum(axis=0)) - measure.value(theirs.sum(axis=0))))


def bootstrap_gain(
    measure: Measure,
    ours: Statistic,
    theirs: Statistic,
    *,
    confidence: float = 0.90,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the interval of the gain under a paired bootstrap over rows: BCa, and room for rows unseen.

    Args:
        measure: the figure.
        ours: statistics of our rows, shape [rows, width].
        theirs: the same rows of the other model.
        confidence: two-sided, between 0 and 1.
        resamples: how many draws.
        seed: any non-negative integer; equal seeds give equal intervals.

    Returns:
        Lower and upper bound of the gain; (-inf, inf) when there are no rows.
    """
    import numpy as np

    if not len(ours):
        return (-math.inf, math.inf)
    width = measure.width
    if measure.kind != "corpus" and np.array_equal(ours[:, 1], theirs[:, 1]):
        # Over the same units the gain is one ratio of sums: half the columns to draw.
        table = np.column_stack([measure.sign * (ours[:, 0] - theirs[:, 0]), ours[:, 1]])
        figure = Measure("gain", "gain", "mean").value
    else:
        table = np.hstack([ours, theirs])

        def figure(sums: Statistic) -> Statistic:
            return measure.sign * (measure.value(sums[..., :width]) - measure.value(sums[..., width:]))

    least, most = (-math.inf, math.inf) if measure.kind == "rate" else (-1.0, 1.0)
    low, high = _interval(figure, table, confidence, resamples, seed)
    return (max(least, low), min(most, high))


def bootstrap_value(
    measure: Measure, stats: Statistic, *, confidence: float = 0.90, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the interval of one model's figure; arguments as in `bootstrap_gain`."""
    if not len(stats):
        return (-math.inf, math.inf)
    low, high = _interval(measure.value, stats, confidence, resamples, seed)
    return (max(0.0, low), high if measure.kind == "rate" else min(1.0, high))


def _interval(
    figure: Callable[[Statistic], Statistic], table: Statistic, confidence: float, resamples: int, seed: int
) -> Interval:
    """Return the bootstrap interval of a figure of sums, bias-corrected, accelerated, and widened for rows unseen.

    BCa (Efron, JASA 82, 1987) allows for skewed rows, most of them even and a few far worse; `allow_for_unseen` for
    rows as bad that did not occur.
    """
    import numpy as np

    observed = float(figure(table.sum(axis=0)))
    values = np.concatenate([figure(sums) for sums in resampled_sums(table, resamples, seed)])
    values = values[np.isfinite(values)]
    if not len(values) or not math.isfinite(observed):
        return (-math.inf, math.inf)
    tail = (1.0 - confidence) / 2.0
    levels = _bca_levels(values, observed, figure(table.sum(axis=0) - table), tail)
    low, high = (float(bound) for bound in np.quantile(values, levels))
    return allow_for_unseen((low, high), observed, len(table), confidence=confidence)


def _bca_levels(values: Statistic, observed: float, left_out: Statistic, tail: float) -> tuple[float, float]:
    """Return the levels at which BCa reads its bounds.

    Args:
        values: the figure of each resample, finite.
        observed: the figure.
        left_out: the figure without each row in turn.
        tail: share below the lower bound and above the upper.
    """
    import numpy as np

    normal = NormalDist()
    slack = 1e-9 * max(1.0, abs(observed))
    # Resamples that equal what was observed count half: figures of few rows fall on a grid.
    below = float((values < observed - slack).mean() + (np.abs(values - observed) <= slack).mean() / 2.0)
    shift = normal.inv_cdf(min(max(below, 1.0 / (len(values) + 1)), 1.0 - 1.0 / (len(values) + 1)))
    pulls = left_out[np.isfinite(left_out)]
    pulls = pulls.mean() - pulls if len(pulls) else pulls
    size = float((pulls**2).sum()) ** 1.5
    acceleration = float((pulls**3).sum()) / (6.0 * size) if size else 0.0
    found = []
    for level in (tail, 1.0 - tail):
        moved = shift + normal.inv_cdf(level)
        found.append(normal.cdf(shift + moved / max(0.1, 1.0 - acceleration * moved)))
    return (found[0], found[1])


def rows_that_clear(spread: float, room: float, *, confidence: float = 0.90) -> int:
    """Return how many rows bring a bound of `bootstrap_gain` within some room of the gain if rows keep their spread.

    Args:
        spread: standard deviation of one row's part in the gain.
        room: distance between the gain and what the bound is to clear, above 0.
        confidence: of the interval.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    # (z spread)^2 / n + (z sqrt 2 / n)^2 = room^2, a quadratic in 1/n with the 2 of n + 2 left out: one or two rows.
    parts, unseen = (z * spread) ** 2, (z * UNSEEN) ** 2
    return math.ceil((parts + math.sqrt(parts**2 + 4.0 * unseen * room**2)) / (2.0 * room**2))


def sign_flip(
    measure: Measure, ours: Statistic, theirs: Statistic, *, resamples: int = 2000, seed: int = 0
) -> SignFlip:
    """Test a gain by swapping the two models' answers at random, row by row.

    When neither model is better, every swap is as likely as what was observed. Up to 14 rows that differ, all swaps
    are counted; beyond, a sample, with the observed one counted in (Phipson and Smyth 2010), so that p is never 0.

    Args:
        measure: the figure.
        ours: statistics of our rows, shape [rows, width].
        theirs: the same rows of the other model.
        resamples: how many swaps to draw.
        seed: any non-negative integer.

    Returns:
        Both one-sided p-values; 1 when no row differs.
    """
    import numpy as np

    differ = np.flatnonzero((ours != theirs).any(axis=1))
    if not len(differ):
        return SignFlip(1.0, 1.0, exact=True)
    one, other = ours.sum(axis=0), theirs.sum(axis=0)
    moved = (theirs - ours)[differ]
    observed = float(measure.sign * (measure.value(one) - measure.value(other)))
    exact = len(differ) <= _EXACT_UP_TO
    flips = _all_flips(len(differ)) if exact else _random_flips(len(differ), resamples, seed)
    at_least = at_most = total = 0
    # Sums of floats differ in their last digits with the order; equal figures must not be told apart by them.
    slack = 1e-9 * max(1.0, abs(observed))
    for chosen in flips:
        shift = chosen.astype(np.float64) @ moved
        values = measure.sign * (measure.value(one + shift) - measure.value(other - shift))
        at_least += int((values >= observed - slack).sum())
        at_most += int((values <= observed + slack).sum())
        total += len(values)
    if exact:
        return SignFlip(at_least / total, at_most / total, exact=True)
    return SignFlip((at_least + 1) / (total + 1), (at_most + 1) / (total + 1), exact=False)


def _all_flips(rows: int) -> Iterator[NDArray[np.uint8]]:
    import numpy as np

    numbers = np.arange(2**rows, dtype=np.uint32)
    yield ((numbers[:, None] >> np.arange(rows, dtype=np.uint32)) & 1).astype(np.uint8)


def _random_flips(rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    import numpy as np

    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // rows)
    width = -(-rows // 8)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        packed = np.frombuffer(generator.bytes(size * width), np.uint8).reshape(size, width)
        yield np.unpackbits(packed, axis=1, count=rows)


def row_spread(measure: Measure, ours: Statistic, theirs: Statistic) -> float:
    """Return the standard deviation of one row's part in the gain, for planning.

    The gain of a ratio of sums is linearised around the totals (delta method); a `corpus` measure is measured by
    leaving out a tenth of the rows at a time (grouped jackknife).

    Args:
        measure: the figure.
        ours: statistics of our rows, shape [rows, width].
        theirs: the same rows of the other model.

    Returns:
        A standard deviation in the units of the gain, so that the gain's standard error is this over sqrt(rows); nan
        with fewer than two rows.
    """
    import numpy as np

    rows = len(ours)
    if rows < 2:
        return math.nan
    if measure.kind != "corpus":
        parts = _influence(measure, ours) - _influence(measure, theirs)
        return float(np.std(parts, ddof=1))
    folds = min(10, rows)
    fold = np.arange(rows) % folds
    gains = [gain(measure, ours[fold != number], theirs[fold != number]) for number in range(folds)]
    return float(math.sqrt((folds - 1) * np.var(gains)) * math.sqrt(rows))


def _influence(measure: Measure, stats: Statistic) -> Statistic:
    sums = stats.sum(axis=0)
    if sums[1] <= 0:
        return stats[:, 0] * math.nan
    figure = sums[0] / sums[1]
    influence: Statistic = measure.sign * (stats[:, 0] - figure * stats[:, 1]) * len(stats) / sums[1]
    return influence


def percentile(values: Statistic, confidence: float) -> Interval:
    """Return the two-sided percentile interval of resampled values; values that are no number are left out."""
    import numpy as np

    sound = values[np.isfinite(values)]
    if not len(sound):
        return (-math.inf, math.inf)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(sound, [tail, 1.0 - tail])
    return (float(low), float(high))
