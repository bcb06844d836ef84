"""Gates on rows beside the test set: general probes that must not be unlearned, and regression suites."""

from __future__ import annotations

from dataclasses import dataclass, replace

from finetune_assets.evaluation.config import ForgettingConfig, SuiteConfig
from finetune_assets.evaluation.gates.evidence import GateResult
from finetune_assets.evaluation.gates.row_rules import ROUNDING
from finetune_assets.evaluation.gates.rules import difference_text, finite
from finetune_assets.evaluation.statistics.comparison import Comparison
from finetune_assets.evaluation.statistics.exact import Interval
from finetune_assets.evaluation.wording import gain_text, percent


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What judging found on the probe set.

    Attributes:
        rows: probes asked.
        ours: bits a byte of the right answers under the candidate.
        theirs: the same under the baseline.
        rise: ours / theirs - 1.
        interval: of the rise, paired over probes.
        replay_share: share of general rows to mix into training, proposed when the rise is too large.
    """

    rows: int
    ours: float
    theirs: float
    rise: float
    interval: Interval
    replay_share: float


def forgetting_gate(found: Forgetting | None, rule: ForgettingConfig | None) -> list[GateResult]:
    """General questions are not unlearned: bits a byte of their right answers do not rise by more than is allowed."""
    if rule is None:
        return []
    name, advisory = "forgetting", not rule.blocking
    if found is None:
        reason = "The engine gives no likelihoods, so the probes could not be scored."
        return [GateResult(name, "INCONCLUSIVE", None, rule.max_rise, reason, advisory=advisory)]
    said = (
        f"Right answers to {found.rows} general probes cost {found.ours:.2f} bits a byte, {found.theirs:.2f} before "
        f"({100 * found.rise:+.1f} %, {100 * found.interval[0]:+.1f} to {100 * found.interval[1]:+.1f} %)"
    )
    if found.interval[1] <= rule.max_rise:
        result = GateResult(name, "PASS", found.rise, rule.max_rise, f"{said}.", found.interval)
    elif found.interval[0] > rule.max_rise:
        reason = (
            f"{said}: more than the {percent(rule.max_rise)} that is allowed. Try training with "
            f"{percent(found.replay_share)} general rows mixed in."
        )
        result = GateResult(name, "FAIL", found.rise, rule.max_rise, reason, found.interval)
    else:
        reason = f"{said}: {percent(rule.max_rise)} is neither exceeded nor kept for sure. More probes would decide."
        result = GateResult(name, "INCONCLUSIVE", found.rise, rule.max_rise, reason, found.interval)
    return [replace(result, advisory=advisory)]


@dataclass(frozen=True, slots=True)
class SuiteOutcome:
    """A regression suite, answered by both models.

    Attributes:
        rows: rows of the suite.
        comparison: the two models by the primary measure.
        failed: record ids whose loss exceeds the suite's limit for one row.
        new_failures: record ids that the baseline has right and the candidate wrong.
        unanswered: rows that the candidate did not answer.
        leaked: record ids that stand in the training rows too.
        rejected: records of the suite that could not be read.
        baseline_unanswered: rows that the baseline did not answer.
    """

    rows: int
    comparison: Comparison
    failed: tuple[str, ...]
    new_failures: tuple[str, ...]
    unanswered: int
    leaked: tuple[str, ...]
    rejected: int
    baseline_unanswered: int = 0


def suite_gate(rule: SuiteConfig, found: SuiteOutcome) -> GateResult:
    """A regression suite loses no more than it may, as a whole and row by row (source 001).

    An empty suite, one with rows that cannot be read, one whose rows were trained on and one that the baseline did not
    answer in full prove nothing.
    """
    name, tolerated, comparison = f"suite:{rule.name}", 0.0 - rule.tolerated, found.comparison
    if why := _proves_nothing(found):
        return GateResult(name, "INCONCLUSIVE", None, tolerated, why, records=found.leaked)
    faults = _suite_faults(rule, found)
    records = tuple(sorted({*found.failed, *found.new_failures}))
    said, interval = (
        f"{rule.kind} suite of {found.rows} rows: {difference_text(comparison)}",
        finite(comparison.interval),
    )
    if faults:
        reason = f"{said}; {'; '.join(faults)}."
        return GateResult(name, "FAIL", comparison.difference, tolerated, reason, interval, records=records)
    if found.rejected or found.baseline_unanswered:
        why = f"{found.rejected} rows of the suite cannot be read: mend or remove them"
        if not found.rejected:
            why = f"the baseline did not answer {found.baseline_unanswered} rows: measure it again"
        return GateResult(name, "INCONCLUSIVE", comparison.difference, tolerated, f"{said}; {why}.")
    reason = f"{said}; {len(found.failed)} rows lose more than {rule.max_sample_degradation:g}."
    return GateResult(name, "PASS", comparison.difference, tolerated, reason, interval)


def _proves_nothing(found: SuiteOutcome) -> str:
    """Return why no verdict can rest on a suite, "" when one can."""
    if not found.rows:
        return "The suite has no rows that can be asked."
    if found.leaked:
        return f"{len(found.leaked)} of {found.rows} rows of the suite stand in training: the suite proves nothing."
    if not found.comparison.rows:
        return f"{found.comparison.measure.name} applies to none of the suite's {found.rows} rows."
    return ""


def _suite_faults(rule: SuiteConfig, found: SuiteOutcome) -> list[str]:
    """Return in what the candidate breaks the suite's rule."""
    comparison, allowed = found.comparison, rule.new_failures_allowed
    faults = []
    if found.unanswered:
        faults.append(f"{found.unanswered} of {found.rows} rows have no answer")
    if comparison.difference < -rule.tolerated - ROUNDING:
        loss = gain_text(rule.tolerated, as_percent=comparison.measure.as_percent).lstrip("+")
        faults.append(f"a loss of {loss} is tolerated")
    if (share := len(found.failed) / comparison.rows) > rule.max_failed_share:
        faults.append(f"{len(found.failed)} rows lose more than {rule.max_sample_degradation:g} ({percent(share)})")
    if allowed is not None and len(found.new_failures) > allowed:
        faults.append(f"{len(found.new_failures)} rows that the baseline has right are wrong now, {allowed} allowed")
    return faults
