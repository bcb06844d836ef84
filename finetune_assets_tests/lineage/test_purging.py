"""Forgetting reaches the artifacts: later versions drop the rows, earlier ones are purged, and a tombstone says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from finetune_assets.datasets.versions.catalogue import Catalogue
from finetune_assets.datasets.versions.restore import restore_version
from finetune_assets.feedback.forgetting import forget
from finetune_assets.feedback.pseudonyms import Pseudonyms
from finetune_assets.lineage.corrected_cases import cases_in
from finetune_assets.lineage.purging import holdings, purge
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.trigger_window import predictions_of
from finetune_assets.lineage.uploaded_dataset import STAGE as UPLOADED
from finetune_assets.lineage.uploaded_dataset import upload
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.e2e.tasks import write_task
from finetune_assets_tests.lineage.circle import TASK, correct, experiment, open_circle, run, words

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def task(tmp_path: Path, platform_home: Path) -> TaskRun:
    sections = {"feedback": {"subject_field": "person", "regression_share": 0.0}}
    write_task(tmp_path / "tasks", TASK, rows=60, **sections)
    return open_circle(tmp_path / "tasks" / TASK, platform_home)


def files_with(task: TaskRun, text: str) -> list[Path]:
    return [path for path in task.artifacts.root.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_what_is_forgotten_is_nowhere_after_the_next_version_and_a_purge(task: TaskRun) -> None:
    run(task)
    hers = correct(task, words(1), input={"text": words(1), "person": "ana"})
    his = correct(task, words(2), input={"text": words(2), "person": "ben"})
    run(task)
    upload(task)
    assert files_with(task, words(1))
    done = forget(task.database, predictions_of(task), Pseudonyms.load(task.home.path).subject("ana"))
    assert done.dataset_versions == ("2",)
    found = holdings(task)
    assert (found.cases, found.versions, found.head) == ((hers,), (2,), 2)
    assert not found.artifacts, "the next version is built on this one"
    raw, _, _ = run(task)
    assert set(cases_in(raw)) == {his}
    found = holdings(task)
    assert found.head == 0
    assert {kind for kind, _ in found.artifacts} == {"raw_observations", "validated_splits", UPLOADED}
    assert purge(task, found, by="test", at=NOW) == 3
    assert purge(task, holdings(task), by="test", at=NOW) == 0
    assert files_with(task, words(1)) == []
    assert files_with(task, words(2)), "the others stay"
    with pytest.raises(FinetuneError, match="purged") as refused:
        restore_version(Catalogue(task.database, task.artifacts, TASK), 2, by="test")
    assert "2026-05-01" in str(refused.value)
    assert run(task)[2]


def test_an_experiment_goes_on_after_its_version_was_purged(task: TaskRun) -> None:
    run(task)
    correct(task, words(1), input={"text": words(1), "person": "ana"})
    tried = experiment(task, 40)
    run(tried)
    forget(task.database, predictions_of(task), Pseudonyms.load(task.home.path).subject("ana"))
    found = holdings(task)
    assert {kind for kind, _ in found.artifacts} == {"raw_observations", "validated_splits"}
    purge(task, found, by="test", at=NOW)
    _, splits, _ = run(tried)
    assert splits.path.exists()
    assert files_with(task, words(1)) == []


def test_who_is_forgotten_after_inputs_are_no_longer_kept_is_found_all_the_same(task: TaskRun) -> None:
    hers = correct(task, words(1), input={"text": words(1), "person": "ana"})
    run(task)
    forget(task.database, predictions_of(task), Pseudonyms.load(task.home.path).subject("ana"))
    feedback = task.config.feedback.model_copy(update={"inputs": "digest"})
    config = task.config.model_copy(update={"feedback": feedback})
    later = replace(task, settings=replace(task.settings, config=config))
    assert holdings(later).cases == (hers,)
