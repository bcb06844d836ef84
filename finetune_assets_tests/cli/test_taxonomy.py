"""`finetune taxonomy`: the comparison, and a task brought to a new taxonomy, from its rows to its next version."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from finetune_assets_tests.cli.conftest import Finetune, build, rows_of

TASK = "tools"
NEW = {"kitchen": ["kettle", "gas oven", "electric oven"], "garden": ["spades"], "street": ["hose"]}


@pytest.fixture
def new(tools: Path) -> Path:
    path = tools / "taxonomy-2.json"
    domains = [{"name": name, "labels": labels} for name, labels in NEW.items()]
    path.write_text(json.dumps({"domains": domains}), encoding="utf-8")
    return path


def test_the_difference_is_shown_with_its_evidence(finetune: Finetune, tools: Path, new: Path) -> None:
    found = finetune("taxonomy", "diff", tools / "taxonomy.json", new, "--json").json()
    assert {(change["kind"], *change["old"][0]) for change in found["changes"] if change["old"]} == {
        ("split", "kitchen", "oven"),
        ("rename", "garden", "spade"),
        ("move", "garden", "hose"),
    }
    assert "likeness" in finetune("taxonomy", "diff", tools / "taxonomy.json", new).out
    assert "same labels" in finetune("taxonomy", "diff", new, new).out


def test_a_task_is_brought_to_a_new_taxonomy(finetune: Finetune, tools: Path, new: Path, tmp_path: Path) -> None:
    build(TASK)
    before = rows_of(tools)
    (tmp_path / "map.yaml").write_text(
        "labels:\n- from: kitchen / oven\n  split:\n"
        "  - {to: kitchen / gas oven, when: {field: text, contains: [broken]}}\n"
    )
    command = ("taxonomy", "migrate", TASK, "--to", new, "--map", tmp_path / "map.yaml", "--out", tools / "moved")
    report = finetune(*command, "--json").json()
    assert report["read"] == len(before) == 240
    assert report["unchanged"] == 60
    assert report["migrated"] == 120 + 20
    assert report["review"] == 40
    said = finetune(*command)
    assert "moved/rows.jsonl" in said.out
    assert "review.csv" in said.out
    assert before[1]["text"] not in said.out
    with (tools / "moved/review.csv").open(newline="") as stream:
        waiting = list(csv.DictReader(stream))
    for row in waiting:
        row["decision"] = "kitchen / electric oven"
    with (tools / "moved/review.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(waiting[0]))
        writer.writeheader()
        writer.writerows(waiting)
    assert "holds decisions" in finetune(*command).error  # nobody's work is overwritten
    report = finetune(*command, "--review", tools / "moved/review.csv", "--json").json()
    assert (report["migrated"], report["review"]) == (180, 0)
    _use(tools, taxonomy="taxonomy-2.json", path="moved/rows.jsonl")
    build(TASK)
    compared = finetune("data", "compare", TASK, "1", "2", "--json").json()
    assert compared["counts"]["relabelled"] == 180
    assert compared["counts"]["moved"] == compared["counts"]["added"] == compared["counts"]["removed"] == 0
    assert len(compared["taxonomy"]["changes"]) >= 3
    assert "Taxonomy" in finetune("data", "compare", TASK, "1", "2").out


def test_names_in_the_yaml_that_are_no_more_are_listed(finetune: Finetune, tools: Path, new: Path) -> None:
    yaml = (tools / "defs.yaml").read_text()
    (tools / "defs.yaml").write_text(
        yaml + "    labels: {exclude: [spade]}\n    label_map: {unknown: {domain: kitchen, label: kettle}}\n"
    )
    report = finetune("taxonomy", "migrate", TASK, "--to", new, "--json").json()
    assert report["names_to_change"] == {"spade": "spades"}
    assert Path(report["out"]).parent == tools


def test_a_task_without_a_taxonomy_is_one_line(finetune: Finetune, tools: Path, new: Path) -> None:
    assert "no taxonomy" in finetune("taxonomy", "migrate", "router", "--to", new).error


def _use(tools: Path, **changes: Any) -> None:
    text = (tools / "defs.yaml").read_text()
    text = text.replace("taxonomy: taxonomy.json", f"taxonomy: {changes['taxonomy']}")
    (tools / "defs.yaml").write_text(text.replace("path: data/rows.jsonl", f"path: {changes['path']}"))
