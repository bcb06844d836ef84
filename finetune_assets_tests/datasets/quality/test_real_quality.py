"""What the detectors find in real data: the dirt that its README counts, and nothing where there is none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.datasets.build import SplitSummary, build_splits
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.quality.boilerplate import boilerplate
from finetune_assets.datasets.quality.config import QualityConfig
from finetune_assets.datasets.quality.conflicts import label_conflicts
from finetune_assets.datasets.quality.language import other_languages
from finetune_assets.datasets.quality.lengths import length_outliers
from finetune_assets.datasets.quality.pii import PHONE, personal_data
from finetune_assets.datasets.quality.poison import poison
from finetune_assets.datasets.quality.secrets import secrets
from finetune_assets.datasets.quality.suspects import suspect_labels
from finetune_assets.datasets.reading.ingest import ingest
from finetune_assets.task_types import build_task_type

QUALITY = QualityConfig(languages=["en"])
TOOLS = [{"name": name, "description": name} for name in ("math", "code", "general-search")]


def built(source: Path, home: Path, task_type: str, section: dict[str, Any], file: str) -> tuple[SplitSummary, Path]:
    raw, out = home / "raw", home / "out"
    raw.mkdir()
    out.mkdir()
    task = build_task_type(task_type, section, source)
    config = DatasetConfig.model_validate({"source": {"path": file}})
    ingest(config.source, source, task.aliases, raw)
    return build_splits(raw / "records.jsonl", out, task, config), out


def test_intents(real_data: Path, tmp_path: Path) -> None:
    section = {"taxonomy": "clinc150_taxonomy.json"}
    _, out = built(real_data / "classification", tmp_path, "classification", section, "clinc150_train_val.jsonl")
    conflicts = label_conflicts(out, QUALITY.label_conflicts, free_text=False)
    assert conflicts.numbers["exact_conflicts"] == 2
    assert conflicts.numbers["near_conflicts"] == 10
    guard = poison(out, QUALITY.poison)
    # Thousands of phrases belong to one intent, as they should; none speaks against the rest of its rows.
    assert guard.numbers["tied_phrases"] > 3_000
    assert (guard.passed, guard.numbers["suspicious_phrases"]) == (True, 0)
    assert not boilerplate(out, QUALITY.boilerplate, free_text=False).measured
    assert personal_data(out, QUALITY.pii).flagged == secrets(out, QUALITY.secrets).flagged == 0
    suspects = suspect_labels(out, QUALITY.suspect_labels, ("domain", "label"), free_text=False)
    assert suspects.passed
    assert suspects.numbers["suspect_share"] < 0.02


def test_one_filler_sentence_in_every_plan(real_data: Path, tmp_path: Path) -> None:
    section = {"records": "traces", "tools": TOOLS, "rules": "completion"}
    _, out = built(real_data / "router", tmp_path, "routing", section, "coursegpt_router_hard.jsonl")
    found = boilerplate(out, QUALITY.boilerplate, free_text=True)
    assert found.numbers["most_frequent_sentence_share"] == 1.0
    assert found.numbers["most_frequent_target_share"] < 0.02
    assert (found.passed, found.flagged) == (False, 314)


def test_long_answers_and_numbers_that_are_no_phones(real_data: Path, tmp_path: Path) -> None:
    summary, out = built(real_data / "environment", tmp_path, "question_answering", {}, "skeptics_se_other.jsonl")
    assert summary.accepted == 784
    lengths = length_outliers(out, QUALITY.length_outliers, free_text=True)
    assert lengths.numbers["longest_target"] > 27_000
    assert any(item["problem"].startswith("27356 ") for item in lengths.rows)
    found = personal_data(out, QUALITY.pii)
    # Of 69 numbers that look like one, the only phone number is a public hotline in one answer.
    assert found.numbers.get(PHONE) == 1
    assert found.flagged <= 2
    assert boilerplate(out, QUALITY.boilerplate, free_text=True).passed
    assert secrets(out, QUALITY.secrets).flagged == 0
    assert other_languages(out, QUALITY.language, ["en"], free_text=True).flagged == 0


def test_untranslated_answers(real_data: Path, tmp_path: Path) -> None:
    _, out = built(real_data / "environment", tmp_path, "question_answering", {}, "electricitymap_faq.jsonl")
    found = other_languages(out, QUALITY.language, [], free_text=True)
    assert found.flagged >= 3
    assert Counter(item["problem"].split(",")[0] for item in found.rows) == {"reads as en": found.flagged}


def test_transcripts(real_data: Path, tmp_path: Path) -> None:
    _, out = built(real_data / "speech", tmp_path, "transcription", {}, "preschool_whisper_pairs_filtered.jsonl")
    assert label_conflicts(out, QUALITY.label_conflicts, free_text=True).numbers["exact_conflicts"] == 3
    assert boilerplate(out, QUALITY.boilerplate, free_text=True).passed


@pytest.mark.parametrize("name", ["seed003_climate_qa_sample.json", "seed003_climate_qa_comprehensive.json"])
def test_small_sets_pass_where_nothing_is_wrong(real_data: Path, tmp_path: Path, name: str) -> None:
    _, out = built(real_data / "environment", tmp_path, "question_answering", {}, name)
    assert boilerplate(out, QUALITY.boilerplate, free_text=True).passed
    assert personal_data(out, QUALITY.pii).passed
    assert not poison(out, QUALITY.poison).measured
