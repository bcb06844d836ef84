"""`finetune data`: versions are listed, compared, restored, traced and downloaded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.datasets.split_files import read_assignments
from finetune_assets.lineage import raw_observations
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.heads import current_head
from finetune_assets.storage.home import Home
from finetune_assets_tests.cli.conftest import Finetune, build, rows_of, write_rows

TASK = "tools"


def head_files(home: Path) -> Artifact:
    head = current_head(Database.open(Home(home).database_url), TASK, "main")
    assert head is not None
    return ArtifactStore(Home(home).artifacts).open("validated_splits", head.artifact_key)


@pytest.fixture
def grown(finetune: Finetune, tools: Path) -> list[dict[str, Any]]:
    """Two versions: the second has new, changed, relabelled, renumbered and lost rows. Returns the first's rows."""
    build(TASK)
    before = rows_of(tools)
    after = [dict(row) for row in before]
    after[0]["text"] = "Something else entirely was asked here."
    after[1]["domain"], after[1]["label"] = "garden", "hose"
    after[2]["id"] = "another-id"
    del after[3]
    after.append({"id": "late", "text": "A question that came later.", "domain": "garden", "label": "spade"})
    write_rows(tools, after)
    build(TASK)
    return before


def test_versions_name_what_made_them(finetune: Finetune, tools: Path, grown: list[dict[str, Any]]) -> None:
    first, second = finetune("data", "versions", TASK, "--json").json()
    assert (first["number"], second["number"]) == (1, 2)
    assert sum(first["splits"].values()) == len(grown) == 240
    assert sum(second["splits"].values()) == 240
    digest = hashlib.sha256((tools / "data/rows.jsonl").read_bytes()).hexdigest()
    assert second["files"][0]["sha256"] == digest != first["files"][0]["sha256"]
    assert first["taxonomy"] == second["taxonomy"] != ""
    assert first["restored_from"] is None
    table = finetune("data", "versions", TASK)
    assert table.code == 0
    assert "head" in table.out
    assert first["digest"][:12] in table.out


def test_an_experiment_has_versions_of_its_own(finetune: Finetune, tools: Path, grown: list[dict[str, Any]]) -> None:
    build(TASK, limit=60)
    main = finetune("data", "versions", TASK)
    assert [row["number"] for row in finetune("data", "versions", TASK, "--json").json()] == [1, 2]
    name = next(word for word in main.out.split() if word.startswith("experiment-")).rstrip(":")
    (row,) = finetune("data", "versions", TASK, "--namespace", name, "--json").json()
    assert (row["namespace"], row["number"]) == (name, 1)
    assert sum(row["splits"].values()) < 100
    assert "main: 2 versions" in finetune("data", "versions", TASK, "--namespace", name).out
    # An experiment starts from the head's assignments: it leaves rows out, and moves none.
    found = finetune(
        "data", "compare", TASK, "2", "1", "--namespace", name, "--older-namespace", "main", "--json"
    ).json()
    assert found["namespaces"] == ["main", name]
    assert (found["counts"]["moved"], found["counts"]["added"]) == (0, 0)
    assert found["counts"]["removed"] == 240 - sum(row["splits"].values())
    assert name in finetune("data", "compare", TASK, "1", "1", "--namespace", name).out
    for command in (["versions", TASK], ["compare", TASK, "1", "1"], ["show", TASK, "row-0"]):
        said = finetune("data", *command, "--namespace", "experiment-gone")
        assert said.code == 1
        assert "experiment-gone" in said.error
        assert f"main, {name}" in said.error or f"{name}, main" in said.error
    assert "no such version" in finetune("data", "compare", TASK, "1", "2", "--namespace", name).error


def test_comparing_names_every_kind_of_difference(finetune: Finetune, grown: list[dict[str, Any]]) -> None:
    found = finetune("data", "compare", TASK, "1", "2", "--json").json()
    names = {kind: [row["record_id"] for row in rows] for kind, rows in found["rows"].items()}
    assert names == {
        "moved": [],
        "added": ["late"],
        "removed": ["row-3"],
        "changed": ["row-0"],
        "relabelled": ["row-1"],
        "reworded": [],
        "renumbered": ["another-id"],
    }
    assert found["counts"]["unchanged"] == len(grown) - 4
    assert found["rows"]["relabelled"][0]["to"] == "garden / hose"
    assert set(found["made_from"]) == {"files"}
    assert found["taxonomy"] is None
    text = finetune("data", "compare", TASK, "1", "2").out
    assert grown[0]["text"] not in text
    same = finetune("data", "compare", TASK, "2", "2", "--json").json()
    assert same["same_digest"]
    assert sum(same["counts"].values()) == same["counts"]["unchanged"] == 240


def test_a_row_that_moved_is_exit_code_3(finetune: Finetune, grown: list[dict[str, Any]], platform_home: Path) -> None:
    files = head_files(platform_home)
    lines = files.file("assignments.jsonl").read_text().splitlines()
    victim = json.loads(lines[7])
    victim["split"] = {"train": "test", "validation": "test", "test": "train"}[victim["split"]]
    lines[7] = json.dumps(victim)
    files.file("assignments.jsonl").write_text("\n".join(lines) + "\n")
    said = finetune("data", "compare", TASK, "1", "2")
    assert said.code == 3
    row = next(
        row
        for row in map(json.loads, files.file("examples.jsonl").read_text().splitlines())
        if row["content_key"] == victim["content_key"]
    )
    assert row["record_id"] in said.error


def test_a_restored_version_is_a_new_one_that_forgets_nothing(
    finetune: Finetune, grown: list[dict[str, Any]], platform_home: Path
) -> None:
    later = read_assignments(head_files(platform_home).file("assignments.jsonl"))
    said = finetune("data", "restore", TASK, "1", "--json").json()
    assert (said["number"], said["restored_from"], said["changed"]) == (3, 1, True)
    restored = head_files(platform_home)
    assert read_assignments(restored.file("assignments.jsonl")) == later
    compared = finetune("data", "compare", TASK, "1", "3", "--json").json()
    assert sum(compared["counts"].values()) == compared["counts"]["unchanged"] == 240
    assert restored.verify() == []
    versions = finetune("data", "versions", TASK, "--json").json()
    assert [version["restored_from"] for version in versions] == [None, None, 1]
    # Once more changes nothing, and a run on the source as it is now moves no row.
    assert finetune("data", "restore", TASK, "1", "--json").json()["changed"] is False
    build(TASK)
    again = finetune("data", "compare", TASK, "2", "4", "--json").json()
    assert sum(again["counts"].values()) == again["counts"]["unchanged"]
    assert finetune("data", "restore", TASK, "9").error.startswith("there is no such version")


def test_a_damaged_version_is_not_restored(
    finetune: Finetune, grown: list[dict[str, Any]], platform_home: Path
) -> None:
    versions = finetune("data", "versions", TASK, "--json").json()
    store = ArtifactStore(Home(platform_home).artifacts)
    victim = store.open("validated_splits", versions[0]["artifact"]).file("examples.jsonl")
    victim.write_bytes(victim.read_bytes()[:-2] + b" \n")
    said = finetune("data", "restore", TASK, "1")
    assert said.code == 1
    assert "examples.jsonl" in said.error
    assert len(finetune("data", "versions", TASK, "--json").json()) == 2


def test_a_row_is_traced_to_its_line(finetune: Finetune, tools: Path) -> None:
    rows = rows_of(tools)
    rows.append({**rows[5], "id": "copy-of-5"})
    rows.append({"id": "stray", "text": "Where is it?", "domain": "kitchen", "label": "no such label"})
    write_rows(tools, rows)
    build(TASK)
    (found,) = finetune("data", "show", TASK, "row-5", "--json").json()
    raw = (tools / "data/rows.jsonl").read_bytes()
    assert found["fate"] == "accepted"
    assert found["split"] in ("train", "validation", "test")
    assert (found["source"]["file"], found["source"]["line"]) == ("rows.jsonl", 6)
    assert raw[found["source"]["offset"] :].startswith(json.dumps(rows[5]).encode())
    assert found["source"]["sha256"] == hashlib.sha256(raw).hexdigest()
    assert [copy["record_id"] for copy in found["duplicates"]] == ["copy-of-5"]
    assert rows[5]["text"] not in json.dumps(found)
    (copy,) = finetune("data", "show", TASK, "copy-of-5", "--json").json()
    assert (copy["fate"], copy["duplicate_of"]) == ("duplicate", "row-5")
    (stray,) = finetune("data", "show", TASK, "stray", "--json").json()
    assert (stray["fate"], stray["reason"], stray["source"]["line"]) == ("quarantined", "unknown_label", len(rows))
    assert rows[5]["text"] in finetune("data", "show", TASK, "row-5", "--text").out
    assert rows[5]["text"] not in finetune("data", "show", TASK, "row-5").out
    assert finetune("data", "show", TASK, "row-500").code == 1


def test_a_leak_group_names_its_rows(finetune: Finetune, tools: Path) -> None:
    rows = rows_of(tools)
    for number in (1, 2, 3):
        rows[number]["who"] = "one" if number < 3 else "two"
    rows[2]["who"] = ["one", "two"]
    write_rows(tools, rows)
    yaml = (tools / "defs.yaml").read_text()
    (tools / "defs.yaml").write_text(
        yaml.replace("    split:\n", "    split:\n      group_fields: [who]\n      near_duplicates: {enabled: false}\n")
    )
    build(TASK)
    (found,) = finetune("data", "show", TASK, "row-1", "--json").json()
    assert {"row-2", "row-3"} <= set(found["leak_group"]["others"])
    assert found["leak_group"]["declared_keys"] == ["who=one", "who=two"]


def test_near_duplicates_are_of_the_leak_group(finetune: Finetune, tools: Path) -> None:
    words = "The tall blue kettle on the third shelf of the pantry needs a new lid before Sunday comes around again"
    rows = rows_of(tools)
    for number, text in enumerate([words, words.replace("blue", "green")]):
        rows.append({"id": f"near-{number}", "text": text, "domain": "kitchen", "label": "kettle"})
    write_rows(tools, rows)
    build(TASK)
    (found,) = finetune("data", "show", TASK, "near-0", "--json").json()
    assert "near-1" in found["leak_group"]["others"]


def test_a_download_is_what_was_uploaded(finetune: Finetune, tools: Path, tmp_path: Path) -> None:
    assert finetune("data", "download", TASK, "--out", tmp_path / "copy").code == 1
    build(TASK, uploaded=True)
    receipt = finetune("data", "download", TASK, "--out", tmp_path / "copy", "--json").json()
    assert {item["name"] for item in receipt["files"]} >= {"chat/train.jsonl", "chat/validation.jsonl"}
    for item in receipt["files"]:
        copied = (tmp_path / "copy" / item["name"]).read_bytes()
        assert hashlib.sha256(copied).hexdigest() == item["sha256"]
    assert finetune("data", "download", TASK, "--out", tmp_path / "copy").code == 0  # again: nothing is in the way
    (tmp_path / "copy/chat/train.jsonl").write_text("mine")
    said = finetune("data", "download", TASK, "--out", tmp_path / "copy")
    assert said.code == 1
    assert "in the way" in said.error
    assert (tmp_path / "copy/chat/train.jsonl").read_text() == "mine"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/manifest.json").write_text('{"of": "something else"}')
    assert "in the way" in finetune("data", "download", TASK, "--out", tmp_path / "other").error
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["manifest.json"]


def test_a_source_that_changes_while_it_is_read_gives_no_version(finetune: Finetune, tools: Path) -> None:
    real = raw_observations.ingest

    def slow(*arguments: Any, **options: Any) -> Any:
        summary = real(*arguments, **options)
        with (tools / "data/rows.jsonl").open("a") as stream:
            stream.write('{"id": "late", "text": "Appended.", "domain": "garden", "label": "spade"}\n')
        return summary

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw_observations, "ingest", slow)
        with pytest.raises(FinetuneError, match=r"changed while it was read at .*rows\.jsonl"):
            build(TASK)
    assert finetune("data", "versions", TASK, "--json").json() == []
