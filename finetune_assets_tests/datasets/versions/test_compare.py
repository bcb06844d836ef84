"""Comparing versions, held against the plain way of doing it; and what a restore remembers."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.versions.catalogue import Version
from finetune_assets.datasets.versions.compare import compare_versions
from finetune_assets.datasets.versions.restore import remembered
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.heads import Head

SPLITS = ("train", "validation", "test")


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def version(folder: Path, number: int, rows: dict[str, tuple[int, str, str, str]], gone: dict[str, str]) -> Version:
    """Write a version: question → (record, split, label, wording), and assignments of rows that are gone."""
    folder.mkdir()
    examples = [
        {
            "split": split,
            "example_id": digest(question, label, wording),
            "record_id": f"r{record}",
            "content_key": digest(question),
            "label": label,
        }
        for question, (record, split, label, wording) in rows.items()
    ]
    assigned = {question: row[1] for question, row in rows.items()}
    assignments = [{"content_key": digest(key), "split": split} for key, split in {**gone, **assigned}.items()]
    for name, lines in (("examples.jsonl", examples), ("assignments.jsonl", assignments)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "summary.json").write_text("{}")
    files = {name: {} for name in ("examples.jsonl", "assignments.jsonl", "summary.json")}
    head = Head("t", "main", number, "i", "a", str(number), datetime(2026, 1, 1, tzinfo=UTC))
    return Version(head, Artifact(folder, "validated_splits", "a", {"files": files, "digest": "d"}))


@st.composite
def drawn_rows(draw: st.DrawFn) -> dict[str, tuple[int, str, str, str]]:
    questions = draw(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8))
    records = draw(st.permutations(range(10)))  # ids and contents are unique in a version
    pick = st.tuples(st.sampled_from(SPLITS), st.sampled_from(["x", "y"]), st.sampled_from(["", "other"]))
    return {question: (records[place], *draw(pick)) for place, question in enumerate(questions)}


gone_rows = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(SPLITS), max_size=4)


@given(drawn_rows(), drawn_rows(), gone_rows, gone_rows)
def test_it_finds_what_a_plain_comparison_finds(
    tmp_path_factory: pytest.TempPathFactory, one: Any, other: Any, gone: dict[str, str], gone_then: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("versions")
    found = compare_versions(version(folder / "a", 1, one, gone), version(folder / "b", 2, other, gone_then))
    before = {**gone, **{key: row[1] for key, row in one.items()}}
    after = {**gone_then, **{key: row[1] for key, row in other.items()}}
    both = one.keys() & other.keys()
    lost = {one[key][0]: one[key] for key in one.keys() - other.keys()}
    come = {other[key][0]: other[key] for key in other.keys() - one.keys()}
    changed = lost.keys() & come.keys()
    assert found.counts == {
        "moved": sum(before[key] != after[key] for key in before.keys() & after.keys()),
        "added": len(come.keys() - lost.keys()),
        "removed": len(lost.keys() - come.keys()),
        "changed": len(changed),
        "relabelled": sum(one[key][2] != other[key][2] for key in both)
        + sum(lost[record][2] != come[record][2] for record in changed),
        "reworded": sum(one[key][2] == other[key][2] and one[key][3] != other[key][3] for key in both),
        "renumbered": sum(one[key][0] != other[key][0] for key in both),
        "unchanged": sum(one[key] == other[key] for key in both),
    }
    for split in SPLITS:
        assert found.splits[split] == tuple(sum(row[1] == split for row in rows.values()) for rows in (one, other))


def test_named_rows_are_bounded_and_counts_are_not(tmp_path: Path) -> None:
    many = {chr(97 + place): (place, "train", "x", "") for place in range(8)}
    found = compare_versions(version(tmp_path / "a", 1, {}, {}), version(tmp_path / "b", 2, many, {}), shown=3)
    assert found.counts["added"] == 8
    assert [row["record_id"] for row in found.rows["added"]] == ["r0", "r1", "r2"]


def test_memory_is_the_union_and_a_contradiction_is_one_line(tmp_path: Path) -> None:
    first = version(tmp_path / "a", 1, {"a": (1, "train", "x", "")}, {"b": "test"})
    second = version(tmp_path / "b", 2, {"c": (1, "validation", "x", "")}, {"a": "train"})
    assert sorted(remembered([first, second]).values()) == [0, 1, 2]
    third = version(tmp_path / "c", 3, {"a": (1, "test", "x", "")}, {})
    with pytest.raises(FinetuneError, match="different splits"):
        remembered([first, second, third])
