"""Conflicts, boilerplate, language, lengths and scores, on rows written for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune_assets.datasets.conflict_lines import conflict_line
from finetune_assets.datasets.quality.boilerplate import boilerplate
from finetune_assets.datasets.quality.config import (
    BoilerplateConfig,
    LabelConflictsConfig,
    LanguageConfig,
    LengthConfig,
    QualityConfig,
    ScoresConfig,
)
from finetune_assets.datasets.quality.conflicts import label_conflicts
from finetune_assets.datasets.quality.finding import QualityFinding
from finetune_assets.datasets.quality.language import other_languages
from finetune_assets.datasets.quality.lengths import length_outliers
from finetune_assets.datasets.quality.rows import sampled
from finetune_assets.datasets.quality.scores import dataset_scores, measure_scores
from finetune_assets.datasets.quarantine import REASONS
from finetune_assets_tests.datasets.quality.written import row, write

ENGLISH = "What did the children build out of the wooden blocks this morning?"
GERMAN = "Was haben die Kinder heute Morgen aus den hölzernen Klötzen gebaut?"


def test_a_mode_may_stand_alone_and_off_needs_no_quotes() -> None:
    config = QualityConfig.model_validate({"pii": "block", "secrets": False, "poison": {"mode": False}})
    assert (config.pii.mode, config.secrets.mode, config.poison.mode) == ("block", "off", "off")
    with pytest.raises(ValueError, match="mode"):
        QualityConfig.model_validate({"pii": "sometimes"})


def test_conflicts_exact_and_near(tmp_path: Path) -> None:
    rows = [row(0, "a", label="x"), row(1, "b", label="y"), row(2, "c", label="x"), row(3, "d", label="x")]
    pairs = [
        {"content_keys": [rows[0]["content_key"], rows[1]["content_key"]], "similarity": 0.9},
        {"content_keys": [rows[0]["content_key"], rows[2]["content_key"]], "similarity": 0.9},
        {"content_keys": [rows[0]["content_key"], "0" * 64], "similarity": 0.9},
    ]
    contrary = [{**row(7, "q", "yes", label="x"), "record_id": "q7"}, row(8, "q", "no", label="y")]
    conflict = conflict_line("1" * 64, None, contrary)
    folder = write(tmp_path, rows, [conflict], pairs)
    found = label_conflicts(folder, LabelConflictsConfig(), free_text=False)
    assert found.numbers == {"exact_conflicts": 1, "near_conflicts": 1, "conflict_share": round(4 / 6, 6)}
    assert not found.passed
    assert label_conflicts(folder, LabelConflictsConfig(max_share=0.7), free_text=False).passed
    assert label_conflicts(folder, LabelConflictsConfig(), free_text=True).numbers["near_conflicts"] == 0


def test_conflicts_of_free_text_show_the_answers_by_row_and_how_alike_they_are(tmp_path: Path) -> None:
    answers = ["Rain falls.", "Rain falls", "Rain falls.", "Snow melts; write to ann@firm.net or 555 0100."]
    line = conflict_line("1" * 64, None, [row(number, "q", answer) for number, answer in enumerate(answers)])
    assert [(target["rows"], target["record_ids"]) for target in line["targets"]] == [
        (2, ["r0", "r2"]),
        (1, ["r1"]),
        (1, ["r3"]),
    ]
    assert [found["answer"] for found in line["rows"]] == [0, 1, 0, 2]
    first, second, third = (target["alike"] for target in line["targets"])
    assert first == 1.0
    assert second > 0.9
    assert third < 0.5
    assert line["targets"][1]["text"] == "Rain falls"
    assert "ann@firm.net" not in line["targets"][2]["text"]
    spellings = conflict_line("2" * 64, row(4, "p", "Wind."), [row(5, "p", "Wind. ")])
    found = label_conflicts(write(tmp_path, [], [line, spellings]), LabelConflictsConfig(), free_text=True)
    assert (found.numbers["exact_conflicts"], found.numbers["nearly_one_answer"]) == (2, 1)
    assert [item["rows_with_answer"] for item in found.rows] == [2, 1, 2, 1, 1, 1]
    assert "Rain" not in str(found.to_json())


def test_one_filler_sentence_in_json_targets(tmp_path: Path) -> None:
    filler = "The answer is correct and complete."
    rows = [row(n, f"q{n}", json.dumps({"plan": f"Do step {n}.", "metrics": [filler]})) for n in range(30)]
    found = boilerplate(write(tmp_path, rows), BoilerplateConfig(), free_text=True)
    assert not found.passed
    assert found.numbers["most_frequent_sentence_share"] == 1.0
    assert found.flagged == 30
    assert filler not in json.dumps(found.to_json())


def test_one_target_for_many_questions(tmp_path: Path) -> None:
    rows = [row(n, f"q{n}", "I do not know." if n < 9 else f"It is {n}.") for n in range(30)]
    found = boilerplate(write(tmp_path, rows), BoilerplateConfig(), free_text=True)
    assert (found.passed, found.flagged) == (False, 9)
    assert boilerplate(tmp_path, BoilerplateConfig(max_target_share=0.3), free_text=True).passed


@pytest.mark.parametrize(
    ("target", "unfinished"),
    [
        ("[PLACEHOLDER - Add actual content]", True),
        ("TODO: ask Ana", True),
        ("Lorem ipsum dolor sit amet", True),
        ("Dear [your name], hello", True),
        ("Dear {{ name }}", True),
        ("To be added.", True),
        ("still owed", True),
        ("The latter trait seems to be determined by hormones.", False),
        ("Write a todo list.", False),
        ("- [ ] router QA", False),
    ],
)
def test_placeholders(tmp_path: Path, target: str, unfinished: bool) -> None:
    config = BoilerplateConfig(placeholders=["still OWED"])
    found = boilerplate(write(tmp_path, [row(0, "q", target)]), config, free_text=True)
    assert (found.passed, found.flagged) == (not unfinished, int(unfinished))


def test_labels_are_no_boilerplate(tmp_path: Path) -> None:
    found = boilerplate(write(tmp_path, [row(n, f"q{n}") for n in range(30)]), BoilerplateConfig(), free_text=False)
    assert not found.measured


def test_other_languages(tmp_path: Path) -> None:
    rows = [row(0, ENGLISH), row(1, GERMAN), row(2, GERMAN, facts={"stated_language": "de"}), row(3, "Was?")]
    rows.append(row(4, ENGLISH, facts={"stated_language": "de"}))
    # Tags with a region or in capitals name the same language; a name that is no tag states none.
    rows += [row(5, ENGLISH, facts={"stated_language": tag}) for tag in ("en-GB", "EN", "en_US", "English")]
    found = other_languages(write(tmp_path, rows), LanguageConfig(), ["en"], free_text=False)
    assert found.numbers["judged"] == 8
    assert [item["record_id"] for item in found.rows] == ["r1", "r4"]
    assert other_languages(tmp_path, LanguageConfig(max_other_share=0.5), ["en"], free_text=False).passed
    write(tmp_path, rows[:2])
    assert not other_languages(tmp_path, LanguageConfig(), [], free_text=False).measured


def test_a_target_in_another_language(tmp_path: Path) -> None:
    folder = write(tmp_path, [row(0, ENGLISH, GERMAN)])
    [found] = other_languages(folder, LanguageConfig(), ["en"], free_text=True).rows
    assert (found["field"], found["problem"]) == ("target", "reads as de, expected en")


def test_lengths_far_from_the_others(tmp_path: Path) -> None:
    rows = [row(n, "x" * (90 + n % 20), "y" * 50) for n in range(40)]
    rows += [row(40, "x" * 5_000), row(41, "x"), row(42, "x" * 100, "y" * 900)]
    found = length_outliers(write(tmp_path, rows), LengthConfig(), free_text=True)
    assert {item["record_id"]: item["field"] for item in found.rows} == {
        "r40": "input, target",
        "r41": "input, target",
        "r42": "target",
    }
    assert found.numbers["longest_input"] == 5_000
    labels = length_outliers(tmp_path, LengthConfig(max_share=0.0), free_text=False)
    assert (labels.passed, labels.flagged) == (False, 2)
    assert not length_outliers(write(tmp_path, rows[:5]), LengthConfig(), free_text=True).measured


def test_a_sample_is_the_same_in_any_order(tmp_path: Path) -> None:
    rows = [row(n, f"q{n}") for n in range(30)]
    first, total = sampled(write(tmp_path, rows), 7)
    again, _ = sampled(write(tmp_path, rows[::-1]), 7)
    assert total == 30
    assert {item["record_id"] for item in first} == {item["record_id"] for item in again}
    assert len(first) == 7


def test_scores_count_each_rejection_once() -> None:
    reasons = dict.fromkeys(REASONS, 1)
    suspects = QualityFinding(numbers={"suspect_share": 0.25})
    scores = measure_scores(1_000, 900, 100, reasons, suspects)
    assert scores["uniqueness"] == 0.9
    assert scores["accuracy"] == 0.75
    lost = sum((1 - scores[name]) for name in ("completeness", "consistency", "validity"))
    uncounted = measure_scores(1_000, 900, 100, {"label_excluded": 5, "filtered_min_length": 7}, None)
    assert lost > 0
    assert uncounted == {"completeness": 1.0, "consistency": 1.0, "validity": 1.0, "uniqueness": 0.9}


def test_the_source_s_limits_block() -> None:
    fine = measure_scores(100, 96, 0, {"missing_field": 4}, None)
    assert dataset_scores(fine, ScoresConfig()).passed
    thin = dataset_scores(measure_scores(100, 94, 0, {"missing_field": 6}, None), ScoresConfig())
    assert not thin.passed
    assert thin.rows[0]["score"] == "completeness"
    odd = dataset_scores(measure_scores(100, 89, 0, {"label_conflict": 11}, None), ScoresConfig())
    assert not odd.passed


def test_an_unmeasured_score_is_absent_and_in_no_mean() -> None:
    scores = measure_scores(100, 100, 0, {}, None)
    found = dataset_scores(scores, ScoresConfig())
    assert "accuracy" not in found.numbers
    assert found.numbers["overall"] == 1.0
    assert next(item for item in found.rows if item["score"] == "accuracy")["value"] == "not measured"
    assert not dataset_scores(measure_scores(0, 0, 0, {}, None), ScoresConfig()).measured
