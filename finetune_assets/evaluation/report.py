"""The validation report: every figure about one candidate, as JSON that is equal for equal answers.

It holds counts, shares and record ids, never texts, times or paths. How it reads is in `markdown.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finetune_assets.evaluation.answers import ScoredAnswer, align
from finetune_assets.evaluation.comparison import SliceComparison, both_wrong, fixed_rows, new_failures
from finetune_assets.evaluation.config import GateConfig
from finetune_assets.evaluation.gates import Evidence, gather, verdict_of
from finetune_assets.evaluation.markdown import report_markdown
from finetune_assets.evaluation.scores import Scores, confusion, label_of, label_table, score
from finetune_assets.evaluation.statistics import bootstrap_macro_f1, wilson_interval
from finetune_assets.records.digests import digest_of
from finetune_assets.records.example import Example

__all__ = ["Contender", "ReportContext", "build_report", "report_digest", "report_markdown"]

REPORT_SCHEMA = "validation_report/1"
_WORST_LABELS = 10
_LISTED_RECORDS = 200


@dataclass(frozen=True, slots=True)
class Contender:
    """One model with its answers.

    Attributes:
        name: as a person knows it: the candidate's id, `untuned base`, `live version 3`, …
        answers: its rows on the test set, at most one for each example.
        identity: what it is, as JSON without paths and times (an engine's `identity`).
    """

    name: str
    answers: Sequence[ScoredAnswer]
    identity: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What the report is about.

    Attributes:
        task: the task's name.
        levels: names of the label's parts, outermost first.
        dataset_digest: digest of the dataset version that the test set comes from.
        synthetic: True when the data was made by a program; the report then says so.
        provenance: one sentence on where the data comes from, "" when unknown.
        confusion_level: the level whose confusion is shown; the first one when "".
    """

    task: str
    levels: tuple[str, ...]
    dataset_digest: str = ""
    synthetic: bool = False
    provenance: str = ""
    confusion_level: str = ""


def build_report(
    context: ReportContext,
    examples: Sequence[Example],
    candidate: Contender,
    baseline: Contender,
    config: GateConfig,
    *,
    trivial: Mapping[str, Sequence[ScoredAnswer]] | None = None,
) -> dict[str, Any]:
    """Judge a candidate and write down everything that led to the verdict.

    Args:
        context: what the report is about.
        examples: the test set; an example without an answer counts as answered wrong, for either model.
        candidate: the model that wants to become a release.
        baseline: what is live, or the untuned base.
        config: the rules.
        trivial: answers of trivial baselines by name (`majority`, `tfidf_logreg`); None when none were measured.

    Returns:
        The report as JSON; equal input gives equal JSON.

    Raises:
        FinetuneError: when an answer belongs to no example, or the configuration names an unknown metric or level.
    """
    config.check_metrics(context.levels)
    ours = align(examples, candidate.answers)
    theirs = align(examples, baseline.answers)
    rivals = None if trivial is None else {name: align(examples, rows) for name, rows in sorted(trivial.items())}
    evidence = gather(ours, theirs, config, levels=context.levels, trivial=rivals)
    verdict = verdict_of(evidence, config)
    report: dict[str, Any] = {
        "schema": REPORT_SCHEMA,
        "task": context.task,
        "levels": list(context.levels),
        "dataset_digest": context.dataset_digest,
        "synthetic": context.synthetic,
        "provenance": context.provenance,
        "rows": len(examples),
        "candidate": {"name": candidate.name, "identity": dict(candidate.identity)},
        "baseline": {"name": baseline.name, "identity": dict(baseline.identity)},
        "scores": _all_scores(evidence, rivals, context.levels),
        "comparison": _comparison(evidence, ours, theirs, config),
        "trivial": {name: item.to_json() for name, item in (evidence.trivial or {}).items()},
        "slices": [_slice(part) for part in evidence.slices],
        "critical": _critical(evidence, config),
        "worst_labels": [row for row in label_table(ours) if row["right"] < row["rows"]][:_WORST_LABELS],
        "confusion": _confusion(ours, context),
        "changes": _changes(evidence),
        "verdict": verdict.to_json(),
        "config": config.model_dump(mode="json"),
    }
    rounded: dict[str, Any] = _rounded(report)
    return rounded


def report_digest(report: Mapping[str, Any]) -> str:
    """Return the digest by which an approval speaks of this very report."""
    return digest_of(dict(report))


def _all_scores(
    evidence: Evidence, rivals: Mapping[str, Sequence[ScoredAnswer]] | None, levels: Sequence[str]
) -> dict[str, Any]:
    table = {"candidate": _scores(evidence.candidate), "baseline": _scores(evidence.baseline)}
    for name, rows in (rivals or {}).items():
        table[name] = _scores(score(rows, levels))
    return table


def _scores(scores: Scores) -> dict[str, Any]:
    return {
        "rows": scores.rows,
        "right": scores.right,
        "exact": scores.exact,
        "exact_interval_95": list(wilson_interval(scores.right, scores.rows)),
        "levels": scores.levels,
        "macro_f1": scores.macro_f1,
        "parse_rate": scores.parse_rate,
        "coverage": scores.coverage,
        "problems": scores.problems,
    }


def _comparison(
    evidence: Evidence, ours: Sequence[ScoredAnswer], theirs: Sequence[ScoredAnswer], config: GateConfig
) -> dict[str, Any]:
    interval = bootstrap_macro_f1(
        [answer.expected for answer in ours],
        [label_of(answer) for answer in ours],
        [label_of(answer) for answer in theirs],
        confidence=evidence.comparison.confidence,
        resamples=config.resamples,
        seed=config.seed,
    )
    return {
        **evidence.comparison.to_json(),
        "macro_f1_difference": evidence.candidate.macro_f1 - evidence.baseline.macro_f1,
        "macro_f1_interval": list(interval),
    }


def _slice(part: SliceComparison) -> dict[str, Any]:
    rows = part.comparison.rows
    return {
        "name": part.name,
        "rows": rows,
        "candidate_exact": part.candidate_right / rows,
        "baseline_exact": part.baseline_right / rows,
        **{key: value for key, value in part.comparison.to_json().items() if key not in ("rows", "shown")},
        "p_worse_holm": part.p_worse_holm,
        "shown_worse": part.worse,
    }


def _critical(evidence: Evidence, config: GateConfig) -> dict[str, Any] | None:
    if config.critical is None:
        return None
    pairs = [pair for pair in evidence.pairs if config.critical.slice in pair[0].slices]
    return {
        "slice": config.critical.slice,
        "rows": len(pairs),
        "new_failures": new_failures(pairs),
        "fixed": fixed_rows(pairs),
        "both_wrong": both_wrong(pairs),
    }


def _confusion(answers: Sequence[ScoredAnswer], context: ReportContext) -> dict[str, Any] | None:
    if not context.levels:
        return None
    return confusion(answers, context.levels, context.confusion_level or context.levels[0])


def _changes(evidence: Evidence) -> dict[str, Any]:
    fixed, broken = fixed_rows(evidence.pairs), new_failures(evidence.pairs)
    changed = sum(label_of(ours) != label_of(theirs) for ours, theirs in evidence.pairs)
    return {
        "changed_answers": changed,
        "fixed": len(fixed),
        "broken": len(broken),
        "fixed_records": fixed[:_LISTED_RECORDS],
        "broken_records": broken[:_LISTED_RECORDS],
        "listed_at_most": _LISTED_RECORDS,
    }


def _rounded(value: Any) -> Any:
    """Keep six significant digits: beyond them floats may differ between machines, and no figure here bears more."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
