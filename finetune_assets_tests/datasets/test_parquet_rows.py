from __future__ import annotations

import datetime
import decimal
import resource
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.reading.readers import read_rows
from finetune_assets.records.errors import FinetuneError


def rows_of(folder: Path, table: Any, name: str = "a.parquet", row_group: int = 1_000, **values: Any) -> list[FoundRow]:
    pq.write_table(table, folder / name, row_group_size=row_group)
    return list(read_rows(folder / name, SourceConfig(path=name, **values)))


def column(folder: Path, values: list[Any], kind: Any = None) -> list[Any]:
    """Return each value as it was read, or the reason of its row's fault."""
    rows = rows_of(folder, pa.table({"id": range(len(values)), "x": pa.array(values, kind)}))
    assert all(row.fault is None or row.fault.field == "x" for row in rows)
    return [row.fault.reason if row.fault else row.fields["x"] for row in rows]


def test_rows_are_numbered_over_row_groups_and_batches(tmp_path: Path) -> None:
    table = pa.table({"id": [f"{number:05}" for number in range(5_000)], "text": ["même"] * 5_000})
    rows = rows_of(tmp_path, table, row_group=1_700)
    assert [row.row for row in rows] == list(range(1, 5_001))
    assert rows[4_321].fields == {"id": "04321", "text": "même"}
    assert rows[0].line is None
    assert rows[0].offset is None
    assert rows[0].text == '{"id":"00000","text":"même"}'


def test_values_that_json_has(tmp_path: Path) -> None:
    assert column(tmp_path, [1, None, 2**62]) == [1, None, 2**62]
    assert column(tmp_path, [2**64 - 1], pa.uint64()) == [2**64 - 1]
    assert column(tmp_path, [True, False]) == [True, False]
    assert column(tmp_path, [[1, None], [], None]) == [[1, None], [], None]
    assert column(tmp_path, [{"a": {"b": ["c"]}}]) == [{"a": {"b": ["c"]}}]
    assert column(tmp_path, [[("k", 1)], []], pa.map_(pa.string(), pa.int64())) == [{"k": 1}, []]
    assert column(tmp_path, [[(5, 1)]], pa.map_(pa.int64(), pa.int64())) == [[[5, 1]]]
    assert column(tmp_path, ["a", "b", "a"], pa.dictionary(pa.int32(), pa.string())) == ["a", "b", "a"]


def test_times_and_decimals_become_text(tmp_path: Path) -> None:
    noon = datetime.datetime(2024, 5, 1, 12, 30)
    assert column(tmp_path, [noon, None], pa.timestamp("ms")) == ["2024-05-01T12:30:00.000", None]
    assert column(tmp_path, [noon], pa.timestamp("ns")) == ["2024-05-01T12:30:00.000000000"]
    # Arrow takes a naive time as UTC.
    assert column(tmp_path, [noon], pa.timestamp("ms", "Europe/Berlin")) == ["2024-05-01T12:30:00.000Z"]
    assert column(tmp_path, [datetime.date(2024, 5, 1)]) == ["2024-05-01"]
    assert column(tmp_path, [datetime.time(9, 5)], pa.time32("s")) == ["09:05:00.000"]
    assert column(tmp_path, [decimal.Decimal("1.50")]) == ["1.50"]
    assert column(tmp_path, [[decimal.Decimal("1.50")], [noon.date()]][:1]) == [["1.50"]]
    assert column(tmp_path, [{"at": noon}]) == [{"at": "2024-05-01T12:30:00"}]


def test_values_that_json_has_not_are_the_fault_of_their_row(tmp_path: Path) -> None:
    assert column(tmp_path, [b"x", None], pa.binary()) == ["not_json_value", None]
    assert column(tmp_path, [[b"x"], None]) == ["not_json_value", None]
    assert column(tmp_path, [datetime.timedelta(1), None], pa.duration("s")) == ["not_json_value", None]
    assert column(tmp_path, [1.5, float("nan"), float("inf"), None]) == [1.5, "not_finite", "not_finite", None]
    assert column(tmp_path, [[float("nan")], [1.0]]) == ["not_finite", [1.0]]
    assert column(tmp_path, ["a", "b\0"]) == ["a", "nul_character"]
    assert column(tmp_path, [["b\0"], [""]]) == ["nul_character", [""]]
    assert column(tmp_path, ["a", "x" * (1 << 20 | 1), "y" * (1 << 21)]) == ["a", "line_too_long", "line_too_long"]
    bad = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"\xff\xfe"]).buffers())
    assert column(tmp_path, ["ok", "ok"]) == ["ok", "ok"]
    rows = rows_of(tmp_path, pa.table({"x": bad}))
    assert [row.fault.reason if row.fault else "ok" for row in rows] == ["ok", "bad_encoding"]


def test_content_decides_over_the_ending(tmp_path: Path) -> None:
    assert rows_of(tmp_path, pa.table({"a": [1]}), name="rows.json")[0].fields == {"a": 1}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), "'a' is empty or there twice"),
        (pa.table({" ": [1]}), "empty or there twice"),
        (pa.table({"a": [[[[[1]]]]]}), "nested too deep"),
    ],
)
def test_columns_that_cannot_be_used_are_refused(tmp_path: Path, table: Any, says: str) -> None:
    with pytest.raises(FinetuneError, match=says):
        rows_of(tmp_path, table, max_nesting=4)


def test_what_is_no_parquet_is_refused_in_one_line(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": ["text"] * 1_000}), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    for content in (b"", b"PAR1", whole[:-20], whole[: len(whole) // 2], b"id,text\n1,a\n"):
        (tmp_path / "a.parquet").write_bytes(content)
        with pytest.raises(FinetuneError) as caught:
            list(read_rows(tmp_path / "a.parquet", SourceConfig(path="a.parquet")))
        assert "a.parquet" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_one_text_repeated_many_times_is_not_unpacked_many_times(tmp_path: Path) -> None:
    def repeated(length: int, rows: int) -> Any:
        text = pa.array(["x" * length])
        return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), text)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = rows_of(tmp_path, pa.table({"a": repeated(20_000_000, 3_000)}), row_group=10_000)
    assert {row.fault.reason for row in rows if row.fault} == {"line_too_long"}
    assert len(rows) == 3_000
    inner = pa.ListArray.from_arrays(pa.array(range(3_001), pa.int32()), repeated(2_000_000, 3_000))
    rows = rows_of(tmp_path, pa.table({"a": inner}), row_group=10_000)
    assert {row.fault.reason for row in rows if row.fault} == {"line_too_long"}
    with pytest.raises(FinetuneError, match="unpacks to too much"):
        rows_of(tmp_path, pa.table({"a": repeated(900_000, 3_000)}), row_group=10_000)
    # 60 GB, 6 GB and 2.7 GB if each row had its own.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024
