"""The rules one by one: each gate is a function of the evidence and the configuration.

A rule that cannot be judged is INCONCLUSIVE, never a PASS; nothing here looks at a model or a file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from finetune_assets.evaluation.comparison import (
    Comparison,
    Pair,
    SliceComparison,
    both_wrong,
    more_rows_to_decide,
    new_failures,
)
from finetune_assets.evaluation.config import GateConfig
from finetune_assets.evaluation.planning import rows_needed_for_floor
from finetune_assets.evaluation.scores import Scores, label_of
from finetune_assets.evaluation.statistics import Interval, bootstrap_macro_f1, wilson_interval
from finetune_assets.evaluation.wording import interval_text, p_text, percent, points

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's verdict.

    Attributes:
        name: the gate, for instance `beats_baseline` or `floor:exact`.
        verdict: PASS, FAIL or INCONCLUSIVE.
        observed: the figure judged, None where nothing was observed.
        threshold: what it was held against, None where there is no number.
        interval: interval of the figure, where there is one.
        p_value: of the test that decided, where there is one.
        reason: one sentence for a person.
        more_rows_needed: estimated further test rows that would decide, for INCONCLUSIVE where it can be said.
        records: record ids that the gate speaks of, sorted; never texts.
    """

    name: str
    verdict: Outcome
    observed: float | None
    threshold: float | None
    reason: str
    interval: Interval | None = None
    p_value: float | None = None
    more_rows_needed: int | None = None
    records: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the gate's result as JSON."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "observed": self.observed,
            "threshold": self.threshold,
            "interval": None if self.interval is None else list(self.interval),
            "p_value": self.p_value,
            "reason": self.reason,
            "more_rows_needed": self.more_rows_needed,
            "records": list(self.records),
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the gates look at, computed once.

    Attributes:
        pairs: candidate and baseline, row by row.
        candidate: the candidate's scores.
        baseline: the baseline's scores.
        comparison: the two on all rows.
        slices: the two on each slice.
        trivial: the candidate against each trivial baseline; None when none were measured.
    """

    pairs: tuple[Pair, ...]
    candidate: Scores
    baseline: Scores
    comparison: Comparison
    slices: tuple[SliceComparison, ...]
    trivial: dict[str, Comparison] | None


def rows_gate(evidence: Evidence, config: GateConfig) -> GateResult:
    """Enough test rows to say anything at all."""
    rows = evidence.candidate.rows
    if rows >= config.min_rows:
        return GateResult("rows", "PASS", rows, config.min_rows, f"{rows} test rows, at least {config.min_rows} asked.")
    return GateResult(
        "rows",
        "INCONCLUSIVE",
        rows,
        config.min_rows,
        f"Only {rows} test rows, {config.min_rows} are asked: nothing can pass on so few.",
        more_rows_needed=config.min_rows - rows,
    )


def coverage_gate(evidence: Evidence, config: GateConfig) -> GateResult:
    """The candidate answered the rows that it was asked; a row without an answer counts as wrong besides."""
    return _share_gate("coverage", evidence.candidate.coverage, config.min_coverage, evidence, "have an answer")


def parse_rate_gate(evidence: Evidence, config: GateConfig) -> GateResult:
    """The candidate's answers are well-formed and legal."""
    return _share_gate(
        "parse_rate", evidence.candidate.parse_rate, config.min_parse_rate, evidence, "have a valid answer"
    )


def _share_gate(name: str, observed: float, threshold: float, evidence: Evidence, words: str) -> GateResult:
    rows = evidence.candidate.rows
    if rows == 0:
        return GateResult(name, "INCONCLUSIVE", None, threshold, "There are no test rows.")
    # A fact about this run, not a claim about others: no interval.
    verdict: Outcome = "PASS" if observed >= threshold else "FAIL"
    missed = rows - round(observed * rows)
    problems = ", ".join(f"{problem} {count}" for problem, count in evidence.candidate.problems.items())
    told = f" ({problems})" if missed and problems else ""
    reason = f"{rows - missed} of {rows} rows {words}{told}, {percent(threshold)} asked."
    return GateResult(name, verdict, observed, threshold, reason)


def baseline_coverage_gate(evidence: Evidence, config: GateConfig) -> GateResult:
    """The baseline was measured in full: rows that it never answered must not be credited to the candidate."""
    observed, rows = evidence.baseline.coverage, evidence.baseline.rows
    if rows and observed >= config.min_coverage:
        reason = f"The baseline answered {round(observed * rows)} of {rows} rows."
        return GateResult("baseline_coverage", "PASS", observed, config.min_coverage, reason)
    if not rows:
        return GateResult("baseline_coverage", "INCONCLUSIVE", None, config.min_coverage, "There are no test rows.")
    return GateResult(
        "baseline_coverage",
        "INCONCLUSIVE",
        observed,
        config.min_coverage,
        f"The baseline answered only {round(observed * rows)} of {rows} rows; a comparison with it would flatter "
        "the candidate. Measure the baseline again.",
    )


def floor_gate(metric: str, floor: float, evidence: Evidence, config: GateConfig) -> GateResult:
    """A score reaches its floor, with its lower confidence bound."""
    name, rows = f"floor:{metric}", evidence.candidate.rows
    if rows == 0:
        return GateResult(name, "INCONCLUSIVE", None, floor, "There are no test rows.")
    observed = evidence.candidate.metric(metric)
    confidence = 1.0 - 2.0 * config.alpha
    more = None
    if metric == "macro_f1":
        interval = bootstrap_macro_f1(
            [ours.expected for ours, _ in evidence.pairs],
            [label_of(ours) for ours, _ in evidence.pairs],
            confidence=confidence,
            resamples=config.resamples,
            seed=config.seed,
        )
    else:
        successes = round(observed * rows)
        interval = wilson_interval(successes, rows, confidence=confidence)
        needed = rows_needed_for_floor(successes, rows, floor, alpha=config.alpha)
        more = needed - rows if needed is not None and needed > rows else None
    said = f"{metric} is {percent(observed)}, {interval_text(interval)} at {percent(confidence)} confidence"
    if observed < floor:
        return GateResult(name, "FAIL", observed, floor, f"{said}: below the floor {percent(floor)}.", interval)
    if interval[0] >= floor:
        return GateResult(name, "PASS", observed, floor, f"{said}: above the floor {percent(floor)}.", interval)
    return GateResult(
        name,
        "INCONCLUSIVE",
        observed,
        floor,
        f"{said}: above the floor {percent(floor)}, but the lower bound is not.{_more_text(more)}",
        interval,
        more_rows_needed=more,
    )


def improvement_gate(evidence: Evidence, config: GateConfig) -> GateResult:
    """The candidate is shown to be better than the baseline, by the gain that is asked."""
    comparison, asked = evidence.comparison, config.min_improvement
    result = replace(_beats("beats_baseline", "the baseline", comparison, config), threshold=asked)
    if result.verdict == "FAIL" or comparison.rows == 0 or comparison.difference >= asked or asked == 0.0:
        return result
    if comparison.interval[1] < asked:
        reason = f"{_difference_text(comparison)}: the gain of {points(asked)} that is asked is excluded."
        return _comparison_result("beats_baseline", "FAIL", comparison, asked, reason)
    # The upper bound closes in as 1/sqrt(rows); planned for the rows at which it would fall below what is asked.
    half = comparison.interval[1] - comparison.difference
    more = math.ceil(comparison.rows * (half / (asked - comparison.difference)) ** 2) - comparison.rows
    reason = f"{_difference_text(comparison)}: the gain of {points(asked)} that is asked is not reached, nor excluded."
    return _comparison_result(
        "beats_baseline", "INCONCLUSIVE", comparison, asked, reason + _more_text(max(1, more)), max(1, more)
    )


def trivial_gates(evidence: Evidence, config: GateConfig) -> list[GateResult]:
    """The candidate is shown to be better than each trivial baseline that the configuration names."""
    if evidence.trivial is None:
        return []
    results = []
    for name in config.beat:
        comparison = evidence.trivial.get(name)
        if comparison is None:
            reason = f"The baseline {name} was not measured."
            results.append(GateResult(f"beats_{name}", "INCONCLUSIVE", None, 0.0, reason))
        else:
            results.append(_beats(f"beats_{name}", name, comparison, config))
    return results


def _beats(name: str, rival: str, comparison: Comparison, config: GateConfig) -> GateResult:
    if comparison.rows == 0:
        return GateResult(name, "INCONCLUSIVE", None, 0.0, "There are no test rows.")
    said = _difference_text(comparison)
    if comparison.better:
        reason = f"{said}: better than {rival} (one-sided exact McNemar {p_text(comparison.p_better)})."
        return _comparison_result(name, "PASS", comparison, 0.0, reason)
    if comparison.worse:
        reason = f"{said}: worse than {rival} (one-sided exact McNemar {p_text(comparison.p_worse)})."
        return _comparison_result(name, "FAIL", comparison, 0.0, reason)
    more, effect = more_rows_to_decide(comparison, smallest_difference=config.smallest_difference, power=config.power)
    reason = f"{said}: neither better nor worse than {rival} can be shown ({p_text(comparison.p_better)})."
    if more is None:
        reason += f" The rows suffice to show {points(effect)}; a real difference is probably smaller."
    else:
        reason += f" About {more} more test rows would show a difference of {points(effect)}."
    return _comparison_result(name, "INCONCLUSIVE", comparison, 0.0, reason, more)


def _comparison_result(
    name: str, verdict: Outcome, comparison: Comparison, threshold: float, reason: str, more: int | None = None
) -> GateResult:
    return GateResult(
        name,
        verdict,
        comparison.difference,
        threshold,
        reason,
        comparison.interval,
        comparison.p_worse if comparison.worse else comparison.p_better,
        more,
    )


def critical_gate(evidence: Evidence, config: GateConfig) -> GateResult:
    """No critical row that the baseline has right is wrong now; one that both have wrong is no regression."""
    rule = config.critical
    if rule is None:
        return GateResult("critical", "PASS", None, None, "The task declares no critical rows, so none are protected.")
    pairs = [pair for pair in evidence.pairs if rule.slice in pair[0].slices]
    if not pairs:
        reason = f"The test set has no row of the slice {rule.slice}; the rule protects nothing."
        return GateResult("critical", "INCONCLUSIVE", None, rule.max_new_failures, reason)
    broken, hopeless = new_failures(pairs), both_wrong(pairs)
    verdict: Outcome = "PASS" if len(broken) <= rule.max_new_failures else "FAIL"
    reason = (
        f"{len(broken)} of {len(pairs)} critical rows that the baseline has right are wrong now, "
        f"{rule.max_new_failures} allowed; {len(hopeless)} are wrong in both, which is no regression."
    )
    return GateResult("critical", verdict, len(broken), rule.max_new_failures, reason, records=tuple(broken))


def slices_gate(evidence: Evidence, config: GateConfig) -> GateResult:
    """No slice is shown to be worse than the baseline by more than the margin (Holm over the slices)."""
    if not evidence.slices:
        return GateResult("slices", "PASS", None, None, "No slice occurs in the test set.")
    worst = min(evidence.slices, key=lambda part: (part.comparison.difference, part.name))
    observed = worst.comparison.difference
    lost = [part for part in evidence.slices if part.worse and part.comparison.difference < -config.slice_margin]
    p_value = min(part.p_worse_holm for part in evidence.slices)
    if lost:
        names = ", ".join(f"{part.name} ({points(part.comparison.difference)})" for part in lost)
        reason = f"Shown to be worse than the baseline on: {names}."
        return GateResult("slices", "FAIL", observed, 0.0 - config.slice_margin, reason, p_value=p_value)
    reason = (
        f"None of {len(evidence.slices)} slices is shown to be worse than the baseline; "
        f"the lowest difference is {points(observed)} on {worst.name}."
    )
    return GateResult("slices", "PASS", observed, 0.0 - config.slice_margin, reason, p_value=p_value)


def _difference_text(comparison: Comparison) -> str:
    low, high = comparison.interval
    return (
        f"{points(comparison.difference)} ({100 * low:+.1f} to {100 * high:+.1f} at "
        f"{100 * comparison.confidence:.0f} % confidence; {comparison.wins} won, {comparison.losses} lost "
        f"of {comparison.rows})"
    )


def _more_text(more: int | None) -> str:
    return "" if more is None else f" About {more} more test rows would decide."
