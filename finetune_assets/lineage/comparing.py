"""Any two models side by side on the test rows, as `finetune compare` asks. It releases nothing, decides nothing."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finetune_assets.datasets.build import read_examples
from finetune_assets.evaluation.answers import score_answers
from finetune_assets.evaluation.config import GateConfig
from finetune_assets.evaluation.gates.evidence import Evidence, gather
from finetune_assets.evaluation.report.build import Contender as Judged
from finetune_assets.evaluation.report.scores_json import scores_json
from finetune_assets.evaluation.statistics.comparison import compare
from finetune_assets.lineage.asking import Room, Say, answers_of, open_room
from finetune_assets.lineage.bases import find_base
from finetune_assets.lineage.contenders import Contender, Outsider, candidate_id, find_candidate, released
from finetune_assets.lineage.judging import REPORT
from finetune_assets.lineage.report_files import page_rows, timing
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.settings import resolve
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.tuned_adapter import STAGE as ADAPTER
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.records.digests import short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example
from finetune_assets.releases.registry import Registry, Release
from finetune_assets.resources.platform import RunOptions
from finetune_assets.storage.artifacts import ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets.storage.namespaces import MAIN

Model = Contender | Outsider


def open_here(spec: TaskSpec, home: Home) -> TaskRun:
    """Open a task outside of a run, to look at its newest results."""
    return TaskRun(
        task=spec.name,
        namespace=MAIN,
        run_id="",
        artifacts=ArtifactStore(home.artifacts),
        database=Database.open(home.database_url),
        settings=resolve(spec, {}, os.environ),
        folder=Path(spec.folder),
        home=home,
        options=RunOptions(),
    )


def compare_models(task: TaskRun, first: str, second: str, *, limit: int, say: Say) -> dict[str, Any]:
    """Ask two models the test rows and compare them.

    Args:
        task: the task, see `open_here`.
        first: `base`, `live`, `candidate`, a version's number, or a name under `evaluation.contenders`.
        second: likewise; gains are the first's over the second's.
        limit: ask about this many rows only, always the same ones; 0 asks all.
        say: where progress is told.

    Returns:
        JSON: `scores` by side, `comparison` by the primary measure and `comparisons` by the others (gain with interval
        and test), `changed`, `won`, `lost`, what answers took, and `differing`: the rows whose answers differ, texts
        redacted and shortened.

    Raises:
        FinetuneError: for a name that is none of these, or a model that cannot be had.
    """
    models = find_model(task, first), find_model(task, second)
    splits = task.result(SPLITS)
    test = _first_rows(list(read_examples(splits.path, "test")), limit)
    room = open_asked(task, models, list(read_examples(splits.path, "train")), say)
    ours, theirs = (answers_of(room, model, test) for model in models)
    marked = [score_answers(test, judged.answers, room.task_type) for judged in (ours, theirs)]
    config = task.config.evaluation
    evidence = gather(marked[0], marked[1], config, room.task_type.measures)
    rows = page_rows(room.task_type, evidence.primary, test, marked[0], marked[1])
    differing = sorted((row for row in rows if row.changed), key=lambda row: (-abs(row.loss or 0.0), row.record))
    return {
        "task": task.task,
        "rows": len(test),
        "models": [_told(first, ours), _told(second, theirs)],
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
        "scores": {
            side: scores_json(scores, evidence.measures, config, intervals=True)
            for side, scores in (("first", evidence.candidate), ("second", evidence.baseline))
        },
        "comparison": _named(evidence.comparison.to_json()),
        "comparisons": _others(evidence, config),
        "timings": {side: asdict(timing(judged.answers)) for side, judged in (("first", ours), ("second", theirs))},
        "changed": len(differing),
        "won": sum(row.fate == "fixed" for row in rows),
        "lost": sum(row.fate == "broken" for row in rows),
        "differing": [_named(row.to_json()) for row in differing],
    }


def find_model(task: TaskRun, name: str) -> Model:
    """Return the model that a person named.

    Raises:
        FinetuneError: when there is none of that name, or no longer.
    """
    if name == "base":
        return Contender("untuned base", "", find_base(task), None)
    if name == "candidate":
        return _candidate(task)
    if name == "live":
        live = Registry(task.database).live(task.task)
        if live is None:
            raise FinetuneError("nothing is live", where=task.task, mend="compare with `base`, or release a candidate")
        return released(task, live)
    if name.isdecimal():
        return _version(task, int(name))
    endpoint = task.config.evaluation.contenders.get(name)
    if endpoint is None:
        known = ["base", "live", "candidate", "a version's number", *sorted(task.config.evaluation.contenders)]
        raise FinetuneError(
            "model is not known",
            where=task.task,
            found=name,
            expected=f"one of {', '.join(known)}",
            mend="name it under evaluation.contenders in the task's defs.yaml",
        )
    return Outsider(name, endpoint)


def _candidate(task: TaskRun) -> Contender:
    """Return the candidate; of several tuning variants, the one that the newest report judged."""
    variants = [find_candidate(task, name) for name in task.config.tuning.by_variant()]
    if len(variants) == 1:
        return variants[0]
    chosen = task.result(REPORT).manifest["candidate"]
    found = next((model for model in variants if model.candidate == chosen), None)
    if found is None:
        raise FinetuneError(
            "the report judged another candidate",
            where=f"{task.task}/{REPORT}",
            found=short(chosen),
            expected="one of " + ", ".join(short(model.candidate) for model in variants),
            mend=f"run `finetune run {task.task}` first",
        )
    return found


def _version(task: TaskRun, version: int) -> Contender:
    releases = Registry(task.database).releases(task.task)
    found = next((release for release in releases if release.version == version), None)
    if found is None:
        raise FinetuneError(
            "version is not known",
            where=task.task,
            found=str(version),
            expected="one of " + ", ".join(str(release.version) for release in releases) if releases else "none yet",
        )
    if found.artifact_key:
        return released(task, found, name=f"version {version}")
    return _never_released(task, found)


def _never_released(task: TaskRun, release: Release) -> Contender:
    """Return a version that never got a manifest: its adapter is on its own, on what is the task's base today."""
    base = find_base(task)
    adapter = task.artifacts.find(ADAPTER, release.request_key)
    if adapter is None or candidate_id(base, adapter) != release.candidate:
        raise FinetuneError(
            "version cannot be asked",
            where=f"{task.task} version {release.version}",
            found="its adapter is gone" if adapter is None else "the base model has changed since",
            mend="compare versions that were released: their base is kept",
        )
    return Contender(f"version {release.version}", release.candidate, base, adapter)


def open_asked(task: TaskRun, models: Sequence[Model], train: Sequence[Example], say: Say) -> Room:
    """Open the room in which models are asked, whoever they are."""
    bases = [model.base for model in models if isinstance(model, Contender)]
    # Models behind endpoints bring their own limit on an answer.
    return open_room(task, bases, train, say) if bases else Room(task, task.task_type(), 0, say)


def _first_rows(test: Sequence[Example], limit: int) -> list[Example]:
    # Content keys are hashes, so that the first ones by key are a fair draw, and always the same.
    chosen = sorted(test, key=lambda example: (example.content_key, example.example_id))
    return chosen[:limit] if limit else list(test)


def _told(name: str, judged: Judged) -> dict[str, Any]:
    return {"asked_for": name, "name": judged.name, "identity": dict(judged.identity)}


def _others(evidence: Evidence, config: GateConfig) -> list[dict[str, Any]]:
    return [
        _named(compare(measure, evidence.candidate.table, evidence.baseline.table, config.settings).to_json())
        for measure in evidence.measures
        if measure is not evidence.primary
    ]


def _named(item: dict[str, Any]) -> dict[str, Any]:
    """Call the two sides first and second: neither need be a candidate."""
    words = {"candidate": "first", "baseline": "second", "fixed": "won", "broken": "lost"}

    def named(key: str) -> str:
        return "_".join(words.get(part, part) for part in key.split("_"))

    return {named(key): words.get(value, value) if key == "fate" else value for key, value in item.items()}
