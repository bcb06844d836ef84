from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.quarantine import REASONS
from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.reading.readers import read_rows
from finetune_assets.records.errors import FinetuneError

ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def rows_of(folder: Path, name: str, content: bytes | str, **values: Any) -> list[FoundRow]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(path, SourceConfig(path=name, **values)))


def reasons_of(rows: list[FoundRow]) -> list[str]:
    return [row.fault.reason if row.fault else "ok" for row in rows]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"a": 1}', "ok"),
        ('{"a": 12345678901234567890123}', "ok"),
        (' {"a": "\\\\u0000"} ', "ok"),
        ('{"a": "\\ud83d\\ude00"}', "ok"),
        ('{"a": 1', "invalid_json"),
        ('{"a": 1} {"b": 2}', "invalid_json"),
        ("# comment", "invalid_json"),
        ("{'a': 1}", "invalid_json"),
        ('{"a": 01}', "invalid_json"),
        ('{"a": "tab\tin text"}', "invalid_json"),
        ("[1]", "not_an_object"),
        ("null", "not_an_object"),
        ('"text"', "not_an_object"),
        ('{"a": {"b": 1, "b": 1}}', "duplicate_key"),
        ('{"a": [{"b": 1, "b": 2}]}', "duplicate_key"),
        ('{"a": NaN}', "not_finite"),
        ('{"a": [-Infinity]}', "not_finite"),
        ('{"a": 1e400}', "not_finite"),
        ('{"a": ' + "9" * 4_301 + "}", "number_too_large"),
        ('{"a": "\\ud83d"}', "lone_surrogate"),
        ('{"\\udc00": 1}', "lone_surrogate"),
        ('{"a": ["\\u0000"]}', "nul_character"),
        ('{"a": ' + "[" * 64 + "]" * 64 + "}", "nested_too_deep"),
        ('{"a": ' + "[" * 63 + "]" * 63 + "}", "ok"),
        ('{"a": ' + "[" * 40_000 + "]" * 40_000 + "}", "nested_too_deep"),
        ('{"a": "' + "[" * 100 + '"}', "ok"),
        ('{"a": "' + "x" * 2_000 + '"}', "line_too_long"),
    ],
    ids=lambda value: value[:24],
)
def test_each_fault_has_its_reason_in_lines_and_in_arrays(tmp_path: Path, line: str, reason: str) -> None:
    values = {"max_line_bytes": 1_024} if reason == "line_too_long" else {}
    rows = rows_of(tmp_path, "a.jsonl", f'{{"id": 0}}\n{line}\n{{"id": 2}}\n', **values)
    assert reasons_of(rows) == ["ok", reason, "ok"]
    assert rows[2].fields == {"id": 2}
    assert reason == "ok" or reason in REASONS
    if reason == "invalid_json" or len(line) > 50_000:
        # In a document such a value leaves no place to go on from.
        with pytest.raises(FinetuneError, match=r"not valid JSON|too deep"):
            rows_of(tmp_path, "a.json", f'[{{"id": 0}}, {line}, {{"id": 2}}]')
    else:
        elements = rows_of(tmp_path, "a.json", f'[{{"id": 0}}, {line}, {{"id": 2}}]', **values)
        assert reasons_of(elements) == ["ok", reason, "ok"]


def test_a_value_without_an_end_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(
        FinetuneError, match=r"broken or too long at .*a\.json:2; found more than 16384 bytes from byte 12"
    ):
        rows_of(tmp_path, "a.json", '[{"id": 0},\n{"a": "' + "x" * 3_000_000, max_line_bytes=1_024)


def test_lines_know_their_place(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"id": "\xc3\xa9"}\r\n\n  \n[1]\n{"id": "\xe2\x80\xa8"}'
    rows = rows_of(tmp_path, "a.jsonl", content)
    assert [row.line for row in rows] == [1, 4, 5]
    assert [content[row.offset :].split(b"\n")[0].strip() for row in rows] == [
        b'{"id": "\xc3\xa9"}',
        b"[1]",
        b'{"id": "\xe2\x80\xa8"}',
    ]
    assert rows[0].fields == {"id": "é"}


def test_elements_know_their_place(tmp_path: Path) -> None:
    content = '\ufeff[ {"id": "é"},\n  5 , {"id": "🙂"}]'.encode()
    rows = rows_of(tmp_path, "a.json", content)
    assert [row.row for row in rows] == [1, 2, 3]
    assert [content[row.offset :].decode()[:1] for row in rows] == ["{", "5", "{"]
    assert content[rows[2].offset :].decode().startswith('{"id": "🙂"}')


def test_a_row_of_other_bytes_is_one_bad_row(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "a.jsonl", b'{"id": 1}\n{"id": "caf\xe9"}\n{"id": 3}\n')
    assert reasons_of(rows) == ["ok", "bad_encoding", "ok"]


def test_a_long_line_does_not_fill_the_memory_and_the_next_is_read(tmp_path: Path) -> None:
    content = b'{"id": 1}\n{"a": "' + b"x" * 3_000_000 + b'"}\n{"id": 3}\n'
    rows = rows_of(tmp_path, "a.jsonl", content, max_line_bytes=4_096)
    assert reasons_of(rows) == ["ok", "line_too_long", "ok"]
    assert content[rows[2].offset :] == b'{"id": 3}\n'
    assert len(rows[1].text) <= 2_000


def test_a_line_of_exactly_the_bound_is_read(tmp_path: Path) -> None:
    line = '{"a": "' + "x" * (1_024 - 9) + '"}'
    assert len(line) == 1_024
    for end in ("\n", "\r\n", ""):
        assert reasons_of(rows_of(tmp_path, "a.jsonl", line + end, max_line_bytes=1_024)) == ["ok"]
    assert reasons_of(rows_of(tmp_path, "a.jsonl", line + " \n", max_line_bytes=1_024)) == ["line_too_long"]


@pytest.mark.parametrize("name", ["a.json", "a", "a.txt"])
def test_documents(tmp_path: Path, name: str) -> None:
    assert [row.fields for row in rows_of(tmp_path, name, '[{"a": 1}, {"a": 2}]')] == [{"a": 1}, {"a": 2}]
    wrapped = '{"meta": {"n": [1]}, "observations": [{"a": 1}], "note": "x"}'
    assert [row.fields for row in rows_of(tmp_path, name, wrapped)] == [{"a": 1}]
    assert rows_of(tmp_path, name, "[]") == []


def test_without_an_ending_the_content_decides(tmp_path: Path) -> None:
    assert len(rows_of(tmp_path, "a", '{"a": 1}\n{"a": 2}\n')) == 2
    assert len(rows_of(tmp_path, "a.ndjson", '{"a": 1}\n{"a": 2}\n')) == 2
    assert len(rows_of(tmp_path, "a.json", '{"a": 1}\n{"a": 2}\n', format="jsonl")) == 2
    assert len(rows_of(tmp_path, "a.jsonl", '[{"a": 1},\n{"a": 2}]', format="json")) == 2


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.json", b"  \n \t", "3 bytes|5 bytes"),
        ("a.json", b"\xef\xbb\xbf", "is empty"),
        ("a.json", '[{"a": 1}]'.encode("utf-16"), "UTF-16"),
        ("a.jsonl", '{"a": 1}'.encode("utf-16-le"), "zero bytes"),
        ("a.jsonl", '{"a": 1}'.encode("utf-32"), "UTF-32"),
        ("a.json", b"\x1f\x8b\x08\x00", "gzip"),
        ("a.json", b"PK\x03\x04....", "zip"),
        ("a.json", b"\n <!DOCTYPE html><p>", "HTML"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid", "LFS pointer"),
        ("a.jsonl", b'{"a": 1}\n<<<<<<< HEAD\n{"a": 2}\n', "merge conflict"),
        ("a.jsonl", b'[\n{"a": 1}\n]\n', "JSON array"),
        ("a.jsonl", b'[{"a": 1}]\n', "JSON array"),
        ("a.json", b'[{"a": 1}', "end of the file"),
        ("a.json", b'[{"a": 1},]', "another item after the comma"),
        ("a.json", b'[{"a": 1} {"a": 2}]', "not valid JSON"),
        ("a.json", b'[{"a": 1}] x', "extra data"),
        ("a.json", b'[{"a": "\xe9"}]', "not UTF-8"),
        ("a.json", b'[{"a": 1} /* note */]', "no comments"),
        ("a.json", b"[{'a': 1}]", "double quotes"),
        ("a.json", b"5", "an array of records"),
        ("a.json", b'{"a": 1}', "no list of records"),
        ("a.json", b'{"a": 1}\n{"a": 2}', "JSON Lines, not one JSON document"),
        ("a.json", b'{"a": [1, 2]}', "column-oriented"),
        ("a.json", b'{"a": {"0": 1}, "b": {"0": 2}}', "column-oriented"),
        ("a.json", b'{"q1": {"a": 1}, "q2": {"a": 2}}', "object of objects"),
        ("a.json", b'{"mine": [{"a": 1}]}', "unknown name"),
        ("a.json", b'{"rows": [{"a": 1}], "data": [{"a": 2}]}', "two lists"),
        ("a.json", b'{"data": [[1]], "columns": ["a"]}', "two lists"),
        ("a.json", b"{1: 2}", "double quotes"),
    ],
)
def test_a_file_that_is_no_source_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    with pytest.raises(FinetuneError, match=says) as caught:
        rows_of(tmp_path, name, content)
    line = str(caught.value)
    assert str(tmp_path / name) in line
    assert "Mend: " in line
    assert "\n" not in line


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(FinetuneError, match=r"missing at .*nowhere\.jsonl"):
        list(read_rows(tmp_path / "nowhere.jsonl", SourceConfig(path="x")))
    with pytest.raises(FinetuneError, match="is a folder"):
        list(read_rows(tmp_path, SourceConfig(path="x")))


def test_an_error_shows_no_personal_data(tmp_path: Path) -> None:
    with pytest.raises(FinetuneError) as caught:
        rows_of(tmp_path, "a.json", '[{"a": 1}] jane.doe@example.com')
    assert "jane" not in str(caught.value)


def test_a_document_larger_than_the_window(tmp_path: Path) -> None:
    records = [{"id": number, "text": "é" * (number % 700)} for number in range(3_000)]
    content = json.dumps(records, ensure_ascii=False).encode()
    assert len(content) > 5 * (1 << 18)
    rows = rows_of(tmp_path, "a.json", content)
    assert [row.fields for row in rows] == records
    assert all(content[row.offset : row.offset + 7] == b'{"id": ' for row in rows)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
records = st.lists(st.dictionaries(st.text(), values, max_size=4), min_size=1, max_size=8)


def _no_nul(value: Any) -> bool:
    return "\\u0000" not in json.dumps(value).replace("\\\\", "")


@ONE_FOLDER
@given(records=records.filter(_no_nul), ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_what_json_writes_is_read_back(
    tmp_path: Path, records: list[dict[str, Any]], ascii_only: bool, indent: int | None
) -> None:
    document = json.dumps(records, ensure_ascii=ascii_only, indent=indent)
    lines = "\r\n".join(json.dumps(record, ensure_ascii=ascii_only) for record in records)
    assert [row.fields for row in rows_of(tmp_path, "a.json", document)] == records
    assert [row.fields for row in rows_of(tmp_path, "a.jsonl", lines)] == records


@ONE_FOLDER
@given(content=st.binary(max_size=200) | st.text(alphabet='{}[]":, \\\n1eé-', max_size=40).map(str.encode))
def test_any_bytes_are_rows_or_one_line(tmp_path: Path, content: bytes) -> None:
    for name in ("a.jsonl", "a.json"):
        found = rows_or_error(tmp_path, name, content)
        if isinstance(found, str):
            assert "\n" not in found
            assert "Mend: " in found
            continue
        if name == "a.jsonl":
            text = content.removeprefix(b"\xef\xbb\xbf")
            assert len(found) == sum(bool(line.strip(b" \t\r")) for line in text.split(b"\n"))
        assert all(row.fault is None or row.fault.reason in REASONS for row in found)


def rows_or_error(folder: Path, name: str, content: bytes) -> list[FoundRow] | str:
    try:
        return rows_of(folder, name, content)
    except FinetuneError as error:
        return str(error)


GOOD = [f'{{"id": {number}, "text": "né {number}", "n": [1.5, {{"a": null}}]}}'.encode() for number in range(4)]


@settings(ONE_FOLDER, max_examples=300)
@given(
    row=st.integers(0, 3),
    at=st.integers(0, 44),
    cut=st.integers(0, 6),
    put=st.binary(max_size=4).filter(lambda new: b"\n" not in new) | st.sampled_from([b"\\ud800", b"\\u0000", b"NaN"]),
)
def test_a_spoilt_row_spoils_no_other(tmp_path: Path, row: int, at: int, cut: int, put: bytes) -> None:
    lines = list(GOOD)
    lines[row] = b"{" + lines[row][1 : at + 1] + put + lines[row][at + 1 + cut :]
    found = rows_of(tmp_path, "a.jsonl", b"\n".join(lines) + b"\n")
    assert len(found) == 4
    for number, (line, result) in enumerate(zip(GOOD, found, strict=True)):
        if number != row:
            assert result.fields == json.loads(line)
        elif result.fault is None:
            assert result.fields == json.loads(lines[row])
