"""Suspect labels: the 52 labels that the generator of the childcare sample wrote wrong must be found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune_assets.datasets.build import build_splits
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.quality.config import PoisonConfig, SuspectLabelsConfig
from finetune_assets.datasets.quality.poison import poison
from finetune_assets.datasets.quality.suspects import suspect_labels
from finetune_assets.datasets.reading.ingest import ingest
from finetune_assets.datasets.synthetic.childcare import NOISY_ROWS, SAMPLE_SEED, noisy_record_ids
from finetune_assets.task_types import build_task_type
from finetune_assets_tests.datasets.quality.written import row, write

CHILDCARE = Path(__file__).parents[3] / "finetune_assets" / "defs" / "childcare"
LEVELS = ("domain", "attribute", "progression")


@pytest.fixture(scope="module")
def childcare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("childcare")
    raw, out = home / "raw", home / "out"
    raw.mkdir()
    out.mkdir()
    task = build_task_type("classification", {"taxonomy": "taxonomy.json"}, CHILDCARE)
    config = DatasetConfig.model_validate({"source": {"path": "data/observations.jsonl"}})
    ingest(config.source, CHILDCARE, task.aliases, raw)
    build_splits(raw / "records.jsonl", out, task, config)
    return out


def test_the_planted_noise_is_found(childcare: Path) -> None:
    noisy = noisy_record_ids(SAMPLE_SEED)
    assert len(noisy) == NOISY_ROWS == 52
    found = suspect_labels(childcare, SuspectLabelsConfig(), LEVELS, free_text=False)
    hits = [item["record_id"] in noisy for item in found.rows]
    assert sum(hits) / len(noisy) >= 0.85
    assert sum(hits) / found.flagged >= 0.85
    # The ranking is what a person works through: nearly all of its first half is wrong.
    assert sum(hits[:26]) >= 25
    assert found.passed


def test_the_sample_holds_no_trigger(childcare: Path) -> None:
    assert poison(childcare, PoisonConfig()).numbers["suspicious_phrases"] == 0


def test_suspects_are_the_same_each_time(childcare: Path) -> None:
    first = suspect_labels(childcare, SuspectLabelsConfig(), LEVELS, free_text=False)
    again = suspect_labels(childcare, SuspectLabelsConfig(), LEVELS, free_text=False)
    assert json.dumps(first.to_json()) == json.dumps(again.to_json())


def test_the_limit_holds(childcare: Path) -> None:
    assert not suspect_labels(childcare, SuspectLabelsConfig(max_share=0.01), LEVELS, free_text=False).passed


def test_what_cannot_be_judged_is_not_measured(tmp_path: Path) -> None:
    few = [row(n, f"question {n}", label="ab"[n % 2]) for n in range(30)]
    folder = write(tmp_path, few)
    assert not suspect_labels(folder, SuspectLabelsConfig(), ["label"], free_text=False).measured
    assert not suspect_labels(folder, SuspectLabelsConfig(min_rows=20), ["label"], free_text=True).measured
    write(tmp_path, [row(n, f"question {n}") for n in range(30)])
    assert not suspect_labels(folder, SuspectLabelsConfig(min_rows=20), ["label"], free_text=False).measured


def test_texts_without_a_common_word(tmp_path: Path) -> None:
    rows = [row(n, f"q{n}", label="ab"[n % 2]) for n in range(30)]
    config = SuspectLabelsConfig(min_rows=20)
    assert suspect_labels(write(tmp_path, rows), config, ["label"], free_text=False).flagged == 0
