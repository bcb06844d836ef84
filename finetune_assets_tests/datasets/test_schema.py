from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.datasets.config import SplitConfig
from finetune_assets.datasets.findings import SchemaFindings
from finetune_assets.datasets.format_checks import format_findings
from finetune_assets.datasets.schema import label_balance, leakage_findings, taxonomy_findings, validate_examples
from finetune_assets_tests.datasets.fake_task import LABELS, FakeTask
from finetune_assets_tests.datasets.quality.written import row as written_row
from finetune_assets_tests.datasets.quality.written import write
from finetune_assets_tests.datasets.test_build import build, observations

SECRET = "Ana ran"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rows = observations(60)
    for number, row in enumerate(rows):
        row["child"] = number // 2
    return build(tmp_path, rows, split={"group_fields": ["child"]})[1]


def edit(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    change(rows)
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))


def checks(folder: Path) -> dict[str, SchemaFindings]:
    return {
        "schema": validate_examples(folder, FakeTask()),
        "taxonomy": taxonomy_findings(folder, FakeTask()),
        "leakage": leakage_findings(folder, SplitConfig(), FakeTask()),
        "format": format_findings(folder),
    }


def test_a_sound_dataset_passes_every_check(dataset: Path) -> None:
    for name, findings in checks(dataset).items():
        assert findings.passed, (name, findings.failures)
        assert findings.rows == (120 if name == "format" else 60)
    assert taxonomy_findings(dataset, FakeTask()).facts == {"labels_used": 3, "labels_legal": 3}
    assert leakage_findings(dataset, SplitConfig(), FakeTask()).facts["largest_component"] == 2


def test_an_empty_dataset_passes_nothing(dataset: Path) -> None:
    for path in dataset.rglob("*.jsonl"):
        path.write_text("")
    assert not any(findings.passed for findings in checks(dataset).values())


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("split", "trainings", "split is unknown"),
        ("example_id", "ab", "not 64 hex digits"),
        ("example_id", "0" * 64, "does not hold"),
        ("record_id", "", "record id is empty"),
        ("content_key", "X" * 64, "not 64 hex digits"),
        ("label", "", "label is empty"),
        ("label_path", ["a", "b"], "label has not all levels"),
        ("target", "Maths", "no legal answer"),
        ("messages", [], "no turn"),
        ("messages", [{"role": "user", "content": " "}], "a turn is blank"),
        ("messages", [{"role": "tool", "content": SECRET}], "does not hold"),
        ("messages", [{"role": "assistant", "content": SECRET}], "does not hold"),
    ],
)
def test_schema_failures_name_the_row_and_no_text(dataset: Path, field: str, value: Any, problem: str) -> None:
    edit(dataset / "examples.jsonl", lambda rows: rows[3].update({field: value}))
    findings = validate_examples(dataset, FakeTask())
    assert not findings.passed
    assert any(problem in failure["problem"] for failure in findings.failures)
    assert all(failure["record_id"] == ("" if field == "record_id" else "r3") for failure in findings.failures)
    assert SECRET not in json.dumps(findings.failures)


def test_equal_ids_are_found_over_the_whole_dataset(dataset: Path) -> None:
    edit(dataset / "examples.jsonl", lambda rows: rows.append(rows[0]))
    found = {failure["field"] for failure in validate_examples(dataset, FakeTask()).failures}
    assert found == {"record_id", "example_id", "content_key"}


def test_a_target_with_another_label_is_found(dataset: Path) -> None:
    edit(dataset / "examples.jsonl", lambda rows: rows[0].update(target=json.dumps({"label": LABELS[1]})))
    edit(dataset / "examples.jsonl", lambda rows: rows[1].update(target=json.dumps({"label": "Maths"})))
    problems = [failure["problem"] for failure in taxonomy_findings(dataset, FakeTask()).failures]
    assert problems == ["says another label than the example", "unknown_label"]


def test_planted_leaks_are_found(dataset: Path) -> None:
    def plant(rows: list[dict[str, Any]]) -> None:
        train = next(row for row in rows if row["split"] == "train")
        rows.append({**train, "split": "test", "groups": []})
        rows.append({**train, "split": "validation", "content_key": "0" * 64})

    edit(dataset / "examples.jsonl", plant)
    findings = leakage_findings(dataset, SplitConfig(), FakeTask())
    assert (findings.facts["cross_split_key_overlap"], findings.facts["cross_split_group_overlap"]) == (1, 1)
    # The copies say the same, so they are near-duplicates too.
    assert findings.facts["cross_split_near_duplicates"] == 2
    assert {failure["field"] for failure in findings.failures} == {"content_key", "groups", "messages"}
    assert not findings.passed


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: [*lines[:-1]], "an example without a line"),
        (lambda lines: [*lines, lines[0]], "a line without an example"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "not what the example renders to"),
        (lambda lines: [lines[0][:-3], *lines[1:]], "not JSON"),
    ],
)
@pytest.mark.parametrize("form", ["chat", "gemini"])
def test_rendered_lines_are_read_back(
    dataset: Path, form: str, change: Callable[[list[str]], list[str]], problem: str
) -> None:
    path = dataset / form / "train.jsonl"
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    findings = format_findings(dataset)
    assert not findings.passed
    assert {failure["problem"] for failure in findings.failures} == {problem}
    assert {failure["field"] for failure in findings.failures} == {f"{form}/train.jsonl"}


def test_rare_labels_are_named(tmp_path: Path) -> None:
    rows = [*observations(30), {"id": "rare", "text": "Once only.", "label": LABELS[0]}]
    rows = [row for row in rows if row["label"] != LABELS[1]] + [{"id": "one", "text": "One.", "label": LABELS[1]}]
    findings = label_balance(build(tmp_path, rows)[1])
    assert findings.failure_count == 1
    assert findings.failures[0]["problem"] == f"{LABELS[1]}: 1 training rows, at least 2"
    assert findings.facts["labels_absent_from_test"] == [LABELS[1]]
    assert findings.facts["labels"] == 3
    assert findings.facts["largest_ratio"] >= 7


def test_copies_and_made_rows_do_not_make_a_label_frequent(tmp_path: Path) -> None:
    rows = [
        written_row(0, "seen", label="rare"),
        *[written_row(n, f"made {n}", label="rare", origin=("augmented", "synthetic")[n % 2]) for n in range(1, 6)],
        *[written_row(n, f"seen {n}", label="usual") for n in range(10, 16)],
    ]
    findings = label_balance(write(tmp_path, rows), min_rows=2)
    assert [failure["problem"] for failure in findings.failures] == [
        "rare: 1 training rows besides 5 synthetic or augmented ones, at least 2"
    ]
    assert (findings.facts["largest_ratio"], findings.facts["largest_ratio_of_all"]) == (6.0, 1.0)
