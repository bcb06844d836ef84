from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.quarantine import REASONS
from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.reading.readers import read_rows
from finetune_assets.records.errors import FinetuneError


def row_of(folder: Path, content: bytes, name: str = "A.java", **values: Any) -> FoundRow:
    (folder / name).write_bytes(content)
    (row,) = read_rows(folder / name, SourceConfig(path=name, format="code", **values))
    return row


@pytest.mark.parametrize(
    ("name", "language"), [("A.java", "java"), ("a.PY", "python"), ("a.ts", "typescript"), ("a.tsx", "typescript")]
)
def test_a_file_is_one_record(tmp_path: Path, name: str, language: str) -> None:
    row = row_of(tmp_path, "\ufeffclass A { // é\r\n}\r\n".encode(), name)
    assert row.fields == {"path": name, "language": language, "text": "class A { // é\r\n}\r\n"}
    assert (row.line, row.row, row.offset, row.fault) == (None, None, 0, None)


def test_an_empty_file_is_a_record_without_code(tmp_path: Path) -> None:
    assert row_of(tmp_path, b"").fields["text"] == ""


@pytest.mark.parametrize(
    ("content", "reason", "line"),
    [
        (b"class A {\n// caf\xe9\n}", "bad_encoding", 2),
        ("class A {}".encode("utf-16"), "bad_encoding", None),
        (b"class A {\n\n// \x00\n}" + b" " * 40, "nul_character", 3),
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x3d" + b"\x00" * 20, "binary_file", None),
        (b"class A {}" + b"\0" * 30, "binary_file", None),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "binary_file", None),
        (b"x" * 101, "file_too_large", None),
    ],
)
def test_what_is_no_text_goes_to_quarantine(tmp_path: Path, content: bytes, reason: str, line: int | None) -> None:
    row = row_of(tmp_path, content, max_file_bytes=100)
    assert row.fault
    assert (row.fault.reason, row.line, row.fields) == (reason, line, {})
    assert reason in REASONS
    assert row.fault.mend


def test_an_ending_without_a_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FinetuneError, match=r"a\.kt; expected \.java"):
        row_of(tmp_path, b"", "a.kt")
    assert row_of(tmp_path, b"", "a.kt", languages={".kt": "kotlin"}).fields["language"] == "kotlin"
    with pytest.raises(FinetuneError, match="missing"):
        list(read_rows(tmp_path / "B.java", SourceConfig(path="B.java", format="code")))
