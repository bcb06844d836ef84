"""`finetune data repair`: one mend where only one is possible, a backup, a list, and nothing the second time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_assets_tests.cli.conftest import Finetune, rows_of, write_rows

TASK = "tools"


@pytest.fixture
def dirty(tools: Path) -> list[dict[str, Any]]:
    rows = rows_of(tools)
    rows[0]["label"] = f"  {rows[0]['label']} "
    rows[1]["domain"], rows[1]["label"] = rows[1]["domain"].upper(), rows[1]["label"].title()
    rows[2]["utterance"] = rows[2].pop("text")
    rows[3]["id"] = rows[4]["id"]  # another record's
    del rows[5]["id"]
    rows[6]["id"] = "  "
    rows[7] = dict(rows[8])  # a copy, which is no fault of the id
    rows[9]["label"] = "nothing known"
    write_rows(tools, rows)
    return rows


def test_repair_mends_what_has_one_mend(finetune: Finetune, tools: Path, dirty: list[dict[str, Any]]) -> None:
    path = tools / "data/rows.jsonl"
    before = path.read_bytes()
    found = finetune("data", "repair", TASK, "--ids", "--schema", "--json").json()
    rows = rows_of(tools)
    labels = ["kettle", "oven", "spade"]
    assert [row["label"] for row in rows[:3]] == labels
    assert rows[1]["domain"] == "kitchen"
    assert rows[2]["text"] == dirty[2]["utterance"]
    assert rows[9]["label"] == "nothing known"
    ids = [row["record_id"] if "record_id" in row else row["id"] for row in rows]
    assert len(set(ids)) == len(rows) - 1  # the copy keeps its id
    assert ids[7] == ids[8] == "row-8"
    assert ids[3] == "row-4"  # the first of an id keeps it
    assert ids[4].startswith("row-4-")
    assert found["mends"]["new_id"] == 3
    assert Path(found["files"]["rows.jsonl"]).read_bytes() == before
    kept = [json.loads(line) for line in Path(found["list"]).read_text().splitlines()]
    assert len(kept) == sum(found["mends"].values())
    assert dirty[2]["utterance"] not in json.dumps(kept)


def test_ids_alone_leave_all_else_byte_for_byte(finetune: Finetune, tools: Path, dirty: list[dict[str, Any]]) -> None:
    before = (tools / "data/rows.jsonl").read_bytes().splitlines()
    found = finetune("data", "repair", TASK, "--ids", "--json").json()
    after = (tools / "data/rows.jsonl").read_bytes().splitlines()
    assert found["mends"] == {"new_id": 3}
    assert [number for number, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]] == [4, 5, 6]
    both = finetune("data", "repair", TASK, "--ids", "--schema", "--json").json()
    assert "new_id" not in both["mends"]  # whichever repair comes first, the ids are the same


def test_a_second_repair_changes_nothing(finetune: Finetune, tools: Path, dirty: list[dict[str, Any]]) -> None:
    finetune("data", "repair", TASK, "--ids", "--schema")
    after = (tools / "data/rows.jsonl").read_bytes()
    again = finetune("data", "repair", TASK, "--ids", "--schema", "--json").json()
    assert (again["changed"], again["files"], again["list"]) == (0, {}, "")
    assert (tools / "data/rows.jsonl").read_bytes() == after
    assert [path.name for path in sorted((tools / "data").iterdir())] == ["rows.jsonl", "rows.jsonl.bak"]


def test_a_backup_is_never_overwritten(finetune: Finetune, tools: Path, dirty: list[dict[str, Any]]) -> None:
    (tools / "data/rows.jsonl.bak").write_text("mine")
    found = finetune("data", "repair", TASK, "--ids", "--json").json()
    assert found["files"]["rows.jsonl"].endswith("rows.jsonl.bak.1")
    assert (tools / "data/rows.jsonl.bak").read_text() == "mine"


def test_a_dry_run_writes_nothing(finetune: Finetune, tools: Path, dirty: list[dict[str, Any]]) -> None:
    before = (tools / "data/rows.jsonl").read_bytes()
    shown = finetune("data", "repair", TASK, "--ids", "--schema", "--dry-run")
    assert shown.code == 0
    assert "would change" in shown.out
    assert dirty[0]["text"] not in shown.out
    assert (tools / "data/rows.jsonl").read_bytes() == before
    assert [path.name for path in (tools / "data").iterdir()] == ["rows.jsonl"]
    assert finetune("data", "repair", TASK).code == 1


def test_broken_rows_and_style_stay(finetune: Finetune, tools: Path) -> None:
    lines = [
        '{"id":"a","text":"Grüße, where is it?","domain":"kitchen","label":"KETTLE"}',
        "{broken",
        '{"id": "b", "text": "caf\\u00e9", "weight": 1.50, "domain": "kitchen", "label": " oven"}',
        '{"id": "c", "text": "caf\\u00e9", "domain": "kitchen", "label": " oven"}',
    ]
    (tools / "data/rows.jsonl").write_text("\r\n".join(lines), encoding="utf-8")
    found = finetune("data", "repair", TASK, "--schema", "--json").json()
    after = (tools / "data/rows.jsonl").read_bytes().decode().split("\r\n")
    assert after[0] == '{"record_id":"a","text":"Grüße, where is it?","domain":"kitchen","label":"kettle"}'
    assert after[1:3] == lines[1:3]  # 1.50 would become 1.5: the record is left alone
    assert after[3] == '{"record_id": "c", "text": "caf\\u00e9", "domain": "kitchen", "label": "oven"}'
    assert found["untouched"] == 1


def test_a_json_array_keeps_its_layout(finetune: Finetune, tools: Path) -> None:
    text = '{\n "rows": [\n  {"id": 1, "text": "one", "domain": "kitchen", "label": "Oven"},\n  {"id": 2}\n ]\n}\n'
    (tools / "data/rows.jsonl").unlink()
    (tools / "data/rows.json").write_text(text)
    yaml = (tools / "defs.yaml").read_text()
    (tools / "defs.yaml").write_text(yaml.replace("rows.jsonl", "rows.json"))
    finetune("data", "repair", TASK, "--schema").code  # noqa: B018
    expected = text.replace('"Oven"', '"oven"').replace('"id"', '"record_id"')
    assert (tools / "data/rows.json").read_text() == expected


def test_other_formats_are_refused_by_name(finetune: Finetune, tools: Path) -> None:
    (tools / "data/rows.csv").write_text("id,text,domain,label\n1,one,kitchen,Oven\n")
    yaml = (tools / "defs.yaml").read_text()
    (tools / "defs.yaml").write_text(yaml.replace("rows.jsonl", "rows.csv"))
    assert ".csv" in finetune("data", "repair", TASK, "--schema").error
