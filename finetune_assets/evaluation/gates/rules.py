"""The rules one by one: each gate is a function of the evidence and the configuration.

Here are the rules on the answers as a whole and on the comparison with other models; limits on figures, rows and time
are in `limits.py`. A rule that cannot be judged is INCONCLUSIVE, never a PASS; nothing here looks at a model or
a file.
"""

from __future__ import annotations

import math
from dataclasses import replace

from finetune_assets.evaluation.config import GateConfig
from finetune_assets.evaluation.gates.evidence import Evidence, GateResult, Outcome
from finetune_assets.evaluation.statistics.comparison import (
    Comparison,
    SliceComparison,
    both_wrong,
    new_failures,
)
from finetune_assets.evaluation.statistics.exact import Interval
from finetune_assets.evaluation.statistics.more_rows import more_rows_for_margin, more_rows_to_decide
from finetune_assets.evaluation.wording import gain_interval_text, gain_text, p_text, percent


def rows_gate(evidence: Evidence, config: GateConfig) -> GateResult:
    """Enough test rows to say anything at all."""
    rows = evidence.comparison.rows
    if why := evidence.meaningless.get(evidence.primary.name):
        reason = f"{evidence.primary.name} means nothing on these rows: {why}."
        return GateResult("rows", "INCONCLUSIVE", rows, config.min_rows, reason)
    told = "test rows" if rows == evidence.candidate.rows else f"test rows that {evidence.primary.name} applies to"
    if rows >= config.min_rows:
        return GateResult("rows", "PASS", rows, config.min_rows, f"{rows} {told}, at least {config.min_rows} asked.")
    return GateResult(
        "rows",
        "INCONCLUSIVE",
        rows,
        config.min_rows,
        f"Only {rows} {told}, {config.min_rows} are asked: nothing can pass on so few.",
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
    # Nothing at all is never enough, also where YAML asks for no share.
    verdict: Outcome = "PASS" if observed >= threshold and observed > 0 else "FAIL"
    missed = rows - round(observed * rows)
    problems = ", ".join(f"{problem} {count}" for problem, count in evidence.candidate.problems.items())
    told = f" ({problems})" if missed and problems else ""
    reason = f"{rows - missed} of {rows} rows {words}{told}, {percent(threshold)} asked."
    return GateResult(name, verdict, observed, threshold, reason)


def baseline_coverage_gate(evidence: Evidence, config: GateConfig) -> GateResult:
    """The baseline was measured in full: rows that it never answered must not be credited to the candidate."""
    observed, rows = evidence.baseline.coverage, evidence.baseline.rows
    if rows and observed >= config.min_coverage and observed > 0:
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


def improvement_gate(evidence: Evidence, config: GateConfig) -> GateResult:
    """The candidate is shown to be better than the baseline by the gain that is asked, or not worse than a live one."""
    comparison = evidence.comparison
    if config.against_baseline == "not_worse" and evidence.baseline_is_live:
        return _not_worse("beats_baseline", comparison, config.margin, config)
    asked = config.min_improvement
    result = replace(_beats("beats_baseline", "the baseline", comparison, config), threshold=asked)
    if result.verdict == "FAIL" or comparison.rows == 0 or comparison.difference >= asked or asked == 0.0:
        return result
    percents = comparison.measure.as_percent
    wanted = f"{difference_text(comparison)}: the gain of {gain_text(asked, as_percent=percents)} that is asked is"
    if comparison.interval[1] < asked:
        return _comparison_result("beats_baseline", "FAIL", comparison, asked, f"{wanted} excluded.")
    # The upper bound closes in as 1/sqrt(rows); planned for the rows at which it would fall below what is asked.
    half = comparison.interval[1] - comparison.difference
    planned = comparison.rows * (half / (asked - comparison.difference)) ** 2
    more = max(1, math.ceil(planned) - comparison.rows) if math.isfinite(planned) else None
    reason = f"{wanted} not reached, nor excluded.{more_text(more)}"
    return _comparison_result("beats_baseline", "INCONCLUSIVE", comparison, asked, reason, more)


def _not_worse(name: str, comparison: Comparison, margin: float, config: GateConfig) -> GateResult:
    if comparison.rows == 0:
        return GateResult(name, "INCONCLUSIVE", None, -margin, "There are no test rows.")
    said, loss = difference_text(comparison), gain_text(margin, as_percent=comparison.measure.as_percent).lstrip("+")
    if comparison.interval[0] > -margin:
        reason = f"{said}: a loss of {loss} or more is excluded."
        return _comparison_result(name, "PASS", comparison, -margin, reason)
    if comparison.worse and comparison.difference < -margin:
        reason = f"{said}: worse than the baseline ({comparison.test} {p_text(comparison.p_worse)})."
        return _comparison_result(name, "FAIL", comparison, -margin, reason)
    more = more_rows_for_margin(comparison, margin, power=config.power)
    reason = f"{said}: a loss of {loss} is neither shown nor excluded.{more_text(more)}"
    return _comparison_result(name, "INCONCLUSIVE", comparison, -margin, reason, more)


def trivial_gates(evidence: Evidence, config: GateConfig) -> list[GateResult]:
    """The candidate is shown to be better than each trivial baseline that the configuration names."""
    results = []
    for name in config.beat:
        comparison = (evidence.trivial or {}).get(name)
        if comparison is None:
            reason = f"The baseline {name} was not measured: perhaps it does not exist for this task."
            results.append(GateResult(f"beats_{name}", "INCONCLUSIVE", None, 0.0, reason))
        else:
            results.append(_beats(f"beats_{name}", name, comparison, config))
    return results


def _beats(name: str, rival: str, comparison: Comparison, config: GateConfig) -> GateResult:
    if comparison.rows == 0:
        return GateResult(name, "INCONCLUSIVE", None, 0.0, "There are no test rows.")
    said = difference_text(comparison)
    if comparison.better:
        reason = f"{said}: better than {rival} ({comparison.test} {p_text(comparison.p_better)})."
        return _comparison_result(name, "PASS", comparison, 0.0, reason)
    if comparison.worse:
        reason = f"{said}: worse than {rival} ({comparison.test} {p_text(comparison.p_worse)})."
        return _comparison_result(name, "FAIL", comparison, 0.0, reason)
    more, effect = more_rows_to_decide(comparison, smallest_difference=config.smallest_difference, power=config.power)
    size = gain_text(effect, as_percent=comparison.measure.as_percent)
    reason = f"{said}: neither better nor worse than {rival} can be shown ({p_text(comparison.p_better)})."
    if more is None:
        reason += f" The rows suffice to show {size}; a real difference is probably smaller."
    else:
        reason += f" About {more} more test rows would show a difference of {size}."
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
        finite(comparison.interval),
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
    """No slice loses more than its margin against the baseline.

    FAIL needs a loss that is shown with Holm's correction over the slices. PASS needs every slice to pass, an
    intersection-union test, which keeps its level without a correction (Berger, Technometrics 24, 1982).
    """
    margin = config.slice_margin
    if not evidence.slices:
        return GateResult("slices", "PASS", None, None, "No slice occurs in the test set.")
    worst = min(evidence.slices, key=lambda part: (part.comparison.difference, part.name))
    observed = worst.comparison.difference
    p_value = min(part.p_worse_holm for part in evidence.slices)
    lost = [part for part in evidence.slices if part.worse and part.comparison.difference < -margin]
    if lost:
        names = ", ".join(_slice_text(part) for part in lost)
        reason = f"Shown to be worse than the baseline on: {names}."
        return GateResult("slices", "FAIL", observed, 0.0 - margin, reason, p_value=p_value)
    open_slices = _undecided(evidence, config)
    small = [part.name for part in evidence.slices if part.comparison.rows < config.slice_min_rows]
    told = f" Too small for more than that: {', '.join(small)}." if small else ""
    if open_slices:
        more = {part.name: need for part in open_slices if (need := _more_for(part, config)) is not None}
        names = ", ".join(
            f"{_slice_text(part)}" + (f" (about {more[part.name]} more rows)" if part.name in more else "")
            for part in open_slices
        )
        reason = f"A loss beyond the margin is neither shown nor excluded on: {names}.{told}"
        needed = max(more.values(), default=None)
        return GateResult(
            "slices", "INCONCLUSIVE", observed, 0.0 - margin, reason, None, p_value, needed, more_by_slice=more
        )
    reason = (
        f"None of {len(evidence.slices)} slices loses more than its margin; "
        f"the lowest gain is {_gain(worst.comparison)} on {worst.name}.{told}"
    )
    return GateResult("slices", "PASS", observed, 0.0 - margin, reason, p_value=p_value)


def _undecided(evidence: Evidence, config: GateConfig) -> list[SliceComparison]:
    """Return the slices, large enough to be asked, on which a loss beyond the margin is not excluded."""
    if config.slice_rule == "not_shown_worse":
        return []
    return [
        part
        for part in evidence.slices
        if part.comparison.rows >= config.slice_min_rows and part.comparison.interval[0] <= -config.slice_margin
    ]


def _more_for(part: SliceComparison, config: GateConfig) -> int | None:
    return more_rows_for_margin(part.comparison, config.slice_margin, power=config.power)


def _slice_text(part: SliceComparison) -> str:
    return f"{part.name} ({_gain(part.comparison)})"


def _gain(comparison: Comparison) -> str:
    return gain_text(comparison.difference, as_percent=comparison.measure.as_percent)


def difference_text(comparison: Comparison) -> str:
    """Return a comparison as a clause: gain, interval, rows won and lost."""
    percents = comparison.measure.as_percent
    counts = "" if comparison.measure.kind == "corpus" else f"; {comparison.wins} won, {comparison.losses} lost"
    return (
        f"{comparison.measure.name} {gain_text(comparison.difference, as_percent=percents)} "
        f"({gain_interval_text(comparison.interval, as_percent=percents)} at "
        f"{100 * comparison.confidence:.0f} % confidence{counts} of {comparison.rows})"
    )


def more_text(more: int | None) -> str:
    """Return the further rows that would decide as a sentence; "" when that is not known."""
    return "" if more is None else f" About {more} more test rows would decide."


def finite(interval: Interval) -> Interval | None:
    """Return an interval, or None when a bound is not finite: nothing was observed then."""
    return interval if all(map(math.isfinite, interval)) else None
