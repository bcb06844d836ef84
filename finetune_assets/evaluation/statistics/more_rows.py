"""What it would take to decide: further test rows for a comparison that showed nothing."""

from __future__ import annotations

import math

from finetune_assets.evaluation.statistics.comparison import Comparison
from finetune_assets.evaluation.statistics.planning import rows_for_gain, rows_needed
from finetune_assets.evaluation.statistics.resampling import rows_that_clear
from finetune_assets.evaluation.statistics.score_interval import rows_for_margin


def more_rows_to_decide(
    comparison: Comparison, *, smallest_difference: float, power: float = 0.8
) -> tuple[int | None, float]:
    """Say how many more rows would decide a comparison that showed neither better nor worse.

    Planned for the observed difference, or for the smallest one that matters when the observed is smaller still,
    with the observed spread of the rows. An estimate: both figures are themselves uncertain.

    Args:
        comparison: an undecided comparison.
        smallest_difference: the smallest gain worth deciding, in (0, 1].
        power: wanted chance of a decision.

    Returns:
        (further rows, the gain planned for); the rows are None when the test set is already large enough to
        show that gain, that is when a real one is probably smaller, or when nothing can be planned.
    """
    effect = max(abs(comparison.difference), smallest_difference)
    if comparison.measure.kind == "share":
        observed = (comparison.wins + comparison.losses) / comparison.rows if comparison.rows else 0.0
        needed = rows_needed(
            discordant_share=min(1.0, max(observed, effect)), difference=effect, alpha=comparison.alpha, power=power
        )
    elif math.isfinite(comparison.spread):
        needed = rows_for_gain(comparison.spread, effect, alpha=comparison.alpha, power=power)
    else:
        return None, effect
    return (needed - comparison.rows if needed > comparison.rows else None), effect


def more_rows_for_margin(comparison: Comparison, margin: float, *, power: float = 0.8) -> int | None:
    """Say how many more rows would show that the candidate is not worse by more than a margin.

    Args:
        comparison: one whose lower bound does not clear the margin.
        margin: loss that is tolerated, 0 or more.
        power: wanted chance of showing it if the observed gain is the true one.

    Returns:
        Further rows; None when the observed gain itself lies at or below the margin, so that more rows would rather
        show the opposite, or when nothing can be planned.
    """
    room = comparison.difference + margin
    if room <= 0 or not math.isfinite(comparison.spread):
        return None
    planned = rows_for_gain(comparison.spread, room, alpha=comparison.alpha, power=power)
    # Rows that hardly differ have next to no spread; how far the interval reaches all the same is asked of it.
    if comparison.measure.kind == "share":
        cleared = rows_for_margin(
            comparison.wins, comparison.losses, comparison.rows, margin, confidence=comparison.confidence
        )
    else:
        cleared = rows_that_clear(comparison.spread, room, confidence=comparison.confidence)
    return max(1, max(planned, cleared or 0) - comparison.rows)
