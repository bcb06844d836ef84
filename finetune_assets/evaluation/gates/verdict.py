"""The verdict on a candidate: PASS, FAIL or INCONCLUSIVE over all the rules of `rules.py` and `limits.py`.

FAIL means that a rule is broken or the candidate is shown to be worse; INCONCLUSIVE means that the rows cannot tell,
with how many more would; only PASS on every gate is a PASS. Advisory gates are shown and take no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from finetune_assets.evaluation.config import GateConfig
from finetune_assets.evaluation.gates import limits, probe_rules, row_rules, rules
from finetune_assets.evaluation.gates.evidence import Evidence, GateResult, Outcome
from finetune_assets.evaluation.gates.probe_rules import Forgetting, SuiteOutcome

LLM_JUDGE = "llm_judge"

__all__ = ["Evidence", "Extras", "GateResult", "Outcome", "Verdict", "gate_names", "verdict_of"]


@dataclass(frozen=True, slots=True)
class Extras:
    """Evidence beside the test rows.

    Attributes:
        latencies: seconds of the candidate's and of the baseline's answers.
        forgetting: what the probes showed; None when the engine gives no likelihoods.
        further: results of gates that are judged elsewhere, such as the judging model's.
        suites: outcome of each regression suite by name; one that is configured and absent here is INCONCLUSIVE.
    """

    latencies: tuple[Sequence[float], Sequence[float]] = ((), ())
    forgetting: Forgetting | None = None
    suites: dict[str, SuiteOutcome] = field(default_factory=dict)
    further: tuple[GateResult, ...] = ()


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
        asked = (gate.more_rows_needed for gate in self.gates if not gate.advisory)
        return max((more for more in asked if more is not None), default=None)

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


def verdict_of(evidence: Evidence, config: GateConfig, extras: Extras | None = None) -> Verdict:
    """Hold the evidence against every rule.

    Args:
        evidence: of candidate and baseline, see `evidence.gather`.
        config: the rules.
        extras: evidence beside the test rows.

    Returns:
        The verdict with every gate.
    """
    more = extras or Extras()
    gates = [
        rules.rows_gate(evidence, config),
        rules.coverage_gate(evidence, config),
        rules.baseline_coverage_gate(evidence, config),
        rules.parse_rate_gate(evidence, config),
        *limits.limit_gates(evidence, config),
        rules.improvement_gate(evidence, config),
        *rules.trivial_gates(evidence, config),
        rules.critical_gate(evidence, config),
        rules.slices_gate(evidence, config),
        *row_rules.per_sample_gate(evidence, config),
        *row_rules.latency_gate(more.latencies[0], more.latencies[1], config.latency),
        *probe_rules.forgetting_gate(more.forgetting, config.forgetting),
        *(_suite(config, number, more) for number in range(len(config.suites))),
        *_blocking_judge(config, more),
    ]
    verdicts = {gate.verdict for gate in gates if not gate.advisory}
    overall: Outcome = "FAIL" if "FAIL" in verdicts else "INCONCLUSIVE" if "INCONCLUSIVE" in verdicts else "PASS"
    return Verdict(overall, tuple(gates))


def _blocking_judge(config: GateConfig, extras: Extras) -> list[GateResult]:
    if config.llm_judge is None or not config.llm_judge.blocking:
        return []
    found = [gate for gate in extras.further if gate.name == LLM_JUDGE]
    return found or [GateResult(LLM_JUDGE, "INCONCLUSIVE", None, None, "The judging model was not asked.")]


def _suite(config: GateConfig, number: int, extras: Extras) -> GateResult:
    rule = config.suites[number]
    found = extras.suites.get(rule.name)
    if found is None:
        return GateResult(f"suite:{rule.name}", "INCONCLUSIVE", None, None, "The suite was not run.")
    return probe_rules.suite_gate(rule, found)


def gate_names(config: GateConfig) -> list[str]:
    """Return the name of every gate that a configuration leads to, in the order in which they are judged."""
    optional = [
        ("per_sample", config.per_sample),
        ("latency", config.latency),
        ("forgetting", config.forgetting),
    ]
    return [
        "rows",
        "coverage",
        "baseline_coverage",
        "parse_rate",
        *_limit_names(config),
        "beats_baseline",
        *(f"beats_{name}" for name in config.beat),
        "critical",
        "slices",
        *(name for name, rule in optional if rule is not None),
        *(f"suite:{suite.name}" for suite in config.suites),
        *([LLM_JUDGE] if config.llm_judge and config.llm_judge.blocking else []),
    ]


def _limit_names(config: GateConfig) -> list[str]:
    names = [f"floor:{name}" for name in sorted(config.floor)] + [f"ceiling:{name}" for name in sorted(config.ceiling)]
    for kind, parts in (("floor", config.floor_by_slice), ("ceiling", config.ceiling_by_slice)):
        names += [f"{kind}:{part}/{name}" for part in sorted(parts) for name in sorted(parts[part])]
    return names
