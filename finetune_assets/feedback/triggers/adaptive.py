"""The threshold of error cases that follows what earlier releases gained and cost; off by default.

Rules and factors are those of source 001 (GAInTheHouse/Adaptive-Self-Learning-Agentic-AI-System,
`src/agent/adaptive_scheduler.py`, `adjust_threshold_n`, read 2026-11-21); there each run adjusts a stored number, here
the number is computed anew from the history, so that it cannot drift away from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from finetune_assets.feedback.triggers.policy import Adaptive

# Factors of source 001, exact so that the truncation to whole cases is the same everywhere.
DIMINISHING, INEFFICIENT = Fraction(120, 100), Fraction(115, 100)
SMALL, GOOD = Fraction(130, 100), Fraction(90, 100)
DECLINING, IMPROVING = Fraction(95, 100), Fraction(110, 100)
LOW_EFFICIENCY = 0.5
TREND = 0.01
"""Change of accuracy a release, 0 to 1, from which it counts as improving or declining."""
TREND_POINTS, GAIN_POINTS = 10, 3


@dataclass(frozen=True, slots=True)
class Adaptation:
    """A threshold and how it came about.

    Attributes:
        threshold: error cases that the rule `error_cases` asks for.
        steps: one for each earlier release that moved it: its number, the factors by name and the threshold after it.
    """

    threshold: int
    steps: tuple[Mapping[str, Any], ...] = ()


def adapted_threshold(history: Sequence[Mapping[str, float]], start: int, config: Adaptive) -> Adaptation:
    """Return the threshold after the given releases.

    Args:
        history: earlier releases, oldest first: `gain` (difference to what was live, 0 to 1), `cost_usd` (US dollars,
            where known) and `accuracy` (its score by the primary measure, where known). Rows without a gain are left
            out.
        start: the threshold before any release.
        config: bounds, points and limits; where it is not enabled, `start` is returned.

    Returns:
        `start` itself below `config.min_points` releases; from then on a number within the bounds.
    """
    if not config.enabled:
        return Adaptation(start)
    rows = [row for row in history if "gain" in row]
    threshold, steps = start, []
    for number in range(config.min_points, len(rows) + 1):
        factors = _factors(rows[:number], config)
        factor = Fraction(1)
        for value in factors.values():
            factor *= value
        threshold = max(config.lowest, min(config.highest, int(threshold * factor)))
        named = {name: float(value) for name, value in factors.items()}
        steps.append({"release": number, "factors": named, "threshold": threshold})
    return Adaptation(threshold, tuple(steps))


def _factors(rows: Sequence[Mapping[str, float]], config: Adaptive) -> dict[str, Fraction]:
    """Return what each circumstance multiplies the threshold by; those that do not apply are left out."""
    found: dict[str, Fraction] = {}
    gains = [row["gain"] for row in rows]
    if _diminishing(gains[-GAIN_POINTS:], config):
        found["diminishing_gains"] = DIMINISHING
    if _efficiency(rows, config) < LOW_EFFICIENCY:
        found["poor_cost_efficiency"] = INEFFICIENT
    if gains[-1] < config.small_gain:
        found["small_gain"] = SMALL
    elif gains[-1] > config.good_gain:
        found["good_gain"] = GOOD
    trend = slope([row["accuracy"] for row in rows[-TREND_POINTS:] if "accuracy" in row])
    if trend < -TREND:
        found["accuracy_declining"] = DECLINING
    elif trend > TREND:
        found["accuracy_improving"] = IMPROVING
    return found


def _diminishing(gains: Sequence[float], config: Adaptive) -> bool:
    if len(gains) < 2:
        return False
    falling = len(gains) >= GAIN_POINTS and slope(gains) < 0 and gains[-1] < config.good_gain
    return gains[-1] < config.small_gain or falling


def _efficiency(rows: Sequence[Mapping[str, float]], config: Adaptive) -> float:
    """Return gain for each dollar, 1 being efficient; 1 where nothing was spent."""
    cost = sum(row.get("cost_usd", 0.0) for row in rows)
    return 1.0 if cost <= 0 else min(1.0, sum(row["gain"] for row in rows) / cost / config.efficient_gain_per_usd)


def slope(values: Sequence[float]) -> float:
    """Return the least-squares slope of values at 0, 1, 2, …; 0 for fewer than two."""
    if len(values) < 2:
        return 0.0
    middle = (len(values) - 1) / 2.0
    mean = sum(values) / len(values)
    spread = sum((place - middle) ** 2 for place in range(len(values)))
    return sum((place - middle) * (value - mean) for place, value in enumerate(values)) / spread
