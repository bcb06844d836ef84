"""How figures are written for a person: shares in per cent, differences in points, p-values, counts."""

from __future__ import annotations

from finetune_assets.evaluation.statistics import Interval


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal, as many as the test sets bear."""
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """Return a difference of shares in signed percentage points."""
    rounded = round(100 * difference, 1) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{rounded:+.1f} points" if rounded else "0.0 points"


def plain_points(difference: float) -> str:
    """Return the size of a difference of shares in percentage points, without a sign."""
    return f"{abs(100 * difference):.1f} points"


def interval_text(interval: Interval) -> str:
    """Return an interval of shares in per cent."""
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"


def p_text(p_value: float) -> str:
    """Return a p-value as a person reads it, with its sign: `p = 0.0193` or `p < 0.0001`."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.4f}"
