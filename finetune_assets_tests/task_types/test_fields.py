from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.records.example import SourceRef
from finetune_assets.task_types.fields import ask_fault, canonical_fields, flat_texts, number_of, record_id_of
from finetune_assets.task_types.prompts import FieldFault

NESTED = st.recursive(st.none() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=4), max_leaves=10)


def test_the_first_name_that_holds_something_counts() -> None:
    aliases = {"text": ["text", "body"], "id": ["key"]}
    assert canonical_fields({"text": None, "body": "b", "id": 3, "other": 1}, aliases) == {"text": "b", "id": 3}
    assert canonical_fields({"text": "", "body": "b"}, aliases) == {"text": ""}


def test_records_without_an_id_are_named_by_their_place() -> None:
    place = SourceRef("a.jsonl", line=4)
    assert record_id_of("id", None, place) == record_id_of("id", " ", place) == "a.jsonl:4"
    assert record_id_of("id", 7, place) == "7"
    assert isinstance(record_id_of("id", [7], place), FieldFault)


@given(NESTED)
def test_nested_texts_become_one_list(value: Any) -> None:
    found = flat_texts("x", value)
    assert isinstance(found, list)
    assert len(set(found)) == len(found)
    assert all(text and text == text.strip() for text in found)
    assert flat_texts("x", [[value], found]) == found


def test_other_things_among_texts_are_faults() -> None:
    assert flat_texts("x", ["a", [" b ", ["a"]], None, ""]) == ["a", "b"]
    assert flat_texts("x", ["a", [3]]) == FieldFault("x", "wrong_type", "int", "text")
    assert flat_texts("x", "\ud800") == FieldFault(
        "x", "lone_surrogate", "half of a UTF-16 pair", "text that UTF-8 can hold"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        (0, 0.0),
        ("0.25", 0.25),
        (1, 1.0),
        (1.5, "out_of_range"),
        (float("nan"), "out_of_range"),
        ("nan", "out_of_range"),
        (10**400, "out_of_range"),
        ("high", "wrong_type"),
        (True, "wrong_type"),
        ([1], "wrong_type"),
    ],
)
def test_numbers_have_a_range(value: Any, expected: float | str | None) -> None:
    found = number_of("x", value, 0, 1)
    assert (found.reason if isinstance(found, FieldFault) else found) == expected


def test_a_live_input_is_told_the_names_of_its_field() -> None:
    error = ask_fault(FieldFault("text", "missing_field", "nothing", "text"), {"text": ["text", "body"]})
    assert "send it under one of the names text, body" in str(error)
