"""All 18,200 rows of CLINC150 through ingest and build."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

from finetune_assets.datasets.build import SplitSummary, build_splits
from finetune_assets.datasets.config import DatasetConfig, SplitConfig
from finetune_assets.datasets.format_checks import format_findings
from finetune_assets.datasets.normalise import content_key
from finetune_assets.datasets.reading.ingest import IngestSummary, ingest
from finetune_assets.datasets.schema import leakage_findings, taxonomy_findings, validate_examples
from finetune_assets.datasets.split_files import read_assignments, read_near_pairs, read_rows
from finetune_assets.task_types import build_task_type


def build(
    folder: Path, home: Path, *, previous: Path | None = None, split: object = None, **attributes: object
) -> tuple[IngestSummary, SplitSummary, Path]:
    home.mkdir()
    raw, out = home / "raw", home / "splits"
    raw.mkdir()
    out.mkdir()
    source = folder / "classification"
    task = build_task_type("classification", {"taxonomy": "clinc150_taxonomy.json", **attributes}, source)
    config = DatasetConfig.model_validate({"source": {"path": "clinc150_train_val.jsonl"}, "split": split or {}})
    read = ingest(config.source, source, task.aliases, raw)
    return read, build_splits(raw / "records.jsonl", out, task, config, previous=previous), out


@pytest.fixture(scope="module")
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of a finished build, beside the real data."""
    folder = os.environ.get("FINETUNE_REAL_DATA", "")
    if not folder:
        pytest.skip("FINETUNE_REAL_DATA is not set: the real data is not in this repository")
    home = tmp_path_factory.mktemp("clinc") / "home"
    read, summary, out = build(Path(folder), home)
    assert read.read == read.accepted == 18_200
    assert summary.read == 18_200
    (home / "summary.json").write_text(json.dumps(summary.to_json()))
    return Path(folder), out


def test_counts_are_conserved(built: tuple[Path, Path]) -> None:
    summary = json.loads((built[1].parent / "summary.json").read_text())
    assert summary["accepted"] + summary["quarantined"] + summary["duplicates"] == 18_200
    # 66 normalised duplicates, of which two are the second halves of the two conflicts.
    assert summary["duplicates"] == 64
    assert summary["reasons"] == {"label_conflict": 4, "unknown_label": 200}
    assert sum(summary["splits"].values()) == summary["accepted"] == 17_932
    assert summary["splits"]["train"] == pytest.approx(0.8 * 17_932, rel=0.01)
    assert summary["splits"]["test"] == pytest.approx(0.1 * 17_932, rel=0.01)


def test_the_two_label_conflicts_are_reported(built: tuple[Path, Path]) -> None:
    conflicts = [json.loads(line) for line in (built[1] / "conflicts.jsonl").read_text().splitlines()]
    assert {tuple(conflict["answers"]) for conflict in conflicts} == {
        ("home / reminder", "home / todo_list"),
        ("meta / change_volume", "meta / whisper_mode"),
    }
    assert all(len(conflict["rows"]) == 2 for conflict in conflicts)


def test_texts_that_leak_between_the_official_splits_end_in_one(built: tuple[Path, Path]) -> None:
    folder, out = built
    official: dict[str, set[str]] = defaultdict(set)
    with (folder / "classification/clinc150_train_val.jsonl").open() as lines:
        for line in lines:
            row = json.loads(line)
            official[content_key({"text": row["text"]})].add(row["official_split"])
    leaking = {key for key, splits in official.items() if len(splits) > 1}
    assert len(leaking) == 22
    ours: dict[str, list[str]] = defaultdict(list)
    for row in read_rows(out):
        ours[row["content_key"]].append(row["split"])
    conflicting = {json.loads(line)["content_key"] for line in (out / "conflicts.jsonl").read_text().splitlines()}
    # Both conflicts leak as well: they are in no split at all.
    assert {key for key in leaking if key not in ours} == conflicting
    assert all(len(ours[key]) == 1 for key in leaking - conflicting)


def test_the_certificate_names_the_near_duplicates(built: tuple[Path, Path]) -> None:
    certificate = json.loads((built[1] / "certificate.json").read_text())
    near = certificate["near_duplicates"]
    assert near["pairs"] == 677
    assert near["largest_cross_split_similarity"] < 0.8
    assert near["recall"]["recall"] >= 0.995
    assert (certificate["components"], certificate["largest_component"]) == (17_343, 11)
    label_of = {row["content_key"]: row["label"] for row in read_rows(built[1])}
    pairs = list(read_near_pairs(built[1]))
    assert sum(label_of[one] != label_of[other] for one, other, _ in pairs) == 10


@pytest.mark.parametrize(("use", "set_aside"), [("overrule", {}), ("honour", {"would_tie_splits": 55})])
def test_leaks_between_the_official_splits_are_counted(
    real_data: Path, tmp_path: Path, use: str, set_aside: dict[str, int]
) -> None:
    split = {"official": {"field": "official_split", "use": use}}
    _, summary, out = build(real_data, tmp_path / "home", split=split)
    certificate = json.loads((out / "certificate.json").read_text())
    official = certificate["official_splits"]
    assert (official["keys"], official["groups"], official["near_pairs"]) == (22, 0, 66)
    assert official["rows"] == {"train": 15_000, "validation": 3_000, "test": 0, "none": 0}
    assert certificate["set_aside"] == set_aside
    assert (summary.splits["test"] == 0) == (use == "honour")
    task = build_task_type("classification", {"taxonomy": "clinc150_taxonomy.json"}, real_data / "classification")
    assert leakage_findings(out, SplitConfig(), task).passed


def test_the_checks_pass(built: tuple[Path, Path]) -> None:
    folder, out = built
    task = build_task_type("classification", {"taxonomy": "clinc150_taxonomy.json"}, folder / "classification")
    for findings in (
        validate_examples(out, task),
        taxonomy_findings(out, task),
        leakage_findings(out, SplitConfig(), task),
        format_findings(out),
    ):
        assert findings.passed, findings.failures[:3]


def test_rows_that_become_legal_join_and_move_nobody(built: tuple[Path, Path], tmp_path: Path) -> None:
    folder, out = built
    mapped = {"oos": {"domain": "meta", "label": "repeat"}}
    _, summary, grown = build(folder, tmp_path / "grown", previous=out / "assignments.jsonl", label_map=mapped)
    assert summary.reasons == {"label_conflict": 4}
    assert summary.accepted + summary.duplicates == 18_200 - 4
    before, after = (read_assignments(path / "assignments.jsonl") for path in (out, grown))
    assert before.items() <= after.items()
    assert len(after) == summary.accepted
