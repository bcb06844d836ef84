"""How figures are written for a person: shares in per cent, differences in points, p-values, counts."""

from __future__ import annotations

import math

from finetune_assets.evaluation.statistics.exact import Interval


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal, as many as the test sets bear."""
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """Return a difference of shares in signed percentage points."""
    rounded = round(100 * difference, 1) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{rounded:+.1f} points" if rounded else "0.0 points"


def figure(value: float | None, *, as_percent: bool) -> str:
    """Return a score: a share in per cent, another figure with three decimals, – where there is none."""
    if value is None:
        return "–"
    return percent(value) if as_percent else f"{value:.3f}"


def gain_text(difference: float, *, as_percent: bool) -> str:
    """Return a gain with its sign: points for a share, three decimals for another figure."""
    if as_percent:
        return points(difference)
    rounded = round(difference, 3) + 0.0
    return f"{rounded:+.3f}" if rounded else "0.000"


def gain_interval_text(interval: Interval, *, as_percent: bool) -> str:
    """Return the interval of a gain; `unknown` where nothing was observed."""
    low, high = interval
    if not (math.isfinite(low) and math.isfinite(high)):
        return "unknown"
    return f"{100 * low:+.1f} to {100 * high:+.1f}" if as_percent else f"{low:+.3f} to {high:+.3f}"


def p_text(p_value: float) -> str:
    """Return a p-value as a person reads it, with its sign: `p = 0.0193` or `p < 0.0001`."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.4f}"


_GATES = {
    "rows": "There are enough test rows to say anything.",
    "coverage": "The candidate answered the test rows that it was asked.",
    "baseline_coverage": "The baseline was measured in full.",
    "parse_rate": "The candidate's answers are well-formed and legal.",
    "beats_baseline": "Shown to be better than the baseline (or not worse, where YAML says so), on the same rows.",
    "critical": "No critical row that the baseline has right is lost.",
    "slices": "No slice of the test set loses more than its margin.",
    "per_sample": "Few single rows lose, and none loses much.",
    "latency": "Answers come in time.",
    "forgetting": "General questions are not unlearned.",
    "floor": "A score reaches its floor with its lower confidence bound.",
    "ceiling": "An error stays below its ceiling with its upper confidence bound.",
    "llm_judge": "The judging model, whose agreement with people was measured, sees no loss.",
    "suite": "A regression suite loses no more than it may.",
}


def about(gate: str) -> str:
    """Return what a gate proves, in one sentence for a person."""
    kind, _, rest = gate.partition(":")
    if rest:
        return f"{_GATES[kind]} ({rest})"
    if kind.startswith("beats_") and kind not in _GATES:
        return f"Shown to be better than the trivial baseline {kind.removeprefix('beats_')}, on the same rows."
    return _GATES[kind]
