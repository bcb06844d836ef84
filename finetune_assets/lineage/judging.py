"""Judging a candidate: the answers of candidate and baseline on the same test rows, and the report made of them.

Answers are artifacts keyed by who answered what, so that the baseline is asked once, not once for each candidate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from finetune_assets.datasets.build import read_examples
from finetune_assets.evaluation.answers import ScoredAnswer, collect_answers
from finetune_assets.evaluation.baselines import majority_answers, tfidf_logreg_answers
from finetune_assets.evaluation.charts import confusion_png
from finetune_assets.evaluation.report import Contender as Judged
from finetune_assets.evaluation.report import ReportContext, build_report, report_markdown
from finetune_assets.lineage.bases import Base, find_base
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.tuned_adapter import STAGE as ADAPTER
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.records.digests import digest_of, short
from finetune_assets.records.example import Example
from finetune_assets.records.task_type import TaskType
from finetune_assets.releases.manifest import base_folder, load_manifest
from finetune_assets.releases.registry import LiveRelease, Registry
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import write_atomic, write_json_atomic

ANSWERS = "answers"
CONFUSION = "confusion.png"
REPORT = "validation_report"
CODE_VERSION = "1"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Contender:
    """A model that answers the test rows.

    Attributes:
        name: what a person calls it: `untuned base`, `live version 3`, `candidate`.
        candidate: the candidate's id, "" for the untuned base.
        base: the base model.
        adapter: the adapter's artifact, None for the untuned base.
    """

    name: str
    candidate: str
    base: Base
    adapter: Artifact | None


def candidate_id(base: Base, adapter: Artifact) -> str:
    """Return the identity of a candidate: base, adapter and template together (64 hex digits)."""
    return digest_of(
        {
            "base": base.digest,
            "adapter": adapter.manifest["adapter_digest"],
            "template": adapter.manifest["template_hash"],
        }
    )


def find_candidate(task: TaskRun) -> Contender:
    """Return the candidate: the task's current adapter on its base."""
    base = find_base(task)
    adapter = task.result(ADAPTER)
    return Contender("candidate", candidate_id(base, adapter), base, adapter)


def find_baseline(task: TaskRun, candidate: Contender) -> Contender:
    """Return what the candidate must beat: the live release, or the untuned base where none is live.

    A candidate that is itself live is judged against what it replaced, so that a report asked for again says the
    same as the first time.
    """
    registry = Registry(task.database)
    release = _release_to_beat(registry, task.task, candidate.candidate)
    if release is None:
        return Contender("untuned base", "", candidate.base, None)
    manifest = load_manifest(task.artifacts, release.artifact_key)
    adapter = task.artifacts.open(manifest.adapter.kind, manifest.adapter.key)
    base = Base(
        name=manifest.base.name,
        folder=base_folder(task.artifacts, manifest),
        digest=manifest.base.digest,
        chat_template=manifest.chat_template,
    )
    return Contender(f"live version {release.version}", release.candidate, base, adapter)


def _release_to_beat(registry: Registry, task: str, candidate: str) -> LiveRelease | None:
    live = registry.live(task)
    if live is None or live.candidate != candidate:
        return live
    return registry.before(task, candidate)


def report_key(task: TaskRun, candidate: Contender, baseline: Contender, examples_digest: str) -> str:
    """Return the identity of a judgement: who, against whom, on what, by which rules."""
    return digest_of(
        {
            "code": CODE_VERSION,
            "candidate": candidate.candidate,
            "baseline": baseline.candidate or baseline.base.digest,
            "examples": examples_digest,
            "task": task.task_type().manifest(),
            "gate": task.config.evaluation.model_dump(mode="json"),
        }
    )[:20]


def judge_candidate(task: TaskRun, say: Say) -> tuple[Artifact, bool]:
    """Make the report of the current candidate, or take over an equal one."""
    splits = task.result(SPLITS)
    candidate = find_candidate(task)
    baseline = find_baseline(task, candidate)
    examples_digest = splits.manifest["files"]["examples.jsonl"]["sha256"]
    key = report_key(task, candidate, baseline, examples_digest)
    known = task.artifacts.find(REPORT, key)
    if known:
        return known, True
    task_type = task.task_type()
    test = list(read_examples(splits.path, "test"))
    train = list(read_examples(splits.path, "train"))
    say(f"{len(test)} test rows: asking the candidate and the {baseline.name}")
    judged = _answers(task, candidate, task_type, test, examples_digest, say)
    rival = _answers(task, baseline, task_type, test, examples_digest, say)
    say("fitting the trivial baselines: majority class, TF-IDF with logistic regression")
    source = task.config.dataset.source
    report = build_report(
        ReportContext(
            task=task.task,
            levels=task_type.label_levels,
            dataset_digest=splits.digest,
            synthetic=source.synthetic,
            provenance=source.provenance,
        ),
        test,
        judged,
        rival,
        task.config.evaluation,
        trivial={"majority": majority_answers(train, test), "tfidf_logreg": tfidf_logreg_answers(train, test)},
    )
    return _keep(task, key, report, candidate, baseline), False


def _keep(task: TaskRun, key: str, report: dict[str, Any], candidate: Contender, baseline: Contender) -> Artifact:
    adapter = candidate.adapter
    with task.artifacts.create(REPORT, key) as staging:
        write_json_atomic(staging.path / "report.json", report)
        write_atomic(staging.path / "report.md", report_markdown(report))
        write_atomic(staging.path / CONFUSION, confusion_png(report["confusion"]))
        return staging.commit(
            {
                "task": task.task,
                "candidate": candidate.candidate,
                "baseline": baseline.candidate,
                "baseline_name": baseline.name,
                "adapter_key": adapter.key if adapter else "",
                "verdict": report["verdict"]["verdict"],
            },
            outside_digest=[CONFUSION],
        )


def candidate_answers(task: TaskRun, candidate: Contender) -> list[ScoredAnswer]:
    """Return the answers of a candidate that was judged on the current test rows."""
    splits = task.result(SPLITS)
    digest = splits.manifest["files"]["examples.jsonl"]["sha256"]
    test = list(read_examples(splits.path, "test"))
    return list(_answers(task, candidate, task.task_type(), test, digest, lambda _: None).answers)


def _answers(
    task: TaskRun, model: Contender, task_type: TaskType, test: list[Example], examples_digest: str, say: Say
) -> Judged:
    from finetune_assets.serving.engines.local import LocalEngine

    engine = LocalEngine(
        model.base.folder,
        model.adapter.path if model.adapter else None,
        choices=task_type.choices(),
        chat_template=model.base.chat_template,
        threads=task.config.tuning.threads,
    )
    key = digest_of({"engine": engine.identity, "examples": examples_digest, "code": CODE_VERSION})[:20]
    known = task.artifacts.find(ANSWERS, key)
    place = known.file("answers.jsonl") if known else task.home.work / "answers" / f"{key}.jsonl"
    if not known:
        place.parent.mkdir(parents=True, exist_ok=True)
    rows = collect_answers(
        engine,
        test,
        task_type.parse,
        store=place,
        on_progress=lambda done, total: say(f"{model.name}: {done} of {total} answered"),
    )
    if not known:
        with task.artifacts.create(ANSWERS, key) as staging:
            place.replace(staging.path / "answers.jsonl")
            # Latencies stand beside the answers, so the bytes differ from run to run.
            staging.commit({"task": task.task, "model": engine.identity}, outside_digest=["answers.jsonl"])
    name = short(model.candidate) if model.name == "candidate" else model.name
    return Judged(name, rows, engine.identity)
