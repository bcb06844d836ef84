"""Judging a candidate: candidate and baseline on the same test rows, and the report made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.datasets.build import read_examples
from finetune_assets.evaluation.answers import GivenAnswer, given_texts
from finetune_assets.evaluation.baselines import trivial_answers
from finetune_assets.evaluation.gates.verdict import Extras
from finetune_assets.evaluation.report.build import Contender as Judged
from finetune_assets.evaluation.report.build import Judgement, ReportContext, build_report, judge
from finetune_assets.lineage.asking import Room, Say, answers_of, open_room
from finetune_assets.lineage.contenders import Contender, find_baseline, find_candidate
from finetune_assets.lineage.probes import forgetting
from finetune_assets.lineage.report_files import keep_report
from finetune_assets.lineage.runtime import TaskRun, adapter_stage
from finetune_assets.lineage.suites import rules_in_force, run_suites, suite_digests
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.lineage.variants import Choice, choose
from finetune_assets.lineage.witnesses import BASELINE, CANDIDATE, Witnesses, hear, witness_files
from finetune_assets.records.digests import digest_of
from finetune_assets.records.example import Example
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json

REPORT = "validation_report"
CODE_VERSION = "3"


@dataclass(frozen=True)
class Splits:
    """The rows that judging looks at.

    Attributes:
        train: what the candidate was trained on.
        validation: what variants are chosen by.
        test: what the candidate is judged on.
    """

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]


def report_key(task: TaskRun, candidates: Sequence[Contender], baseline: Contender, examples_digest: str) -> str:
    """Return the identity of a judgement: who, against whom, on what, by which rules."""
    return digest_of(
        {
            "code": CODE_VERSION,
            "candidates": sorted(candidate.candidate for candidate in candidates),
            "baseline": baseline.candidate or baseline.base.digest,
            "examples": examples_digest,
            "task": task.task_type().manifest(),
            "gate": rules_in_force(task).model_dump(mode="json", exclude={"contenders"}),
            "suites": suite_digests(task),
            "witnesses": witness_files(task.folder, task.config.evaluation),
        }
    )[:20]


def judge_candidate(task: TaskRun, say: Say) -> tuple[Artifact, bool]:
    """Make the report of the current candidate, the best of its variants, or take over an equal one."""
    splits = task.result(SPLITS)
    variants = {name: find_candidate(task, name) for name in task.config.tuning.by_variant()}
    examples_digest = splits.manifest["files"]["examples.jsonl"]["sha256"]
    rows, room = None, None
    candidate = next(iter(variants.values()))
    choice = Choice(candidate.variant, None)
    if len(variants) > 1:
        rows, room = _open(task, splits, variants, say)
        choice = choose(room, variants, rows.validation)
        candidate = variants[choice.chosen]
    baseline = find_baseline(task, candidate)
    key = report_key(task, list(variants.values()), baseline, examples_digest)
    known = task.artifacts.find(REPORT, key)
    if known:
        return known, True
    if rows is None or room is None:
        rows, room = _open(task, splits, variants, say)
    say(f"{len(rows.test)} test rows: asking the candidate and the {baseline.name}")
    judged = answers_of(room, candidate, rows.test)
    rival = answers_of(room, baseline, rows.test)
    judgement, witnesses = _judge(room, rows, candidate, baseline, judged, rival, splits)
    sections = witnesses.sections | ({"variants": choice.section} if choice.section else {})
    context = _context(task, splits.digest, candidate, baseline, judged)
    rules = rules_in_force(task, judgement.extras.suites)
    report = build_report(context, judgement, judged, rival, rules, sections=sections)
    return keep_report(
        room, REPORT, key, report, judgement, rows.test, candidate, baseline, judged=judged, rival=rival
    ), False


def _open(task: TaskRun, splits: Artifact, variants: Mapping[str, Contender], say: Say) -> tuple[Splits, Room]:
    rows = Splits(*(list(read_examples(splits.path, name)) for name in ("train", "validation", "test")))
    return rows, open_room(task, [model.base for model in variants.values()], rows.train, say)


def _judge(
    room: Room,
    rows: Splits,
    candidate: Contender,
    baseline: Contender,
    judged: Judged,
    rival: Judged,
    splits: Artifact,
) -> tuple[Judgement, Witnesses]:
    room.say("asking the trivial baselines")
    trivial = {
        name: given_texts(rows.test, texts, room.task_type)
        for name, texts in trivial_answers(rows.train, rows.test, labelled=room.task_type.choices() is not None).items()
    }
    witnesses = hear(
        room,
        rows.test,
        {CANDIDATE: judged, BASELINE: rival},
        {CANDIDATE: candidate, BASELINE: baseline},
        trivial,
        splits,
    )
    extras = Extras(
        latencies=(_seconds(judged.answers), _seconds(rival.answers)),
        forgetting=forgetting(room, candidate, baseline),
        suites=run_suites(room, candidate, baseline, rows.train),
        further=witnesses.gates,
    )
    judgement = judge(
        rows.test,
        judged.answers,
        rival.answers,
        rules_in_force(room.task, extras.suites),
        room.task_type,
        trivial=trivial,
        extras=extras,
        baseline_is_live=baseline.is_live,
    )
    return judgement, witnesses


def _seconds(answers: Sequence[GivenAnswer]) -> list[float]:
    return [answer.latency_s for answer in answers if answer.answered]


def _context(
    task: TaskRun, dataset_digest: str, candidate: Contender, baseline: Contender, judged: Judged
) -> ReportContext:
    source, task_type = task.config.dataset.source, task.task_type()
    return ReportContext(
        task=task.task,
        levels=() if task_type.choices() is None else task_type.label_levels,
        dataset_digest=dataset_digest,
        synthetic=source.synthetic,
        provenance=source.provenance,
        baseline_is_live=baseline.is_live,
        context_length=judged.identity.get("context_length"),
        notes=_training_notes(task, candidate),
    )


def _training_notes(task: TaskRun, candidate: Contender) -> tuple[str, ...]:
    """Say what training had to leave out: a report must not hide it behind good scores."""
    adapter = candidate.adapter or task.result(adapter_stage(candidate.variant))
    training: dict[str, Any] = read_json(adapter.file("training.json"))
    notes = []
    if cut := int(training.get("truncated_rows", 0)):
        notes.append(f"{cut} training rows had their question cut to fit.")
    if dropped := int(training.get("dropped_rows", 0)):
        notes.append(f"{dropped} training rows were left out: their answer alone is longer than tuning.max_length.")
    return tuple(notes)


def candidate_answers(task: TaskRun, candidate: Contender) -> list[GivenAnswer]:
    """Return the answers of a candidate that was judged on the current test rows."""
    test = list(read_examples(task.result(SPLITS).path, "test"))
    # As long as the report let them be: with several variants another base may have decided that.
    room = Room(task, task.task_type(), task.result(REPORT).manifest["answer_tokens"], lambda _: None)
    return list(answers_of(room, candidate, test).answers)
