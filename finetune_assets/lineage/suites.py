"""Regression suites: their records read as the task's own, answered by both models, and proven held out."""

from collections.abc import Collection, Sequence

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.ingest import source_identity
from finetune_assets.evaluation.answers import ScoredAnswer, score_answers
from finetune_assets.evaluation.config import GateConfig, SuiteConfig
from finetune_assets.evaluation.gates.probe_rules import SuiteOutcome
from finetune_assets.evaluation.gates.row_rules import ROUNDING
from finetune_assets.evaluation.leaks import find_leaks
from finetune_assets.evaluation.statistics.comparison import compare
from finetune_assets.evaluation.statistics.mark_table import mark_table
from finetune_assets.lineage.asking import Room, answers_of
from finetune_assets.lineage.contenders import Contender
from finetune_assets.lineage.corrected_cases import SAMPLES_FILE, samples_in
from finetune_assets.lineage.raw_observations import STAGE as RAW
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.suite_failures import report_failures
from finetune_assets.lineage.suite_rows import SuiteRows, suite_rows
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.records.digests import digest_of
from finetune_assets.records.example import Example
from finetune_assets.records.similarity import FixedWording
from finetune_assets.storage.artifacts import Artifact

CORRECTED = "corrected_cases"


def run_suites(
    room: Room, candidate: Contender, baseline: Contender, train: Sequence[Example]
) -> dict[str, SuiteOutcome]:
    """Return the outcome of every suite that YAML names, and of the corrected cases that were held out.

    Raises:
        FinetuneError: when a suite's file cannot be read.
    """
    suites = {rule: read_suite(room, rule) for rule in room.task.config.evaluation.suites}
    corrected = _corrected(room, train)
    if corrected is not None:
        suites[_corrected_rule(room.task)] = corrected
    return {rule.name: _run(room, rule, suite, candidate, baseline, train) for rule, suite in suites.items()}


def rules_in_force(task: TaskRun, asked: Collection[str] = (CORRECTED,)) -> GateConfig:
    """Return the rules of judging, with the suite of corrected cases among them where there is one.

    Args:
        task: the task in this run.
        asked: the suites that were asked, once they were: of all regression samples none may be held out any more.
    """
    config = task.config.evaluation
    if CORRECTED not in asked or _samples(task) is None:
        return config
    return config.model_copy(update={"suites": (*config.suites, _corrected_rule(task))})


def _corrected_rule(task: TaskRun) -> SuiteConfig:
    return SuiteConfig.model_validate(
        {"name": CORRECTED, "kind": task.config.feedback.suite.kind, "path": SAMPLES_FILE}
    )


def suite_digests(task: TaskRun) -> dict[str, str]:
    """Return what each suite's file holds, as a digest: another suite is another judgement."""
    found = {}
    for rule in task.config.evaluation.suites:
        source = SourceConfig.model_validate({"path": rule.path})
        found[rule.name] = digest_of(source_identity(source, task.folder))
    raw = _samples(task)
    if raw is not None:
        found[CORRECTED] = str(raw.manifest["files"][SAMPLES_FILE]["sha256"])
    return found


def read_suite(room: Room, rule: SuiteConfig) -> SuiteRows:
    """Read a suite's file as the task reads its own records."""
    return suite_rows(room.task, room.task_type, rule.path)


def _corrected(room: Room, train: Sequence[Example]) -> SuiteRows | None:
    """Return the regression samples that are still held out; None where there are too few for a suite, or none is.

    A sample whose question stands in training by now, because the source holds it too, proves nothing any more.
    """
    raw = _samples(room.task)
    if raw is None:
        return None
    found = suite_rows(room.task, room.task_type, str(raw.file(SAMPLES_FILE)))
    leaked = _leaked(room, found.examples, train)
    if leaked:
        room.say(f"{len(leaked)} of {len(found.examples)} regression samples stand in training now and are left out")
    held_out = [row for row in found.examples if row.record_id not in leaked]
    return SuiteRows(held_out, found.fields, found.rejected) if held_out or found.rejected else None


def _leaked(room: Room, examples: Sequence[Example], train: Sequence[Example]) -> dict[str, str]:
    """Return why rows of a suite are not held out; the template's wording makes no two of them alike."""
    return find_leaks(examples, train, [], {}, FixedWording.of(room.task_type.prompt_manifest()))


def _samples(task: TaskRun) -> Artifact | None:
    """Return the raw records of the current splits, where they hold regression samples enough for a suite."""
    own = any(rule.name == CORRECTED for rule in task.config.evaluation.suites)
    raw = task.artifacts.find(RAW, str(task.result(SPLITS).manifest.get("raw", "")))
    if own or raw is None or samples_in(raw) < task.config.feedback.suite.min_rows:
        return None
    return raw


def _run(
    room: Room,
    rule: SuiteConfig,
    suite: SuiteRows,
    candidate: Contender,
    baseline: Contender,
    train: Sequence[Example],
) -> SuiteOutcome:
    config = room.task.config.evaluation
    examples = suite.examples
    ours, theirs = (
        score_answers(examples, answers_of(room, model, examples, f"rows of suite {rule.name}").answers, room.task_type)
        for model in (candidate, baseline)
    )
    # A free text that differs from its reference is not wrong for that alone.
    if baseline.is_live and rule.name != CORRECTED and room.task_type.choices() is not None:
        failed = report_failures(room.task, rule.name, suite, theirs)
        room.say(f"suite {rule.name}: the live release fails {failed} rows, which are error cases")
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
        leaked=tuple(sorted(_leaked(room, examples, train))),
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
