"""Every cap of the readers fires, and what it says names the file, what was allowed, and the setting that mends it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.reading.ingest import ingest
from finetune_assets.datasets.reading.readers import read_rows
from finetune_assets.records.errors import FinetuneError

GOOD = {"id": "1", "text": "sound"}
LONG = {"id": "2", "text": "x" * 5_000}
DEEP = {"id": "2", "text": "y", "more": [[[[["z"]]]]]}
MANY = [{"id": str(number), "text": f"row {number}"} for number in range(2_000)]
ZEROS = [{"id": str(number), "text": "0" * 1_000_000} for number in range(40)]
PACKERS = {"gz": gzip.compress, "zst": zstandard.compress}


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def table(rows: list[dict[str, Any]]) -> bytes:
    return "".join(",".join([row["id"], row["text"]]) + "\n" for row in [{"id": "id", "text": "text"}, *rows]).encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink, compression="zstd")
    return bytes(sink.getvalue())


def refused_in_folder(folder: Path, name: str, content: bytes, **caps: Any) -> dict[str, Any]:
    """Read a folder with a sound file and this one; return the one row of quarantine, which must name the file."""
    source, out = folder / "source", folder / "out"
    source.mkdir()
    out.mkdir()
    (source / "a.jsonl").write_bytes(lines([GOOD]))
    (source / name).write_bytes(content)
    summary = ingest(SourceConfig(path="source", **caps), folder, {}, out)
    assert summary.read == summary.accepted + summary.quarantined
    rows = [json.loads(line) for line in (out / "quarantine.jsonl").read_bytes().splitlines()]
    assert len(rows) == 1
    assert rows[0]["file"] == name
    return dict(rows[0])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("b.jsonl", lines([GOOD, LONG, GOOD])),
        ("b.json", json.dumps([GOOD, LONG, GOOD]).encode()),
        ("b.csv", table([GOOD, LONG, GOOD])),
        ("b.parquet", parquet([GOOD, LONG, GOOD])),
        ("b.jsonl.gz", gzip.compress(lines([GOOD, LONG, GOOD]), mtime=0)),
    ],
)
def test_a_record_that_is_too_long(tmp_path: Path, name: str, content: bytes) -> None:
    row = refused_in_folder(tmp_path, name, content, max_line_bytes=1_024)
    assert (row["reason"], row["expected"]) == ("line_too_long", "at most 1024 bytes")
    assert "source.max_line_bytes" in row["mend"]
    assert 2 in (row["row"], row["line"]) or row["line"] == 3


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("b.jsonl", lines([GOOD, DEEP, GOOD]), "nested_too_deep"),
        ("b.json", json.dumps([GOOD, DEEP, GOOD]).encode(), "nested_too_deep"),
        # Of a table the columns are nested, so that no row of it can be read.
        ("b.parquet", parquet([DEEP]), "foreign_format"),
    ],
)
def test_a_record_that_is_nested_too_deep(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    row = refused_in_folder(tmp_path, name, content, max_nesting=4)
    assert (row["reason"], "4 levels" in row["expected"]) == (reason, True)
    assert "max_nesting" in row["expected"] + row["mend"]


@pytest.mark.parametrize("packing", PACKERS)
def test_more_bytes_than_may_be_unpacked(tmp_path: Path, packing: str) -> None:
    row = refused_in_folder(
        tmp_path, f"b.json.{packing}", PACKERS[packing](b"[" + b" " * 60_000), max_unpacked_bytes=50_000
    )
    assert row["reason"] == "unpacks_too_large"
    assert "max_unpacked_bytes" in row["expected"]
    assert "dataset.source" in row["mend"]


def test_more_bytes_than_a_parquet_file_may_unpack_to(tmp_path: Path) -> None:
    # Rows before the place are kept; the rest of the file is one row.
    row = refused_in_folder(tmp_path, "b.parquet", parquet(MANY), max_unpacked_bytes=50_000)
    assert row["reason"] == "unpacks_too_large"
    assert "max_unpacked_bytes" in row["expected"]


@pytest.mark.parametrize("packing", [*PACKERS, "parquet"])
def test_more_bytes_for_one_packed_byte_than_allowed(tmp_path: Path, packing: str) -> None:
    content = parquet(ZEROS) if packing == "parquet" else PACKERS[packing](lines(ZEROS))
    name = "b.parquet" if packing == "parquet" else f"b.jsonl.{packing}"
    row = refused_in_folder(tmp_path, name, content, max_unpack_ratio=100)
    assert row["reason"] == "unpacks_too_large"
    assert "max_unpack_ratio" in row["expected"]
    assert "raise" in row["mend"]


@pytest.mark.parametrize("packing", PACKERS)
def test_more_members_than_allowed(tmp_path: Path, packing: str) -> None:
    pack = PACKERS[packing]
    content = pack(lines([GOOD])) + pack(b"") * 20
    row = refused_in_folder(tmp_path, f"b.jsonl.{packing}", content, max_packed_members=20)
    assert (row["reason"], row["found"]) == (
        "unpacks_too_large",
        "packed file unpacks to too much: more than 20 members or frames",
    )
    assert "max_packed_members" in row["expected"]
    path = tmp_path / "source" / f"b.jsonl.{packing}"
    config = SourceConfig(path=path.name, max_packed_members=21)
    assert [found.fields for found in read_rows(path, config)] == [GOOD]


def test_more_files_than_allowed(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for name in "abc":
        (tmp_path / "source" / f"{name}.jsonl").write_bytes(lines([GOOD]))
    with pytest.raises(FinetuneError, match=r"source.*more than 2.*max_files.*Mend: .*raise max_files"):
        ingest(SourceConfig(path="source", max_files=2), tmp_path, {}, tmp_path)


def test_a_source_code_file_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.py").write_text("x = 1\n")
    (tmp_path / "source" / "b.py").write_text("y = 2\n" * 100)
    summary = ingest(SourceConfig(path="source", format="code", max_file_bytes=100), tmp_path, {}, tmp_path)
    assert summary.reasons == {"file_too_large": 1}
    row = json.loads((tmp_path / "quarantine.jsonl").read_text())
    assert row["file"] == "b.py"
    assert "source.max_file_bytes" in row["mend"]


@pytest.mark.parametrize("packing", PACKERS)
def test_a_single_file_is_refused_with_its_name_and_the_mend(tmp_path: Path, packing: str) -> None:
    path = tmp_path / f"b.jsonl.{packing}"
    path.write_bytes(PACKERS[packing](lines(MANY)))
    for cap in ({"max_unpacked_bytes": 2_000}, {"max_packed_members": 1}):
        if "max_packed_members" in cap:
            path.write_bytes(path.read_bytes() * 2)
        with pytest.raises(FinetuneError) as caught:
            list(read_rows(path, SourceConfig(path=path.name, **cap)))
        assert str(path) in str(caught.value)
        assert next(iter(cap)) in str(caught.value)
        assert "Mend: look at what it holds; raise the bound under dataset.source" in str(caught.value)
