"""The verdict on a candidate: PASS, FAIL or INCONCLUSIVE over all the rules of `rules.py`.

FAIL means that a rule is broken or the candidate is shown to be worse; INCONCLUSIVE means that the rows cannot tell,
with how many more would; only PASS on every gate is a PASS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.evaluation import rules
from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.evaluation.comparison import Comparison, compare, compare_slices, pair_answers
from finetune_assets.evaluation.config import CriticalConfig, GateConfig
from finetune_assets.evaluation.rules import Evidence, GateResult, Outcome
from finetune_assets.evaluation.scores import score

__all__ = [
    "CriticalConfig",
    "Evidence",
    "GateConfig",
    "GateResult",
    "Outcome",
    "Verdict",
    "gather",
    "judge",
    "verdict_of",
]


@dataclass(frozen=True, slots=True)
class Verdict:
    """All gates together.

    Attributes:
        verdict: FAIL when any gate fails, else INCONCLUSIVE when any cannot tell, else PASS.
        gates: every gate that was judged, in a fixed order.
    """

    verdict: Outcome
    gates: tuple[GateResult, ...]

    @property
    def more_rows_needed(self) -> int | None:
        """The largest number of further rows that an undecided gate asks for; None unless rows would decide."""
        if self.verdict != "INCONCLUSIVE":
            return None
        return max((gate.more_rows_needed for gate in self.gates if gate.more_rows_needed is not None), default=None)

    def gate(self, name: str) -> GateResult | None:
        """Return a gate's result by name, or None when it was not judged."""
        return next((gate for gate in self.gates if gate.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON."""
        return {
            "verdict": self.verdict,
            "more_rows_needed": self.more_rows_needed,
            "gates": [gate.to_json() for gate in self.gates],
        }


def gather(
    candidate: Sequence[ScoredAnswer],
    baseline: Sequence[ScoredAnswer],
    config: GateConfig,
    *,
    levels: Sequence[str] = (),
    trivial: Mapping[str, Sequence[ScoredAnswer]] | None = None,
) -> Evidence:
    """Score and compare, row by row; arguments as in `judge`.

    Raises:
        FinetuneError: when the models did not answer the same examples.
    """
    pairs = pair_answers(candidate, baseline)

    def against(other: Sequence[ScoredAnswer]) -> Comparison:
        return compare(pair_answers(candidate, other), alpha=config.alpha, resamples=config.resamples, seed=config.seed)

    return Evidence(
        pairs=tuple(pairs),
        candidate=score(candidate, levels),
        baseline=score(baseline, levels),
        comparison=compare(pairs, alpha=config.alpha, resamples=config.resamples, seed=config.seed),
        slices=tuple(compare_slices(pairs, alpha=config.alpha, resamples=config.resamples, seed=config.seed)),
        trivial=None if trivial is None else {name: against(rows) for name, rows in trivial.items()},
    )


def judge(
    candidate: Sequence[ScoredAnswer],
    baseline: Sequence[ScoredAnswer],
    config: GateConfig,
    *,
    levels: Sequence[str] = (),
    trivial: Mapping[str, Sequence[ScoredAnswer]] | None = None,
) -> Verdict:
    """Judge a candidate against the baseline on the same rows.

    Args:
        candidate: the candidate's rows, one for each example of the test set (see `answers.align`).
        baseline: the rows of what is live, or of the untuned base.
        config: the rules.
        levels: names of the label's parts, for floors on them.
        trivial: rows of trivial baselines by name; None leaves out the gates of `config.beat`.

    Returns:
        The verdict with every gate.

    Raises:
        FinetuneError: when the models did not answer the same examples, or a floor names an unknown metric.
    """
    config.check_metrics(levels)
    return verdict_of(gather(candidate, baseline, config, levels=levels, trivial=trivial), config)


def verdict_of(evidence: Evidence, config: GateConfig) -> Verdict:
    """Hold the evidence against every rule; see `judge`."""
    gates = [
        rules.rows_gate(evidence, config),
        rules.coverage_gate(evidence, config),
        rules.baseline_coverage_gate(evidence, config),
        rules.parse_rate_gate(evidence, config),
        *(rules.floor_gate(name, floor, evidence, config) for name, floor in sorted(config.floor.items())),
        rules.improvement_gate(evidence, config),
        *rules.trivial_gates(evidence, config),
        rules.critical_gate(evidence, config),
        rules.slices_gate(evidence, config),
    ]
    verdicts = {gate.verdict for gate in gates}
    overall: Outcome = "FAIL" if "FAIL" in verdicts else "INCONCLUSIVE" if "INCONCLUSIVE" in verdicts else "PASS"
    return Verdict(overall, tuple(gates))
