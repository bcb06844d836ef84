"""Examples and raw records survive a round trip; an error is one line."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Attachment, Example, RawRecord, SourceRef

text = st.text(max_size=30)


@given(text, text, st.lists(text, max_size=3), st.integers(min_value=1, max_value=10**9))
def test_an_example_survives_json(note: str, target: str, groups: list[str], line: int) -> None:
    example = Example(
        record_id="r1",
        content_key="0" * 64,
        messages=({"role": "system", "content": "Say."}, {"role": "user", "content": note}),
        target=target,
        label="a / b",
        label_path=("a", "b"),
        source=SourceRef("file.jsonl", line=line, offset=line),
        groups=tuple(groups),
        slices=("critical",),
        attachments=(Attachment("gs://bucket/photo.png", "image/png"),),
    )
    again = Example.from_json(json.loads(json.dumps(example.to_json())))
    assert again == example
    assert again.example_id == example.example_id


def test_the_id_is_of_what_is_learned_not_of_where_it_stood() -> None:
    def example(file: str, target: str) -> Example:
        return Example("r", "k", ({"role": "user", "content": "x"},), target, "a", ("a",), SourceRef(file))

    assert example("one", "a").example_id == example("two", "a").example_id
    assert example("one", "a").example_id != example("one", "b").example_id


def test_a_raw_record_survives_json() -> None:
    record = RawRecord(fields={"notes": "é", "n": 1}, source=SourceRef("a.json", row=3))
    assert RawRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_a_source_names_its_place() -> None:
    assert str(SourceRef("a.jsonl", line=7)) == "a.jsonl:7"
    assert str(SourceRef("a.json", row=7)) == "a.json#7"
    assert str(SourceRef("a.json")) == "a.json"


def test_an_error_is_one_line_that_names_place_and_mend() -> None:
    error = FinetuneError("file is\nmissing", where="x.jsonl", found="y" * 300, expected="a file", mend="put it there")
    line = str(error)
    assert "\n" not in line
    assert len(error.found) == 200
    assert line.startswith("file is missing at x.jsonl; found y")
    assert line.endswith("expected a file. Mend: put it there")
