from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_assets.datasets.config import CsvConfig, SourceConfig
from finetune_assets.datasets.quarantine import REASONS
from finetune_assets.datasets.reading.csv_scan import CsvScan
from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.reading.listing import SourceFile
from finetune_assets.datasets.reading.readers import read_file, read_rows
from finetune_assets.records.errors import FinetuneError

ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def rows_of(folder: Path, content: bytes | str, name: str = "a.csv", **values: Any) -> list[FoundRow]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(path, SourceConfig(path=name, **values)))


def dialect_of(folder: Path, content: bytes | str, name: str = "a.csv", **values: Any) -> dict[str, Any]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    report: dict[str, Any] = {}
    for _ in read_file(SourceFile(path, name), SourceConfig(path=name, **values), report):
        pass
    return dict(report["dialect"])


def reasons_of(rows: list[FoundRow]) -> list[str]:
    assert all(row.fault is None or row.fault.reason in REASONS for row in rows)
    return [row.fault.reason if row.fault else "ok" for row in rows]


@pytest.mark.parametrize(
    ("row", "reason", "field"),
    [
        ("b,t,l", "ok", ""),
        ('b,"t, ""u""\n v",l', "ok", ""),
        ('b,5" pipe,l', "ok", ""),
        ('"b","t","l"', "ok", ""),
        ("b,,l", "ok", ""),
        ("b,t", "column_count", "label"),
        ("b,t,l,x", "column_count", ""),
        ("b,'t, u',l", "column_count", ""),
        ('b,"t" u,l', "bad_quoting", "text"),
        ('b,"t "u" v",l', "bad_quoting", "text"),
        ('b,"t \\"u\\" v",l', "bad_quoting", "text"),
        ('b,"never closed,l', "bad_quoting", "text"),
        (",,", "empty_row", ""),
        ('"","",""', "empty_row", ""),
        ("b,t\0,l", "nul_character", "text"),
        ("b," + "x" * 2_000 + ",l", "line_too_long", ""),
    ],
    ids=lambda value: value[:12],
)
def test_each_fault_has_its_reason_and_spoils_no_other_row(tmp_path: Path, row: str, reason: str, field: str) -> None:
    content = f'id,text,label\na,"one, two",l\n{row}\nc,"three, four",l\nd,,l\n'
    rows = rows_of(tmp_path, content, max_line_bytes=1_024)
    assert reasons_of(rows) == ["ok", reason, "ok", "ok"]
    assert rows[0].fields == {"id": "a", "text": "one, two", "label": "l"}
    assert rows[2].fields == {"id": "c", "text": "three, four", "label": "l"}
    assert rows[3].fields == {"id": "d", "label": "l"}
    assert rows[1].line == 3
    if rows[1].fault:
        assert rows[1].fault.field == field
        assert rows[1].fault.mend


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path) -> None:
    content = 'id,text\n1,a\n2,"never closed\n3,b\n4,c\n'
    rows = rows_of(tmp_path, content)
    assert reasons_of(rows) == ["ok", "unclosed_quote", "ok", "ok"]
    assert [row.line for row in rows] == [2, 3, 4, 5]
    assert [content.encode()[row.offset :][:1] for row in rows] == [b"1", b"2", b"3", b"4"]
    longer = content + "".join(f"{number},x{number}\n" for number in range(5, 40_000))
    rows = rows_of(tmp_path, longer, max_line_bytes=4_096)
    assert reasons_of(rows).count("ok") == len(rows) - 1 == 39_998


def test_a_text_over_several_lines_knows_its_place(tmp_path: Path) -> None:
    content = 'id,text\r\n1,"a\r\nb\r\n\r\nc"\r\n2,"d\n\te"\r\n3,f\r\n'
    rows = rows_of(tmp_path, content)
    assert [row.fields["text"] for row in rows] == ["a\r\nb\r\n\r\nc", "d\n\te", "f"]
    assert [row.line for row in rows] == [2, 6, 8]
    assert [content[row.offset or 0 :][:1] for row in rows] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("content", "values", "expected"),
    [
        ("id;text\n1;a,b\n2;c,d\n", {}, {"delimiter": ";", "columns": 2}),
        ("id\ttext\n1\ta, b\n", {}, {"delimiter": "\t"}),
        ("id|text|x\n1|a|b\n", {}, {"delimiter": "|", "columns": 3}),
        ("text\nhello\nyou\n", {}, {"columns": 1, "sample_rows": 2, "consistent_share": 1.0}),
        ("id,text\n1,a\n2,b,c\n", {}, {"consistent_share": 0.5, "sample_rows": 2}),
        ("id,text\r1,a\r2,b\r", {}, {"line_end": "\r", "sample_rows": 2}),
        ("id,text\n1,a\n".encode("utf-16"), {}, {"encoding": "utf-16"}),
        ("id,t\n1,é\n".encode("cp1252"), {"csv": {"encoding": "cp1252"}}, {"encoding": "cp1252"}),
        ("1^a\n2^b\n", {"csv": {"delimiter": "^", "header": ["id", "t"]}}, {"delimiter": "^", "sample_rows": 2}),
    ],
)
def test_the_dialect_is_found_and_reported(
    tmp_path: Path, content: bytes | str, values: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert expected.items() <= dialect_of(tmp_path, content, **values).items()
    rows = rows_of(tmp_path, content, **values)
    assert rows[0].fields in ({"id": "1", "text": "a,b"}, {"id": "1", "text": "a, b"}) or rows[0].fault is None
    assert all(row.fields for row in rows if not row.fault)


def test_other_signs_can_be_declared(tmp_path: Path) -> None:
    single = "id,text,l\n1,'Tom, ran',x\n"
    assert rows_of(tmp_path, single, csv={"quotechar": "'"})[0].fields["text"] == "Tom, ran"
    escaped = 'id,text,l\n1,"He said \\"hi\\", ok\\\\",x\n2,a\\,b,x\n'
    rows = rows_of(tmp_path, escaped, csv={"escapechar": "\\"})
    assert [row.fields["text"] for row in rows] == ['He said "hi", ok\\', "a,b"]
    with pytest.raises(ValidationError, match="must differ"):
        CsvConfig(delimiter='"')
    with pytest.raises(ValidationError, match="no line ends"):
        CsvConfig(delimiter="\n")


def test_encodings(tmp_path: Path) -> None:
    old = "id,text\n1,café “x”\n2,b\n".encode("cp1252")
    rows = rows_of(tmp_path, old)
    assert reasons_of(rows) == ["bad_encoding", "ok"]
    assert rows[0].fault
    assert "cp1252" in rows[0].fault.mend
    assert rows_of(tmp_path, old, csv={"encoding": "cp1252"})[0].fields["text"] == "café “x”"
    quoted = b'id,text\n1,"caf\xe9\nx"\n2,b\n'
    assert reasons_of(rows_of(tmp_path, quoted)) == ["bad_encoding", "ok"]
    wide = 'id,text\n1,"é\n🙂"\n2,b\n'
    for encoding in ("utf-16", "utf-16-be"):
        content = wide.encode(encoding) if encoding == "utf-16" else b"\xfe\xff" + wide.encode(encoding)
        rows = rows_of(tmp_path, content)
        assert [row.fields["text"] for row in rows] == ["é\n🙂", "b"]
        native = "utf-16-le" if encoding == "utf-16" else encoding
        assert [content[row.offset : (row.offset or 0) + 2].decode(native) for row in rows] == ["1", "2"]
    half = "id,text\n1,a".encode("utf-16") + b"\x00"
    assert reasons_of(rows_of(tmp_path, half)) == ["bad_encoding"]
    lone = b"\xff\xfe" + "id,text\n1,".encode("utf-16-le") + b"\x00\xd8" + "\n2,b\n".encode("utf-16-le")
    assert reasons_of(rows_of(tmp_path, lone)) == ["bad_encoding", "ok"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("id,,label\n1,2,3\n", "no name for column 2"),
        ("id,te\u200bxt\n1,2\n", r"U\+200B"),
        ("id,text,id \n1,2,3\n", "'id' twice"),
        ('id,"te"xt\n1,2\n', "bad_quoting"),
        (b"id,t\xe9xt\n1,2\n", "bad_encoding"),
        ("id,text\n" + "1,2,3\n" * 30, "do not fit their header"),
        ("", "is empty"),
        ("<html><body>,</body></html>", "HTML"),
        ("id,text\n1,a\n<<<<<<< HEAD\n", "merge conflict"),
        ("id,text\n1,a".encode("utf-16-le"), "zero bytes"),
        (b"PK\x03\x04 and so on", "zip archive"),
    ],
)
def test_a_file_that_is_no_csv_is_refused_in_one_line(tmp_path: Path, content: bytes | str, says: str) -> None:
    with pytest.raises(FinetuneError, match=says) as caught:
        rows_of(tmp_path, content)
    assert str(tmp_path / "a.csv") in str(caught.value)
    assert "Mend: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_blank_lines_and_the_end_mark_are_no_rows(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "\n\nid,text\n\n1,a\n  \n2,b\n\n\x1a")
    assert [row.fields for row in rows] == [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]
    assert reasons_of(rows_of(tmp_path, "id\ttext\n\t\n1\ta\n")) == ["empty_row", "ok"]
    assert rows_of(tmp_path, "id,text\n") == []


def test_names_may_come_from_the_configuration(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "1,a\n2,b\n", csv={"header": ["id", "text"]})
    assert [row.fields for row in rows] == [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]
    assert [row.line for row in rows] == [1, 2]


def test_content_decides_without_an_ending(tmp_path: Path) -> None:
    assert rows_of(tmp_path, "id;text\n1;a\n", name="export")[0].fields == {"id": "1", "text": "a"}
    assert rows_of(tmp_path, "id\ttext\n1\ta\n", name="a.tsv")[0].fields == {"id": "1", "text": "a"}
    assert rows_of(tmp_path, "id,text\n1,a\n", name="a.txt", format="csv")[0].fields == {"id": "1", "text": "a"}


cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
tables = st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6)


@ONE_FOLDER
@given(table=tables, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), end=st.sampled_from(["\n", "\r\n"]))
def test_what_csv_writes_is_read_back(
    tmp_path: Path, table: list[tuple[str, str, str]], quoting: Any, end: str
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, lineterminator=end)
    writer.writerow(("a", "b", "c"))
    writer.writerows((f"x{number}", *row) for number, (_, *row) in enumerate(table))
    # Fixed, because a sample of odd texts may fit another delimiter as well.
    rows = rows_of(tmp_path, out.getvalue(), csv={"delimiter": ","})
    written = [
        {name: cell for name, cell in zip("abc", (f"x{number}", *row), strict=True) if cell}
        for number, (_, *row) in enumerate(table)
    ]
    assert [row.fields for row in rows] == written


@ONE_FOLDER
@given(content=st.text(alphabet='ab,;"\\\n\r\0é ', max_size=60).map(str.encode) | st.binary(max_size=60))
def test_any_bytes_are_rows_or_one_line(tmp_path: Path, content: bytes) -> None:
    for values in ({}, {"csv": {"header": ["a", "b"]}}, {"csv": {"escapechar": "\\"}}, {"csv": {"encoding": "cp1252"}}):
        try:
            rows = rows_of(tmp_path, content, **values)
        except FinetuneError:
            continue
        reasons_of(rows)
        places = [row.offset for row in rows]
        assert places == sorted(set(places))


def test_of_one_column_too_blank_lines_and_the_end_mark_are_no_rows(tmp_path: Path) -> None:
    assert [row.fields for row in rows_of(tmp_path, "text\nhello\n   \n\x1a")] == [{"text": "hello"}]
    assert [row.fields for row in rows_of(tmp_path, " \na\n \n", csv={"header": ["text"]})] == [{"text": "a"}]


@pytest.mark.parametrize("line", ['x","', 'b,"t","', '","x","', 'x"y","t'])
def test_broken_quotes_cost_no_more_than_their_lines(
    tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[str] = []
    feed = CsvScan.feed

    def counted(scan: CsvScan, text: str, line_end: str = "\n") -> Any:
        fed.append(text)
        return feed(scan, text, line_end)

    monkeypatch.setattr(CsvScan, "feed", counted)
    rows = rows_of(tmp_path, "a,b,c\n" + f"{line}\n" * 500)
    assert len(rows) == 500
    assert set(reasons_of(rows)) <= {"bad_quoting", "unclosed_quote", "column_count"}
    assert len(fed) <= 3 * 500
