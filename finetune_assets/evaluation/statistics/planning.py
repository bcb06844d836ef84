"""How many rows a decision takes: the power of the exact McNemar test and the sample sizes that follow from it."""

from __future__ import annotations

import math
from statistics import NormalDist

# Above this many pairs the normal formula and the exact power agree to the row's per mille; below it we compute.
_EXACT_POWER_UP_TO = 200_000


def mcnemar_power(rows: int, *, discordant_share: float, difference: float, alpha: float = 0.05) -> float:
    """Return the chance that the one-sided exact McNemar test shows a true difference.

    Unconditional: summed over how many of the rows turn out discordant.

    Args:
        rows: pairs to be judged, 0 or more.
        discordant_share: share of pairs on which the models differ in being right, in (0, 1].
        difference: true difference in accuracy, in (0, discordant_share].
        alpha: level of the test.

    Returns:
        A probability in [0, 1].
    """
    _check_planning(discordant_share, difference)
    if rows == 0:
        return 0.0
    import numpy as np
    from scipy.stats import binom

    low, high = binom.ppf([1e-12, 1 - 1e-12], rows, discordant_share)
    discordant = np.arange(int(low), int(high) + 1)
    win_share = 0.5 + difference / (2 * discordant_share)
    # Smallest number of wins whose fair-coin tail is at most alpha; a tail that no count reaches is never rejected.
    critical = binom.isf(alpha, discordant, 0.5) + 1
    reach = np.where(critical <= discordant, binom.sf(critical - 1, discordant, win_share), 0.0)
    return float(min(1.0, np.sum(binom.pmf(discordant, rows, discordant_share) * reach)))


def rows_needed(*, discordant_share: float, difference: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return how many pairs the one-sided exact McNemar test needs to show a difference with the given power.

    Starts from the normal formula n = (z_alpha sqrt(s) + z_power sqrt(s - d^2))^2 / d^2 (Connor, Biometrics 43, 1987)
    and grows it until the exact power is reached: the exact test is conservative and needs a little more.

    Args:
        discordant_share: share of pairs on which the models differ in being right, in (0, 1].
        difference: difference in accuracy to be shown, in (0, discordant_share].
        alpha: level of the test.
        power: wanted chance of showing it, between 0 and 1.

    Returns:
        The number of pairs, 1 or more.
    """
    _check_planning(discordant_share, difference)
    normal = NormalDist()
    z_alpha, z_power = normal.inv_cdf(1 - alpha), normal.inv_cdf(power)
    spread = math.sqrt(max(0.0, discordant_share - difference * difference))
    rows = math.ceil(((z_alpha * math.sqrt(discordant_share) + z_power * spread) / difference) ** 2)
    rows = max(1, rows)
    while rows <= _EXACT_POWER_UP_TO:
        reached = mcnemar_power(rows, discordant_share=discordant_share, difference=difference, alpha=alpha)
        if reached >= power:
            return rows
        rows += max(1, rows // 100)
    return rows


def _check_planning(discordant_share: float, difference: float) -> None:
    if not 0 < difference <= discordant_share <= 1:
        raise ValueError(f"difference {difference} must be in (0, {discordant_share}], the discordant share in (0, 1]")


def rows_for_gain(spread: float, effect: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return how many pairs a one-sided paired test of a mean needs: n = ((z_alpha + z_power) spread / effect)^2.

    Args:
        spread: standard deviation of one pair's part in the gain, 0 or more.
        effect: gain to be shown, above 0.
        alpha: level of the test.
        power: wanted chance of showing it, between 0 and 1.

    Returns:
        The number of pairs, 1 or more. An estimate: the spread is itself estimated.
    """
    if effect <= 0:
        raise ValueError(f"effect {effect} must be above 0")
    normal = NormalDist()
    return max(1, math.ceil(((normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)) * spread / effect) ** 2))


def rows_needed_for_floor(successes: int, rows: int, floor: float, *, alpha: float = 0.05) -> int | None:
    """Return how many rows lift Wilson's one-sided lower bound to the floor if the observed share holds.

    Args:
        successes: successes so far.
        rows: rows so far, 1 or more.
        floor: the share to be shown, in [0, 1].
        alpha: one-sided level of the bound.

    Returns:
        The total number of rows, or None when the observed share does not lie above the floor.
    """
    share = successes / rows
    if share <= floor:
        return None
    # The bound meets the floor where (share - floor)^2 = z^2 floor (1 - floor) / n: Wilson inverts the score test.
    z = NormalDist().inv_cdf(1 - alpha)
    return max(1, math.ceil(z * z * floor * (1 - floor) / (share - floor) ** 2))
