"""The statistics of a paired comparison: exact tests, intervals, and how many rows a decision takes.

Pure functions of counts and a seed. What the figures mean for a release is decided in `gates/`. McNemar's tail is
`scipy.special.betainc`, equal to `scipy.stats.binomtest` to 1e-9 at a quarter of its import time; Wilson's interval and
Holm's steps are a few lines each, held in the tests against scipy and statsmodels, which every judging process would
otherwise import for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Interval = tuple[float, float]
# One row won outright and one lost outright, as a spread: two parts of size 1.
UNSEEN = math.sqrt(2.0)


@dataclass(frozen=True, slots=True)
class McNemar:
    """The exact McNemar test on pairs of right/wrong.

    Attributes:
        wins: pairs where only the candidate is right.
        losses: pairs where only the baseline is right.
        p_better: one-sided p-value against "the candidate is not better".
        p_worse: one-sided p-value against "the candidate is not worse".
        p_two_sided: twice the smaller one, at most 1.
    """

    wins: int
    losses: int
    p_better: float
    p_worse: float
    p_two_sided: float


def mcnemar_exact(wins: int, losses: int) -> McNemar:
    """Test whether wins and losses differ by more than a fair coin explains.

    Given the number of discordant pairs, wins are Binomial(wins + losses, 1/2) when neither model is better; the
    tail is the regularised incomplete beta function, P(X >= k) = I_1/2(k, n - k + 1), exact and fast for any n.
    Source: McNemar, Psychometrika 12 (1947), in its exact conditional form.

    Args:
        wins: pairs where only the candidate is right, 0 or more.
        losses: pairs where only the baseline is right, 0 or more.

    Returns:
        Both one-sided p-values and the two-sided one; all 1 when no pair is discordant.
    """
    if wins < 0 or losses < 0:
        raise ValueError(f"counts must not be negative: {wins} wins, {losses} losses")
    total = wins + losses
    p_better = _fair_coin_tail(wins, total)
    p_worse = _fair_coin_tail(losses, total)
    return McNemar(wins, losses, p_better, p_worse, min(1.0, 2.0 * min(p_better, p_worse)))


def _fair_coin_tail(at_least: int, tosses: int) -> float:
    """Return P(X >= at_least) for X ~ Binomial(tosses, 1/2)."""
    if at_least == 0:
        return 1.0
    from scipy.special import betainc

    return float(betainc(at_least, tosses - at_least + 1, 0.5))


def wilson_interval(successes: int, rows: int, *, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a share (Wilson, JASA 22, 1927).

    Args:
        successes: how many of the rows succeeded.
        rows: how many rows there are, 0 or more.
        confidence: two-sided, between 0 and 1.

    Returns:
        Lower and upper bound in [0, 1]; (0, 1) when there are no rows.
    """
    if not 0 <= successes <= rows:
        raise ValueError(f"{successes} successes in {rows} rows")
    if rows == 0:
        return (0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    share = successes / rows
    centre = share + z * z / (2 * rows)
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    scale = 1 + z * z / rows
    low = 0.0 if successes == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if successes == rows else min(1.0, (centre + half) / scale)
    return (low, high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm, Scandinavian Journal of Statistics 6, 1979).

    Holding each adjusted value against alpha keeps the chance of any false alarm at or below alpha.

    Args:
        p_values: raw p-values in [0, 1], in any order.

    Returns:
        The adjusted values in the same order, each at least the raw one and at most 1.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def allow_for_unseen(interval: Interval, observed: float, rows: int, *, confidence: float) -> Interval:
    """Widen a bootstrap interval by what its rows cannot show.

    Where no row of 60 differs, every bootstrap says exactly zero. So each half is widened, as independent errors add,
    by what one row won outright and one lost outright would give it: sqrt(2) / (rows + 2) standard errors. It draws
    the bound that a handful of rows without a fault gives near Wilson's, and is nothing with many rows.

    Args:
        interval: of a figure whose rows count for 0 to 1.
        observed: the figure.
        rows: rows that it rests on.
        confidence: two-sided, of the interval.
    """
    unseen = NormalDist().inv_cdf(0.5 + confidence / 2.0) * UNSEEN / (rows + 2)
    low, high = interval
    below, above = max(0.0, observed - low), max(0.0, high - observed)
    return (observed - math.hypot(below, unseen), observed + math.hypot(above, unseen))


def macro_f1(expected: Sequence[Any], predicted: Sequence[Any]) -> float:
    """Return the mean F1 over the labels that occur in `expected`, each label weighing the same.

    F1 of a label is 2 tp / (2 tp + fp + fn). Labels that are only predicted count through the misses they cause:
    with the labels fixed by the test set two models are averaged over the same ones. Equal to scikit-learn's
    `f1_score(expected, predicted, labels=sorted(set(expected)), average="macro")`.

    Args:
        expected: the right label of each row, any hashable values.
        predicted: the answered label of each row, None for no valid answer.

    Returns:
        A value in [0, 1]; 0 when there are no rows.
    """
    if len(expected) != len(predicted):
        raise ValueError(f"{len(expected)} expected labels and {len(predicted)} predicted ones")
    support: dict[Any, int] = {}
    guesses: dict[Any, int] = {}
    hits: dict[Any, int] = {}
    for truth, guess in zip(expected, predicted, strict=True):
        support[truth] = support.get(truth, 0) + 1
        guesses[guess] = guesses.get(guess, 0) + 1
        if truth == guess:
            hits[truth] = hits.get(truth, 0) + 1
    if not support:
        return 0.0
    return math.fsum(2 * hits.get(label, 0) / (n + guesses.get(label, 0)) for label, n in support.items()) / len(
        support
    )


def micro_f1(expected: Sequence[Any], predicted: Sequence[Any]) -> float:
    """Return F1 over all decisions: 2 hits / (rows + answers given). None is no answer and no false hit.

    Equal to scikit-learn's `f1_score(average="micro")` over the labels that occur or are answered; with an answer to
    every row it is the accuracy.

    Args:
        expected: the right label of each row.
        predicted: the answered label of each row, None for no valid answer.

    Returns:
        A value in [0, 1]; 0 when there are no rows.
    """
    given = sum(guess is not None for guess in predicted)
    hits = sum(guess is not None and truth == guess for truth, guess in zip(expected, predicted, strict=True))
    return 2 * hits / (len(expected) + given) if expected else 0.0


def bootstrap_macro_f1(
    expected: Sequence[Any],
    candidate: Sequence[Any],
    baseline: Sequence[Any] | None = None,
    *,
    confidence: float = 0.90,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the bootstrap interval of macro-F1, or of its paired difference to a baseline, over resampled rows.

    Rows that agree in (expected, candidate, baseline) are interchangeable, so a resample is a multinomial draw over
    the distinct triples. In each resample the mean is taken over the labels that occur in it.

    Args:
        expected: the right labels.
        candidate: the candidate's labels, None for no valid answer.
        baseline: the baseline's labels on the same rows, or None for the candidate's own score.
        confidence: two-sided, between 0 and 1.
        resamples: how many draws.
        seed: any non-negative integer.

    Returns:
        Lower and upper bound; the widest possible when there are no rows.
    """
    if not expected:
        return (-1.0, 1.0) if baseline is not None else (0.0, 1.0)
    import numpy as np

    second = candidate if baseline is None else baseline
    cells: dict[tuple[Any, Any, Any], int] = {}
    for cell in zip(expected, candidate, second, strict=True):
        cells[cell] = cells.get(cell, 0) + 1
    labels = {label: index for index, label in enumerate(dict.fromkeys(expected))}
    truth = _codes([cell[0] for cell in cells], labels)
    first_codes = _codes([cell[1] for cell in cells], labels)
    second_codes = _codes([cell[2] for cell in cells], labels)
    shares = np.fromiter(cells.values(), dtype=np.float64) / len(expected)
    generator = np.random.default_rng(seed)
    values = np.empty(resamples)
    block = max(1, 4_000_000 // len(cells))  # bounds the draws held at once to about 32 MB
    for start in range(0, resamples, block):
        stop = min(resamples, start + block)
        draws = generator.multinomial(len(expected), shares, size=stop - start).astype(np.float64)
        values[start:stop] = _macro_f1_rows(draws, truth, first_codes, len(labels))
        if baseline is not None:
            values[start:stop] -= _macro_f1_rows(draws, truth, second_codes, len(labels))
    observed = macro_f1(expected, candidate) - (macro_f1(expected, baseline) if baseline is not None else 0.0)
    low, high = allow_for_unseen(_percentile(values, confidence), observed, len(expected), confidence=confidence)
    return (max(-1.0 if baseline is not None else 0.0, low), min(1.0, high))


def _codes(values: Sequence[Any], labels: dict[Any, int]) -> NDArray[np.int64]:
    import numpy as np

    # Labels that the test set does not hold share one code past the end; it is never averaged in.
    return np.array([labels.get(value, len(labels)) for value in values], dtype=np.int64)


def _macro_f1_rows(
    draws: NDArray[np.float64], truth: NDArray[np.int64], guess: NDArray[np.int64], labels: int
) -> NDArray[np.float64]:
    """Return macro-F1 of each resample; `draws` is [resamples, cells], the codes are one for each cell."""
    import numpy as np

    support = _sums(draws, truth, labels)
    guesses = _sums(draws, guess, labels)
    hits = _sums(draws * (truth == guess), truth, labels)
    present = support > 0
    f1 = np.divide(2 * hits, support + guesses, out=np.zeros_like(hits), where=present)
    means: NDArray[np.float64] = f1.sum(axis=1) / present.sum(axis=1)
    return means


def _sums(draws: NDArray[np.float64], codes: NDArray[np.int64], labels: int) -> NDArray[np.float64]:
    """Sum the draws of the cells of each label: [resamples, cells] to [resamples, labels]."""
    import numpy as np

    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    totals = np.concatenate([np.zeros((len(draws), 1)), np.cumsum(draws[:, order], axis=1)], axis=1)
    edges = np.searchsorted(ordered, np.arange(labels + 1))
    sums: NDArray[np.float64] = totals[:, edges[1:]] - totals[:, edges[:-1]]
    return sums


def _percentile(values: NDArray[np.float64], confidence: float) -> Interval:
    import numpy as np

    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return (float(low), float(high))
