"""Sources of several files: all are read, one that cannot be used is one row in quarantine, and the counts add up."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.reading.ingest import IngestSummary, ingest, source_identity
from finetune_assets.records.errors import FinetuneError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "more").mkdir(parents=True)
    (folder / "a.jsonl").write_text('{"id": "a1", "text": "one"}\nno json\n{"id": "a2", "TEXT ": "two"}\n')
    (folder / "b.csv").write_text("Id;text\n007;eins\n008;zwei;drei\n")
    (folder / "more/c.json.gz").write_bytes(gzip.compress(b'{"data": [{"id": "c1"}, 5]}'))
    pq.write_table(pa.table({"id": ["p1"], "text": ["par"]}), folder / "more/d.parquet")
    (folder / "notes.txt").write_text("read me")
    return folder


def run(folder: Path, path: str = "source", **values: Any) -> tuple[IngestSummary, Any, Any]:
    out = folder / f"out{len(list(folder.glob('out*')))}"
    out.mkdir()
    config = SourceConfig(path=path, **values)
    summary = ingest(config, folder, {"notes": ["text"], "observation_id": ["id"]}, out)
    records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    rejected = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert summary.read == summary.accepted + summary.quarantined
    assert (len(records), len(rejected)) == (summary.accepted, summary.quarantined)
    assert sum(file["rows"] for file in summary.files) == summary.read
    return summary, records, rejected


def test_all_formats_of_a_folder_are_one_source(source: Path) -> None:
    summary, records, rejected = run(source.parent)
    assert [(record["source"]["file"], record["fields"]) for record in records] == [
        ("a.jsonl", {"observation_id": "a1", "notes": "one"}),
        ("a.jsonl", {"observation_id": "a2", "notes": "two"}),
        ("b.csv", {"observation_id": "007", "notes": "eins"}),
        ("more/c.json.gz", {"observation_id": "c1"}),
        ("more/d.parquet", {"observation_id": "p1", "notes": "par"}),
    ]
    assert [(row["file"], row["line"], row["row"], row["reason"]) for row in rejected] == [
        ("a.jsonl", 2, None, "invalid_json"),
        ("b.csv", 3, None, "column_count"),
        ("more/c.json.gz", None, 2, "not_an_object"),
    ]
    assert rejected[1]["expected"] == "2 columns"
    assert records[3]["source"]["offset"] == 10
    assert summary.notes == {"skipped_files": 1}
    assert [(file["name"], file["format"], file["packing"], file["rows"]) for file in summary.files] == [
        ("a.jsonl", "jsonl", "", 3),
        ("b.csv", "csv", "", 2),
        ("more/c.json.gz", "json", "gzip", 2),
        ("more/d.parquet", "parquet", "", 1),
    ]
    assert summary.files[1]["dialect"]["delimiter"] == ";"
    assert summary.files[1]["bytes"] == (source / "b.csv").stat().st_size


def test_a_file_that_cannot_be_used_is_one_row(source: Path) -> None:
    (source / "b.csv").write_text("<!doctype html><html></html>")
    (source / "c.json").write_text('[{"id": "x1"}, {"id": "x2"}, {"id"')
    (source / "d.jsonl").write_bytes(b"")
    (source / "e.jsonl.gz").write_bytes(gzip.compress(b'{"id": 1}\n' * 50_000)[:-9])
    (source / "f.jsonl").symlink_to(source / "nowhere.jsonl")
    (source / "g.jsonl").symlink_to(source.parent)
    (source / "h.jsonl").symlink_to("/dev/null")
    os.mkfifo(source / "i.jsonl")
    summary, records, rejected = run(source.parent)
    reasons = {row["file"]: row["reason"] for row in rejected}
    assert reasons == {
        "a.jsonl": "invalid_json",
        "b.csv": "foreign_format",
        "c.json": "foreign_format",
        "d.jsonl": "empty_file",
        "e.jsonl.gz": "unreadable_file",
        "f.jsonl": "unreadable_file",
        "h.jsonl": "link_outside",
        "i.jsonl": "unreadable_file",
        "more/c.json.gz": "not_an_object",
    }
    assert "HTML" in next(row["found"] for row in rejected if row["file"] == "b.csv")
    # What was read before the place where a file breaks off is kept.
    assert [record["fields"]["observation_id"] for record in records if record["source"]["file"] == "c.json"] == [
        "x1",
        "x2",
    ]
    assert summary.notes == {"skipped_files": 1, "skipped_links": 1, "unusable_files": 7}
    assert {file["name"] for file in summary.files if "fault" in file} == reasons.keys() - {"a.jsonl", "more/c.json.gz"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_one_row(source: Path) -> None:
    (source / "b.csv").chmod(0)
    _, _, rejected = run(source.parent)
    assert ("b.csv", "unreadable_file") in [(row["file"], row["reason"]) for row in rejected]
    assert source_identity(SourceConfig(path="source"), source.parent)


def test_a_single_file_that_cannot_be_used_is_an_error(source: Path) -> None:
    (source / "c.json").write_text('[{"id": "x1"}, {"id"')
    with pytest.raises(FinetuneError, match="not valid JSON"):
        run(source.parent, "source/c.json")


def test_headers_without_a_row_are_no_source(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for name in ("a.csv", "b.csv"):
        (tmp_path / "s" / name).write_text("id,text\n")
    with pytest.raises(FinetuneError, match=r"holds no record.*2 files without a record"):
        run(tmp_path, "s")
    with pytest.raises(FinetuneError, match=r"holds no record.*no row"):
        run(tmp_path, "s/a.csv")


def test_identity_covers_every_file_and_what_changes_its_reading(source: Path) -> None:
    def identity(**values: Any) -> dict[str, Any]:
        return source_identity(SourceConfig(path="source", **values), source.parent)

    one = identity()
    assert [file["name"] for file in one["files"]] == ["a.jsonl", "b.csv", "more/c.json.gz", "more/d.parquet"]
    assert str(source) not in json.dumps(one)
    assert one == identity(provenance="mine", max_quarantine_share=0.5, max_files=10)
    for changed in (
        {"csv": {"delimiter": ","}},
        {"csv": {"encoding": "cp1252"}},
        {"max_unpack_ratio": 2},
        {"max_unpacked_bytes": 5_000},
        {"max_nesting": 5},
        {"exclude": ["b.csv"]},
        {"format": "csv"},
    ):
        assert identity(**changed) != one, changed
    moved = source.rename(source.parent / "elsewhere")
    assert source_identity(SourceConfig(path="elsewhere"), moved.parent) == one
    (moved / "more/d.parquet").write_bytes(b"other")
    assert source_identity(SourceConfig(path="elsewhere"), moved.parent) != one


def test_code_of_a_folder(tmp_path: Path) -> None:
    code = tmp_path / "source/pkg"
    code.mkdir(parents=True)
    (code / "A.java").write_text("class A {}")
    (code / "b.py").write_bytes(b"# caf\xe9")
    (code / "c.kt").write_text("class C")
    summary, records, rejected = run(tmp_path, format="code")
    assert [record["fields"] for record in records] == [
        {"path": "pkg/A.java", "language": "java", "notes": "class A {}"}
    ]
    assert [(row["file"], row["line"], row["reason"], row["field"]) for row in rejected] == [
        ("pkg/b.py", 1, "bad_encoding", "text")
    ]
    assert summary.notes == {"skipped_files": 1}
