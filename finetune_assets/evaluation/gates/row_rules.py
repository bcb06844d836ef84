"""Gates on single rows and on single answers' time: how many rows lose, how much, and how long answers take."""

from __future__ import annotations

from collections.abc import Sequence

from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.evaluation.config import GateConfig, LatencyConfig
from finetune_assets.evaluation.gates.evidence import Evidence, GateResult, Outcome
from finetune_assets.evaluation.wording import percent
from finetune_assets.records.measure import Measure

# 0.51 - 0.50 is more than 0.01 in floats: a loss that equals its limit must not be told apart by that.
ROUNDING = 1e-9


def per_sample_gate(evidence: Evidence, config: GateConfig) -> list[GateResult]:
    """Few rows lose by the primary measure, and none loses much (source 001)."""
    rule = config.per_sample
    if rule is None:
        return []
    losses = row_losses(evidence)
    if not losses:
        return [GateResult("per_sample", "INCONCLUSIVE", None, rule.max_share, "No row can be compared by itself.")]
    worse = sorted(record for record, loss in losses if loss > rule.worse_by + ROUNDING)
    lost = sorted(record for record, loss in losses if loss > rule.never_worse_by + ROUNDING)
    observed = len(worse) / len(losses)
    reason = (
        f"{len(worse)} of {len(losses)} rows lose more than {rule.worse_by:g} ({percent(observed)}, "
        f"{percent(rule.max_share)} allowed), {len(lost)} more than {rule.never_worse_by:g} (none allowed)."
    )
    verdict: Outcome = "FAIL" if observed > rule.max_share or lost else "PASS"
    records = tuple(lost or (worse if verdict == "FAIL" else ()))
    return [GateResult("per_sample", verdict, observed, rule.max_share, reason, records=records)]


def row_losses(evidence: Evidence) -> list[tuple[str, float]]:
    """Return (record id, loss by the primary measure) of each row that it applies to; a gain is a negative loss."""
    name, primary = evidence.primary.name, evidence.primary
    if primary.kind == "corpus":
        return []
    ours, theirs = evidence.candidate.table.stats[name], evidence.baseline.table.stats[name]
    both = (ours[:, 1] > 0) & (theirs[:, 1] > 0)
    one, other = (primary.sign * stats[both, 0] / stats[both, 1] for stats in (ours, theirs))
    records = [row.record_id for (row, _), applies in zip(evidence.pairs, both.tolist(), strict=True) if applies]
    return list(zip(records, (other - one).tolist(), strict=True))


def goodness_of(measure: Measure, answer: ScoredAnswer) -> float | None:
    """Return how good one row is, more being better; None where the measure does not apply to it."""
    return measure.row_goodness(answer.stats.get(measure.name, ()))


def latency_gate(ours: Sequence[float], theirs: Sequence[float], rule: LatencyConfig | None) -> list[GateResult]:
    """Answers come in time.

    Args:
        ours: seconds of the candidate's answers.
        theirs: seconds of the baseline's, measured in the same run.
        rule: the limits; None gives no gate.
    """
    if rule is None:
        return []
    if not ours:
        return [GateResult("latency", "INCONCLUSIVE", None, rule.p95_s, "No answer was timed.")]
    import numpy as np

    p95 = float(np.quantile(ours, 0.95))
    broken, told = [], [f"95 % of the answers came within {p95:.3g} s"]
    if rule.p95_s is not None and p95 > rule.p95_s:
        broken.append(f"{rule.p95_s:g} s are allowed")
    if rule.max_ratio is not None:
        if not theirs:
            return [GateResult("latency", "INCONCLUSIVE", p95, rule.p95_s, "The baseline's answers were not timed.")]
        other = float(np.quantile(theirs, 0.95))
        told.append(f"the baseline's within {other:.3g} s")
        if p95 > rule.max_ratio * other:
            broken.append(f"{rule.max_ratio:g} times that is allowed")
    verdict: Outcome = "FAIL" if broken else "PASS"
    return [GateResult("latency", verdict, p95, rule.p95_s, ", ".join([*told, *broken]) + ".")]
