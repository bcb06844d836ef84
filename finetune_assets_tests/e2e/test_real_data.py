"""Real records, where FINETUNE_REAL_DATA names them: CLINC150 through a folder with a YAML and nothing else."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from finetune_assets.storage.files import read_json
from finetune_assets_tests.e2e.command import MadeHome, Said, finetune, live_release, result

LABELS = [
    "translate",
    "transfer",
    "timer",
    "definition",
    "meaning_of_life",
    "insurance_change",
    "find_phone",
    "travel_alert",
    "pto_request",
    "improve_credit_score",
]


def write_clinc(folder: Path, real_data: Path, **attributes: Any) -> dict[str, str]:
    """Write the YAML folder; the data stays where it is."""
    source = real_data / "classification"
    classification = {"taxonomy": str(source / "clinc150_taxonomy.json"), **attributes.pop("classification", {})}
    document = {
        "type": "finetune_assets.component.FineTuningTask",
        "attributes": {
            "task_type": "classification",
            "dataset": {
                "source": {"path": str(source / "clinc150_train_val.jsonl")},
                # 200 of the rows are `oos`, which no label stands for: an eighth of what ten labels leave.
                "quality": {"scores": {"validity": 0.85}},
            },
            "classification": classification,
            **attributes,
        },
    }
    (folder / "clinc").mkdir(parents=True)
    (folder / "clinc" / "defs.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return {"FINETUNE_TASKS": str(folder)}


@pytest.fixture(scope="module")
def real_run(real_data_folder: Path, judged_home: MadeHome, tmp_path_factory) -> tuple[Path, Said, float]:
    folder = tmp_path_factory.mktemp("clinc")
    home = Path(shutil.copytree(judged_home.path, folder / "home"))
    env = write_clinc(
        folder / "tasks",
        real_data_folder,
        classification={"labels": {"include": LABELS}},
        tuning={"learning_rate": 1e-3},
        release={"approval": "automatic"},
    )
    began = time.monotonic()
    said = finetune(home, "run", "clinc", env=env)
    return home, said, time.monotonic() - began


def test_ten_real_labels_become_a_live_release_within_three_minutes(real_run) -> None:
    home, said, seconds = real_run
    assert said.code == 0, said.all
    assert seconds < 180
    live = live_release(home, "clinc")
    assert live is not None
    assert live.version == 1
    # What other tasks have live is theirs.
    assert live_release(home) is None


def test_on_real_rows_the_tuned_model_beats_the_untuned_base(real_run) -> None:
    home, _, _ = real_run
    report = read_json(result(home, "validation_report", "clinc").file("report.json"))
    gates = {gate["name"]: gate["verdict"] for gate in report["verdict"]["gates"]}
    assert report["verdict"]["verdict"] == "PASS"
    assert gates["beats_baseline"] == "PASS"
    assert report["baseline"]["name"] == "untuned base"
    assert report["scores"]["candidate"]["correct"] > 0.7


def test_labels_that_are_not_listed_are_set_aside_and_counted(real_run) -> None:
    home, _, _ = real_run
    summary = read_json(result(home, "validated_splits", "clinc").file("summary.json"))
    assert 800 < summary["splits"]["train"] < 1000
    assert summary["reasons"]["label_excluded"] > 16_000
    assert summary["reasons"]["unknown_label"] == 200


@pytest.fixture(scope="module")
def all_rows(real_data_folder: Path, judged_home: MadeHome, tmp_path_factory) -> tuple[Path, Said, list]:
    folder = tmp_path_factory.mktemp("clinc_all")
    home = Path(shutil.copytree(judged_home.path, folder / "home"))
    env = write_clinc(folder / "tasks", real_data_folder)
    said = finetune(home, "run", "clinc", "--until", "validated_splits", env=env)
    return home, said, finetune(home, "status", "clinc", "--json", env=env).json()


def test_all_real_rows_are_counted_once(all_rows) -> None:
    _, said, (state,) = all_rows
    assert said.code == 0, said.all
    counts = state["counts"]
    assert counts["read"] == 18_200
    assert counts["accepted"] + counts["quarantined"] + counts["duplicates"] == 18_200
    assert counts["train"] + counts["validation"] + counts["test"] == counts["accepted"]


def test_the_two_label_conflicts_of_the_real_rows_are_reported(all_rows) -> None:
    home, said, _ = all_rows
    splits = result(home, "validated_splits", "clinc")
    conflicts = [json.loads(line) for line in splits.file("conflicts.jsonl").read_text().splitlines()]
    assert len(conflicts) == 2
    assert "2 label conflicts" in said.out


def test_what_is_out_of_scope_is_in_quarantine(all_rows) -> None:
    home, _, _ = all_rows
    summary = read_json(result(home, "validated_splits", "clinc").file("summary.json"))
    assert summary["reasons"] == {"label_conflict": 4, "unknown_label": 200}
