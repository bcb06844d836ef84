"""Regression suites: their records read as the task's own, answered by both models, and proven held out."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.ingest import ingest, source_identity
from finetune_assets.evaluation.answers import ScoredAnswer, score_answers
from finetune_assets.evaluation.config import SuiteConfig
from finetune_assets.evaluation.gates.probe_rules import SuiteOutcome
from finetune_assets.evaluation.gates.row_rules import ROUNDING
from finetune_assets.evaluation.leaks import find_leaks
from finetune_assets.evaluation.statistics.comparison import compare
from finetune_assets.evaluation.statistics.mark_table import mark_table
from finetune_assets.lineage.asking import Room, answers_of
from finetune_assets.lineage.contenders import Contender
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.digests import digest_of
from finetune_assets.records.example import Example, RawRecord


def run_suites(
    room: Room, candidate: Contender, baseline: Contender, train: Sequence[Example]
) -> dict[str, SuiteOutcome]:
    """Return the outcome of every suite that YAML names.

    Raises:
        FinetuneError: when a suite's file cannot be read.
    """
    return {rule.name: _run(room, rule, candidate, baseline, train) for rule in room.task.config.evaluation.suites}


def suite_digests(task: TaskRun) -> dict[str, str]:
    """Return what each suite's file holds, as a digest: another suite is another judgement."""
    found = {}
    for rule in task.config.evaluation.suites:
        source = SourceConfig.model_validate({"path": rule.path})
        found[rule.name] = digest_of(source_identity(source, task.folder))
    return found


@dataclass(frozen=True)
class SuiteRows:
    """What a suite's file holds.

    Attributes:
        examples: its examples; equal questions count once.
        fields: the record that each example was made of, by example id, under the fields' canonical names.
        rejected: records that cannot be read.
    """

    examples: list[Example]
    fields: dict[str, dict[str, Any]]
    rejected: int


def read_suite(room: Room, rule: SuiteConfig) -> SuiteRows:
    """Read a suite's file as the task reads its own records."""
    task = room.task
    source = SourceConfig.model_validate({"path": rule.path})
    found: dict[str, Example] = {}
    fields: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(dir=task.home.work) as folder:
        summary = ingest(source, task.folder, room.task_type.aliases, Path(folder))
        rejected = summary.quarantined
        for line in (Path(folder) / "records.jsonl").read_bytes().splitlines():
            record = RawRecord.from_json(orjson.loads(line))
            for item in room.task_type.examples(record):
                if isinstance(item, Example):
                    found.setdefault(item.example_id, item)
                    fields.setdefault(item.example_id, record.fields)
                else:
                    rejected += 1
    return SuiteRows(list(found.values()), fields, rejected)


def _run(
    room: Room, rule: SuiteConfig, candidate: Contender, baseline: Contender, train: Sequence[Example]
) -> SuiteOutcome:
    config = room.task.config.evaluation
    suite = read_suite(room, rule)
    examples = suite.examples
    ours, theirs = (
        score_answers(examples, answers_of(room, model, examples, f"rows of suite {rule.name}").answers, room.task_type)
        for model in (candidate, baseline)
    )
    measures = room.task_type.measures
    primary = config.primary_of(measures)
    comparison = compare(primary, mark_table(ours, measures), mark_table(theirs, measures), config.settings)
    return SuiteOutcome(
        rows=len(examples),
        comparison=comparison,
        failed=_failed(room, ours, theirs, rule),
        new_failures=tuple(
            sorted(one.record_id for one, other in zip(ours, theirs, strict=True) if other.correct and not one.correct)
        ),
        unanswered=sum(not answer.answered for answer in ours),
        baseline_unanswered=sum(not answer.answered for answer in theirs),
        leaked=tuple(sorted(find_leaks(examples, train, [], {}))),
        rejected=suite.rejected,
    )


def _failed(
    room: Room, ours: Sequence[ScoredAnswer], theirs: Sequence[ScoredAnswer], rule: SuiteConfig
) -> tuple[str, ...]:
    primary = room.task.config.evaluation.primary_of(room.task_type.measures)
    failed = []
    for one, other in zip(ours, theirs, strict=True):
        here, there = (primary.row_goodness(answer.stats.get(primary.name, ())) for answer in (one, other))
        if here is not None and there is not None and there - here > rule.max_sample_degradation + ROUNDING:
            failed.append(one.record_id)
    return tuple(sorted(failed))
