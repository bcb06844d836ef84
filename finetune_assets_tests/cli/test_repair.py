"""`finetune data repair`: one mend where only one is possible, a backup, a list, and nothing the second time."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
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


def use(tools: Path, old: str, new: str) -> None:
    yaml = (tools / "defs.yaml").read_text()
    assert old in yaml
    (tools / "defs.yaml").write_text(yaml.replace(old, new))


def test_packed_files_are_refused_by_name(finetune: Finetune, tools: Path) -> None:
    packed = gzip.compress((tools / "data/rows.jsonl").read_bytes())
    (tools / "data/rows.jsonl.gz").write_bytes(packed)
    use(tools, "rows.jsonl", "rows.jsonl.gz")
    said = finetune("data", "repair", TASK, "--schema")
    assert said.code == 1
    assert "rows.jsonl.gz" in said.error
    assert (tools / "data/rows.jsonl.gz").read_bytes() == packed


CSV = (
    "id;utterance;domain;label\r\n"
    "1;one;kitchen;  oven \r\n"
    '"2";"two; ""quoted""";"KITCHEN";"Kettle"\r\n'
    "broken;row\r\n"
    '1;"another\r\nof this id";kitchen;oven\r\n'
    ";no id;garden;spade\r\n"
    "4;Grüße;garden;nothing known"
)


def test_a_table_of_text_keeps_every_other_byte(finetune: Finetune, tools: Path) -> None:
    path = tools / "data/rows.csv"
    path.write_bytes(CSV.encode())
    use(tools, "rows.jsonl", "rows.csv")
    shown = finetune("data", "repair", TASK, "--ids", "--schema", "--dry-run", "--json").json()
    assert path.read_bytes() == CSV.encode()
    found = finetune("data", "repair", TASK, "--ids", "--schema", "--json").json()
    assert (found["mends"], found["changed"]) == (shown["mends"], shown["changed"])
    assert found["mends"] == {"letter_case": 2, "new_id": 2, "rename": 2, "trim": 1}
    assert Path(found["files"]["rows.csv"]).read_bytes() == CSV.encode()
    before, after = CSV.split("\r\n"), path.read_bytes().decode().split("\r\n")
    assert after[0] == "record_id;text;domain;label"
    assert after[1] == "1;one;kitchen;oven"
    assert after[2] == '"2";"two; ""quoted""";"kitchen";"kettle"'
    assert after[3] == before[3]
    assert re.fullmatch('1-[0-9a-f]{12};"another', after[4])
    assert after[5] == before[5]
    assert re.fullmatch("row-[0-9a-f]{12};no id;garden;spade", after[6])
    assert after[7] == before[7]
    again = finetune("data", "repair", TASK, "--ids", "--schema", "--json").json()
    assert (again["changed"], again["mends"], again["files"]) == (0, {}, {})
    assert len(Path(found["list"]).read_text().splitlines()) == sum(found["mends"].values())
    assert "another" not in Path(found["list"]).read_text()


def test_ids_of_a_table_alone_leave_its_header(finetune: Finetune, tools: Path) -> None:
    path = tools / "data/rows.csv"
    path.write_bytes(CSV.encode("cp1252"))
    use(tools, "path: data/rows.jsonl", "path: data/rows.csv\n      csv: {encoding: cp1252}")
    assert finetune("data", "repair", TASK, "--ids", "--json").json()["mends"] == {"new_id": 2}
    changed = [
        number
        for number, pair in enumerate(
            zip(CSV.encode("cp1252").split(b"\n"), path.read_bytes().split(b"\n"), strict=True)
        )
        if pair[0] != pair[1]
    ]
    assert changed == [4, 6]


def test_a_table_without_a_column_for_the_id_is_refused(finetune: Finetune, tools: Path) -> None:
    (tools / "data/rows.csv").write_text("text,domain,label\none,kitchen,Oven\n")
    use(tools, "rows.jsonl", "rows.csv")
    said = finetune("data", "repair", TASK, "--ids", "--schema")
    assert said.code == 1
    assert "add a column record_id" in said.error
    assert finetune("data", "repair", TASK, "--schema", "--json").json()["mends"] == {"letter_case": 1}


def test_a_parquet_file_keeps_its_columns(finetune: Finetune, tools: Path, dirty: list[dict[str, Any]]) -> None:
    path = tools / "data/rows.parquet"
    columns = ("id", "text", "domain", "label")
    table = pa.Table.from_pylist([{name: row.get(name) for name in columns} for row in dirty])
    table = table.append_column("made", pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * len(dirty)))
    table = table.append_column("tags", pa.array([["a", None]] * len(dirty)))
    pq.write_table(table, path, row_group_size=7, compression="zstd")
    before = path.read_bytes()
    use(tools, "rows.jsonl", "rows.parquet")
    found = finetune("data", "repair", TASK, "--ids", "--schema", "--json").json()
    assert found["mends"] == {"letter_case": 2, "new_id": 3, "rename": 1, "trim": 1}
    assert Path(found["files"]["rows.parquet"]).read_bytes() == before
    after = pq.read_table(path)
    assert after.schema.names == ["record_id", *columns[1:], "made", "tags"]
    assert [field.type for field in after.schema] == [field.type for field in table.schema]
    assert after.select(["text", "made", "tags"]).equals(table.select(["text", "made", "tags"]))
    ids = after.column("record_id").to_pylist()
    assert None not in ids
    assert len(set(ids)) == len(ids) - 1  # a copy keeps its id
    assert after.column("label").to_pylist()[:2] == ["kettle", "oven"]
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"
    again = finetune("data", "repair", TASK, "--ids", "--schema", "--json").json()
    assert (again["changed"], again["mends"], again["files"]) == (0, {}, {})


def test_numbers_of_a_parquet_file_are_left_alone(finetune: Finetune, tools: Path) -> None:
    path = tools / "data/rows.parquet"
    rows = [{"record_id": 1, "text": f"text {n}", "domain": "kitchen", "label": "oven"} for n in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), path)
    before = path.read_bytes()
    use(tools, "rows.jsonl", "rows.parquet")
    found = finetune("data", "repair", TASK, "--ids", "--schema", "--json").json()
    assert (found["untouched"], found["changed"], found["files"]) == (2, 0, {})
    assert path.read_bytes() == before


def test_a_backup_is_no_file_of_the_source(finetune: Finetune, tools: Path, dirty: list[dict[str, Any]]) -> None:
    use(tools, "path: data/rows.jsonl", 'path: data\n      include: ["rows*"]')
    found = finetune("data", "repair", TASK, "--ids", "--json").json()
    assert Path(found["files"]["rows.jsonl"]).name == ".rows.jsonl.bak"
    assert finetune("data", "repair", TASK, "--ids", "--json").json()["read"] == found["read"]


def test_what_a_link_points_to_is_mended(finetune: Finetune, tools: Path, dirty: list[dict[str, Any]]) -> None:
    (tools / "elsewhere").mkdir()
    target = (tools / "data/rows.jsonl").rename(tools / "elsewhere/real.jsonl")
    (tools / "data/rows.jsonl").symlink_to(target)
    before = target.read_bytes()
    found = finetune("data", "repair", TASK, "--ids", "--json").json()
    assert (tools / "data/rows.jsonl").is_symlink()
    assert target.read_bytes() != before
    assert found["files"] == {"rows.jsonl": str(tools / "elsewhere/real.jsonl.bak")}


def test_a_fault_in_the_last_file_leaves_the_first_as_it_was(
    finetune: Finetune, tools: Path, dirty: list[dict[str, Any]]
) -> None:
    before = (tools / "data/rows.jsonl").read_bytes()
    (tools / "data/z.csv").write_text("text,domain,label\none,kitchen,Oven\n")
    use(tools, "path: data/rows.jsonl", "path: data")
    assert finetune("data", "repair", TASK, "--ids").code == 1
    (tools / "data/z.csv").unlink()
    (tools / "data/z.json").write_text('[{"id": "a"}, {"id"')
    assert finetune("data", "repair", TASK, "--schema").code == 1
    assert (tools / "data/rows.jsonl").read_bytes() == before
    assert sorted(path.name for path in (tools / "data").iterdir()) == ["rows.jsonl", "z.json"]
