"""Metadata forms: tables keep their columns and types, pictures stand inline."""

from __future__ import annotations

import base64

from finetune_assets.lineage import show


def test_a_table_takes_columns_and_types_from_its_first_row() -> None:
    value = show.table([{"a": 1, "b": "x", "c": True, "d": 0.5}, {"a": 2, "b": None, "c": False, "d": [1]}])
    assert [(column.name, column.type) for column in value.schema.columns] == [
        ("a", "int"),
        ("b", "string"),
        ("c", "bool"),
        ("d", "float"),
    ]
    assert value.records[1].data == {"a": 2, "b": None, "c": False, "d": "[1]"}


def test_a_long_table_is_cut_and_an_empty_one_says_so() -> None:
    assert len(show.table([{"n": number} for number in range(500)]).records) == show.MAX_TABLE_ROWS
    assert show.table([]).value == "none"


def test_counts_come_largest_first() -> None:
    rows = [record.data for record in show.counts({"a": 1, "b": 3, "c": 3}, name="reason").records]
    assert rows == [{"reason": "b", "rows": 3}, {"reason": "c", "rows": 3}, {"reason": "a", "rows": 1}]


def test_a_picture_is_inlined() -> None:
    assert base64.b64encode(b"png").decode() in show.picture(b"png", "a chart").value


def test_reasons_say_what_they_mean_most_first() -> None:
    rows = show.reasons({"accessor": 1, "label_conflict": 2}).records
    assert [record.data["reason"] for record in rows] == ["label_conflict", "accessor"]
    assert rows[0].data["means"] == "equal inputs have different answers"
