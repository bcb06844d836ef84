"""The quality checks as the graph holds them: which exist, which block, and what an unmeasured one says."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from finetune_assets.lineage import quality_checks as module
from finetune_assets.lineage.quality_checks import quality_checks
from finetune_assets.lineage.task_config import TaskConfig, TaskSpec
from finetune_assets_tests.datasets.quality.written import row, write

LABELS = ("yes", "no")


def spec_of(**dataset: Any) -> TaskSpec:
    attributes = {
        "task": "winds",
        "task_type": "classification",
        "dataset": {"source": {"path": "rows.jsonl"}, **dataset},
        "classification": {"taxonomy": "taxonomy.json"},
    }
    return TaskSpec(config=TaskConfig.model_validate(attributes), folder="/nowhere")


def opened(spec: TaskSpec, folder: Path, summary: dict[str, Any]) -> tuple[Any, Any]:
    """Return what a check gets: a task in a run, and its artifact, both with the parts that checks look at."""
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "records.jsonl").write_text("")
    artifact = SimpleNamespace(
        path=folder, file=lambda name: folder / name, manifest={"files": {"examples.jsonl": {"sha256": "0" * 64}}}
    )
    (folder / "evidence").mkdir(exist_ok=True)
    task_type = SimpleNamespace(choices=lambda: LABELS, label_levels=("label",))
    task = SimpleNamespace(
        config=spec.config,
        home=SimpleNamespace(path=folder),
        task_type=lambda: task_type,
        result=lambda stage: artifact,
    )
    return task, artifact


def summary_of(rows: int, **more: Any) -> dict[str, Any]:
    counts = {"read": rows, "accepted": rows, "duplicates": 0, "quarantined": 0, "expanded": 0, "outside_limit": 0}
    return {**counts, "reasons": {}, **more}


def test_modes_decide_which_checks_exist_and_which_block() -> None:
    usual = {check.name: check.gate for check in quality_checks(spec_of())}
    assert {name for name, gate in usual.items() if gate} == {"dataset_scores", "secrets"}
    assert len(usual) == 10
    chosen = {"pii": "block", "secrets": "warn", "poison": False, "suspect_labels": {"mode": "off"}}
    found = {check.name: check.gate for check in quality_checks(spec_of(quality=chosen))}
    assert set(usual) - set(found) == {"poison", "suspect_labels"}
    assert (found["pii"], found["secrets"]) == (True, False)


@pytest.mark.parametrize("mode", ["warn", "block"])
def test_a_check_that_could_not_measure_fails(tmp_path: Path, mode: str) -> None:
    spec = spec_of(quality={"suspect_labels": mode})
    task, artifact = opened(spec, write(tmp_path, [row(0, "q")]), summary_of(1))
    [check] = [check for check in quality_checks(spec) if check.name == "suspect_labels"]
    evidence = check.look(task, artifact)
    assert not evidence.passed
    assert evidence.summary.startswith("not measured: 1 rows, at least 500")


@pytest.mark.parametrize(("mode", "passed"), [("warn", True), ("block", False)])
def test_a_check_that_does_not_apply_only_fails_where_it_was_asked_for(tmp_path: Path, mode: str, passed: bool) -> None:
    spec = spec_of(quality={"boilerplate": mode})
    task, artifact = opened(spec, write(tmp_path, [row(0, "q")]), summary_of(1))
    [check] = [check for check in quality_checks(spec) if check.name == "boilerplate"]
    evidence = check.look(task, artifact)
    assert evidence.passed is passed
    assert evidence.summary.startswith("does not apply")


def test_every_check_looks_at_the_rows(tmp_path: Path) -> None:
    rows = [row(n, f"Is {n} an even number, or is it an odd one?", label=LABELS[n % 2]) for n in range(60)]
    rows[0] = row(0, "Call +49 30 901820", label="yes")
    spec = spec_of(quality={"languages": ["en"], "pii": "block"}, filters={"min_error_score": 0.5})
    task, artifact = opened(spec, write(tmp_path, rows), summary_of(60))
    found = {check.name: check.look(task, artifact) for check in quality_checks(spec)}
    failed = {name for name, evidence in found.items() if not evidence.passed}
    # Sixty rows are too few to suspect labels by.
    assert failed == {"pii", "filters", "suspect_labels"}
    assert found["pii"].rows == [{"split": "train", "record_id": "r0", "field": "input", "problem": "phone"}]
    assert found["filters"].numbers == {"left_out": 0, "not_applicable": 60}
    assert found["dataset_scores"].numbers["overall"] == 1.0
    assert "accuracy" not in found["dataset_scores"].numbers


def test_low_scores_block(tmp_path: Path) -> None:
    spec = spec_of()
    summary = summary_of(100, accepted=90, quarantined=10, reasons={"missing_field": 5})
    task, artifact = opened(spec, write(tmp_path, [row(0, "q")]), summary)
    [check] = [check for check in quality_checks(spec) if check.name == "dataset_scores"]
    evidence = check.look(task, artifact)
    # The stand-in gives one summary for both stages, so each rejection counts twice.
    assert evidence.numbers["completeness"] == 0.9
    assert (check.gate, evidence.passed) == (True, False)


def test_suspects_are_computed_once_for_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of()
    task, artifact = opened(spec, write(tmp_path, [row(0, "q")]), summary_of(1))
    by_name = {check.name: check for check in quality_checks(spec)}
    first = by_name["suspect_labels"].look(task, artifact)
    monkeypatch.setattr(module, "suspect_labels", lambda *_, **__: pytest.fail("computed again"))
    assert by_name["suspect_labels"].look(task, artifact) == first
    assert by_name["dataset_scores"].look(task, artifact).passed


def test_a_check_switched_off_for_a_run_says_so(tmp_path: Path) -> None:
    [check] = [check for check in quality_checks(spec_of()) if check.name == "pii"]
    task, artifact = opened(spec_of(quality={"pii": False}), tmp_path, summary_of(1))
    assert check.look(task, artifact).summary == "switched off for this run"
