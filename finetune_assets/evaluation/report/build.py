"""The validation report: every figure about one candidate, as JSON that is equal for equal answers.

It holds counts, shares and record ids, never texts, times or paths. How it reads is in `markdown.py` and `html.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from finetune_assets.evaluation.answers import Answers, GivenAnswer, Reader, ScoredAnswer, marked_answers
from finetune_assets.evaluation.config import GateConfig
from finetune_assets.evaluation.gates.evidence import Evidence, gather
from finetune_assets.evaluation.gates.row_rules import goodness_of
from finetune_assets.evaluation.gates.verdict import Extras, Verdict, verdict_of
from finetune_assets.evaluation.report.markdown import report_markdown
from finetune_assets.evaluation.report.scores_json import REPORT_DRAWS, scores_json, t_test_json
from finetune_assets.evaluation.scores import confusion, label_of, label_table
from finetune_assets.evaluation.statistics.comparison import (
    SliceComparison,
    both_wrong,
    compare,
    fixed_rows,
    new_failures,
)
from finetune_assets.evaluation.statistics.exact import bootstrap_macro_f1
from finetune_assets.records.digests import digest_of
from finetune_assets.records.example import Example

__all__ = ["Contender", "Judgement", "ReportContext", "build_report", "judge", "report_digest", "report_markdown"]

REPORT_SCHEMA = "validation_report/2"
_WORST_LABELS = 10
_WORST_ROWS = 20
_LISTED_RECORDS = 200


@dataclass(frozen=True, slots=True)
class Contender:
    """One model with its answers.

    Attributes:
        name: as a person knows it: the candidate's id, `untuned base`, `live version 3`, …
        answers: its answers on the test set, at most one for each example.
        identity: what it is, as JSON without paths and times (an engine's `identity`).
    """

    name: str
    answers: Sequence[GivenAnswer]
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
        baseline_is_live: the baseline is a live release, not the untuned base.
        context_length: tokens that the candidate's base can hold, None when unknown.
        notes: sentences that a reader must know, such as how many training rows were cut.
    """

    task: str
    levels: tuple[str, ...]
    dataset_digest: str = ""
    synthetic: bool = False
    provenance: str = ""
    confusion_level: str = ""
    baseline_is_live: bool = False
    context_length: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """A candidate's judgement: the rows, what they show, and the verdict.

    Attributes:
        candidate: the candidate's marked rows, in the order of the test set.
        baseline: the baseline's.
        trivial: the trivial baselines' by name; None when none were measured.
        evidence: all that the gates looked at.
        extras: evidence beside the test rows.
        verdict: the verdict with every gate.
    """

    candidate: Sequence[ScoredAnswer]
    baseline: Sequence[ScoredAnswer]
    trivial: Mapping[str, Sequence[ScoredAnswer]] | None
    evidence: Evidence
    extras: Extras
    verdict: Verdict


def judge(
    examples: Sequence[Example],
    candidate: Answers,
    baseline: Answers,
    config: GateConfig,
    reader: Reader,
    *,
    trivial: Mapping[str, Answers] | None = None,
    extras: Extras | None = None,
    baseline_is_live: bool = False,
) -> Judgement:
    """Judge a candidate against the baseline on the same rows.

    Answers are marked here, or were by `score_answers` before: what several candidates are held against needs marking
    once.

    Args:
        examples: the test set; an example without an answer counts as answered wrong, for either model.
        candidate: answers of the model that wants to become a release.
        baseline: answers of what is live, or of the untuned base.
        config: the rules.
        reader: the task's reader and marker of answers.
        trivial: answers of trivial baselines by name; those that `config.beat` names and that are missing here make
            their gates INCONCLUSIVE.
        extras: evidence beside the test rows.
        baseline_is_live: the baseline is a live release.

    Raises:
        FinetuneError: when an answer belongs to no example, marked rows are not those of the examples, or the
            configuration names an unknown metric.
    """
    config.check_metrics(reader.measures, labelled=reader.choices() is not None)
    ours = marked_answers(examples, candidate, reader)
    theirs = marked_answers(examples, baseline, reader)
    rivals = None
    if trivial is not None:
        rivals = {name: marked_answers(examples, rows, reader) for name, rows in sorted(trivial.items())}
    evidence = gather(ours, theirs, config, reader.measures, trivial=rivals, baseline_is_live=baseline_is_live)
    more = extras or Extras()
    return Judgement(ours, theirs, rivals, evidence, more, verdict_of(evidence, config, more))


def build_report(
    context: ReportContext,
    judgement: Judgement,
    candidate: Contender,
    baseline: Contender,
    config: GateConfig,
    *,
    sections: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write down everything that led to a verdict.

    Args:
        context: what the report is about.
        judgement: what `judge` found.
        candidate: the model that wants to become a release; its name and identity.
        baseline: what is live, or the untuned base.
        config: the rules.
        sections: further evidence that takes no part in the verdict (label court, human ratings, judging model,
            variants, suites' history), as JSON by name.

    Returns:
        The report as JSON; equal input gives equal JSON.
    """
    evidence, ours = judgement.evidence, judgement.candidate
    report: dict[str, Any] = {
        "schema": REPORT_SCHEMA,
        "task": context.task,
        "levels": list(context.levels),
        "dataset_digest": context.dataset_digest,
        "synthetic": context.synthetic,
        "provenance": context.provenance,
        "context_length": context.context_length,
        "notes": list(context.notes),
        "rows": len(ours),
        "candidate": {"name": candidate.name, "identity": dict(candidate.identity)},
        "baseline": {"name": baseline.name, "identity": dict(baseline.identity), "live": context.baseline_is_live},
        "primary": evidence.primary.name,
        "measures": [
            {
                "name": measure.name,
                "title": measure.title,
                "kind": measure.kind,
                "higher_is_better": measure.higher_is_better,
                "as_percent": measure.as_percent,
            }
            for measure in evidence.measures
        ],
        "meaningless": dict(evidence.meaningless),
        "scores": _all_scores(judgement, config),
        "comparison": evidence.comparison.to_json() | t_test_json(evidence),
        "comparisons": _comparisons(judgement, config),
        "trivial": {name: item.to_json() for name, item in (evidence.trivial or {}).items()},
        "slices": [_slice(part) for part in evidence.slices],
        "critical": _critical(evidence, config),
        "worst_labels": _worst_labels(ours),
        "worst_rows": _worst_rows(evidence),
        "confusion": _confusion(ours, context),
        "changes": _changes(evidence),
        "suites": _suites(judgement.extras),
        "sections": dict(sections or {}),
        "verdict": judgement.verdict.to_json(),
        "config": config.model_dump(mode="json", exclude={"contenders"}),
    }
    rounded: dict[str, Any] = _rounded(report)
    return rounded


def report_digest(report: Mapping[str, Any]) -> str:
    """Return the digest by which an approval speaks of this very report."""
    return digest_of(dict(report))


def _all_scores(judgement: Judgement, config: GateConfig) -> dict[str, Any]:
    evidence = judgement.evidence
    measures = evidence.measures
    table = {
        "candidate": scores_json(evidence.candidate, measures, config, intervals=True),
        "baseline": scores_json(evidence.baseline, measures, config, intervals=True),
    }
    for name, scores in evidence.trivial_scores.items():
        table[name] = scores_json(scores, measures, config, intervals=False)
    return table


def _comparisons(judgement: Judgement, config: GateConfig) -> list[dict[str, Any]]:
    """Compare by every measure, not the primary one alone: advice, not a gate, and not corrected for their number."""
    evidence = judgement.evidence
    settings = replace(config.settings, resamples=min(config.resamples, REPORT_DRAWS))
    found = [
        compare(measure, evidence.candidate.table, evidence.baseline.table, settings).to_json()
        for measure in evidence.measures
        if measure is not evidence.primary
    ]
    if evidence.candidate.macro_f1 is not None and evidence.baseline.macro_f1 is not None:
        interval = bootstrap_macro_f1(
            [answer.expected for answer in judgement.candidate],
            [label_of(answer) for answer in judgement.candidate],
            [label_of(answer) for answer in judgement.baseline],
            confidence=config.settings.confidence,
            resamples=settings.resamples,
            seed=config.seed,
        )
        found.append(
            {
                "measure": "macro_f1",
                "rows": len(judgement.candidate),
                "candidate": evidence.candidate.macro_f1,
                "baseline": evidence.baseline.macro_f1,
                "difference": evidence.candidate.macro_f1 - evidence.baseline.macro_f1,
                "interval": list(interval),
                "confidence": config.settings.confidence,
            }
        )
    return found


def _slice(part: SliceComparison) -> dict[str, Any]:
    return {
        "name": part.name,
        **{key: value for key, value in part.comparison.to_json().items() if key != "shown"},
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


def _worst_labels(answers: Sequence[ScoredAnswer]) -> list[dict[str, Any]]:
    if not any(answer.expected for answer in answers):
        return []
    return [row for row in label_table(answers) if row["right"] < row["rows"]][:_WORST_LABELS]


def _worst_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the rows that lost most against the baseline, and then those that are simply worst."""
    rows: list[dict[str, Any]] = []
    for ours, theirs in evidence.pairs:
        if not ours.correct:
            goodness, before = (goodness_of(evidence.primary, row) for row in (ours, theirs))
            rows.append(
                {
                    "record": ours.record_id,
                    "example": ours.example_id,
                    "problem": ours.problem,
                    "score": None if goodness is None else goodness * evidence.primary.sign,
                    "loss": None if goodness is None or before is None else before - goodness,
                    "baseline_right": theirs.correct,
                }
            )
    rows.sort(key=lambda row: (-(row["loss"] or 0.0), row["record"], row["example"]))
    return rows[:_WORST_ROWS]


def _confusion(answers: Sequence[ScoredAnswer], context: ReportContext) -> dict[str, Any] | None:
    if not context.levels or not any(answer.expected for answer in answers):
        return None
    return confusion(answers, context.levels, context.confusion_level or context.levels[0])


def _changes(evidence: Evidence) -> dict[str, Any]:
    fixed, broken = fixed_rows(evidence.pairs), new_failures(evidence.pairs)
    return {
        "changed_answers": sum(not ours.same_answer(theirs) for ours, theirs in evidence.pairs),
        "fixed": len(fixed),
        "broken": len(broken),
        "fixed_records": fixed[:_LISTED_RECORDS],
        "broken_records": broken[:_LISTED_RECORDS],
        "listed_at_most": _LISTED_RECORDS,
    }


def _suites(extras: Extras) -> dict[str, Any]:
    return {
        name: {
            "rows": found.rows,
            "rejected": found.rejected,
            "unanswered": found.unanswered,
            "comparison": found.comparison.to_json(),
            "failed": list(found.failed[:_LISTED_RECORDS]),
            "new_failures": list(found.new_failures[:_LISTED_RECORDS]),
            "leaked": list(found.leaked[:_LISTED_RECORDS]),
        }
        for name, found in sorted(extras.suites.items())
    }


def _rounded(value: Any) -> Any:
    """Keep six significant digits: beyond them floats may differ between machines, and no figure here bears more."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
