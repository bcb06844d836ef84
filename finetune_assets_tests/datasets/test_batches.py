"""The first pass in batches: the same rows, bytes and rejections as one record after another."""

from __future__ import annotations

import gc
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.batches import PreparedBatch, prepare_batch
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.example_lines import ExampleLines
from finetune_assets.datasets.render import RENDERERS
from finetune_assets.datasets.row_table import RowTable
from finetune_assets.records.example import Attachment, Example, PlainExample, RawRecord, Rejection, SourceRef
from finetune_assets_tests.datasets.fake_task import LABELS, FakeTask

CONFIG = DatasetConfig.model_validate(
    {
        "source": {"path": "x.jsonl"},
        "split": {"group_fields": ["child", "room"], "evaluation_only": ["blue"]},
        "slices": {"blue": {"field": "room", "equals": "blue"}, "three": {"field": "child", "equals": 3}},
    }
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | texts
records = st.fixed_dictionaries(
    {"text": texts | st.none(), "label": st.sampled_from([*LABELS, "Maths"])},
    optional={
        "id": st.integers(0, 9).map(str),
        "child": scalars | st.lists(scalars, max_size=3),
        "room": st.sampled_from(["blue", " blue ", ["red", "blue"], 7]),
    },
)


def line_of(number: int, fields: dict[str, Any]) -> bytes:
    source = {"file": "x.jsonl", "line": number, "row": None, "offset": number * 7}
    return json.dumps({"fields": fields, "source": source}).encode() + b"\n"


def rows_of(batch: PreparedBatch) -> list[tuple[Any, ...]]:
    """Return the batch row by row, its numbers replaced by what they stand for."""
    groups: list[list[str]] = [[] for _ in range(len(batch))]
    for row, group in zip(batch.tied_rows, batch.tied_groups, strict=True):
        groups[row].append(batch.groups[group])
    begin, found = 0, []
    for row, size in enumerate(batch.sizes):
        found.append(
            (
                batch.keys[row * 32 : row * 32 + 32],
                batch.targets[row * 16 : row * 16 + 16],
                batch.ids[row * 16 : row * 16 + 16],
                batch.labels[batch.label_of[row]],
                batch.slice_sets[batch.slices_of[row]],
                batch.traits[batch.traits_of[row]],
                batch.lengths[row],
                groups[row],
                batch.lines[begin : begin + size],
            )
        )
        begin += size
    return found


@given(rows=st.lists(records, max_size=12), cuts=st.sets(st.integers(0, 12)))
def test_how_lines_are_cut_into_batches_changes_nothing(rows: list[dict[str, Any]], cuts: set[int]) -> None:
    lines = [line_of(number, fields) for number, fields in enumerate(rows)]
    whole = prepare_batch(lines, FakeTask(), CONFIG)
    edges = sorted({0, len(lines), *(cut for cut in cuts if cut < len(lines))})
    parts = [prepare_batch(lines[a:b], FakeTask(), CONFIG) for a, b in itertools.pairwise(edges)]
    assert rows_of(whole) == [row for part in parts for row in rows_of(part)]
    assert whole.rejections == [rejection for part in parts for rejection in part.rejections]
    assert (whole.read, whole.made) == (len(rows), len(rows))
    assert len(whole) + len(whole.rejections) == len(rows)


@given(rows=st.lists(records, min_size=1, max_size=6))
def test_a_row_says_what_its_example_says(rows: list[dict[str, Any]]) -> None:
    batch = prepare_batch([line_of(number, fields) for number, fields in enumerate(rows)], FakeTask(), CONFIG)
    made = [
        FakeTask().example(RawRecord(fields, SourceRef("x.jsonl", n, None, n * 7))) for n, fields in enumerate(rows)
    ]
    assert batch.rejections == [item for item in made if isinstance(item, Rejection)]
    kept = [(item, fields) for item, fields in zip(made, rows, strict=True) if isinstance(item, Example)]
    for (example, fields), row in zip(kept, rows_of(batch), strict=True):
        line = json.loads(row[-1].splitlines()[0])
        assert line["example_id"] == example.example_id
        assert bytes.fromhex(example.content_key) == row[0]
        assert row[3] == (example.label, example.label_path)
        assert tuple(line["slices"]) == row[4]
        assert line["groups"] == row[7] == sorted(set(row[7]))
        rooms = fields.get("room", [])
        expected = {f"room={str(room).strip()}" for room in (rooms if isinstance(rooms, list) else [rooms])}
        assert {group for group in row[7] if group.startswith("room=")} == expected
        assert ("blue" in row[4]) == ("room=blue" in expected)


turns = st.lists(
    st.builds(
        lambda role, text: {"role": role, "content": text}, st.sampled_from(["system", "user", "assistant"]), texts
    ),
    max_size=4,
)
asked = st.builds(
    lambda system, text: [*([{"role": "system", "content": system}] if system is not None else []), text],
    st.none() | texts,
    texts.map(lambda text: {"role": "user", "content": text}),
)
examples = st.builds(
    PlainExample,
    record_id=texts,
    content_key=st.just("0f" * 32),
    messages=asked | turns.filter(bool),
    target=texts,
    label=texts,
    label_path=st.tuples(texts, texts),
    source=st.just({"file": "x", "line": None, "row": 3, "offset": 2**60}),
    groups=st.tuples(texts),
    attachments=st.just(()) | st.just((Attachment("gs://a/b.png", "image/png"),)),
    origin=st.sampled_from(["observed", "synthetic"]),
    facts=st.dictionaries(texts, texts | st.integers() | st.none() | st.floats(0, 1), max_size=2),
)


def plain_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@given(rows=st.lists(examples, min_size=1, max_size=4))
def test_the_short_way_writes_what_json_and_the_renderers_say(rows: list[PlainExample]) -> None:
    formats = ["chat", "gemini"]
    for row, lines in zip(rows, ExampleLines(formats).write(rows, [(row.groups, ("s",)) for row in rows]), strict=True):
        example = row.to_example()
        assert PlainExample.of(example).to_example() == example
        line, *rendered = lines.split(b"\n")[:-1]
        expected = {**example.to_json(), "slices": ["s"]}
        assert json.loads(line) == plain_json(expected)
        assert list(json.loads(line)) == list(expected)
        for name, found in zip(formats, rendered, strict=True):
            said = RENDERERS[name](example)
            if said is None:
                assert found == b""
            else:
                assert found == json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def test_the_collector_is_as_it_was() -> None:
    assert gc.isenabled()
    prepare_batch([line_of(1, {"text": "a", "label": LABELS[0]})], FakeTask(), CONFIG)
    assert gc.isenabled()
    gc.disable()
    try:
        prepare_batch([], FakeTask(), CONFIG)
        assert not gc.isenabled()
    finally:
        gc.enable()
    with pytest.raises(ValueError, match="Expecting"):
        prepare_batch([b"{"], FakeTask(), CONFIG)
    assert gc.isenabled()


def test_a_row_is_read_back_by_its_number(tmp_path: Path) -> None:
    lines = [line_of(n, {"id": f"r{n}", "text": f"text\r\n\u2028 {n}", "label": LABELS[n % 3]}) for n in range(50)]
    with RowTable(tmp_path, CONFIG.render.formats) as rows:
        for begin in range(0, 50, 7):
            rows.take(prepare_batch(lines[begin : begin + 7], FakeTask(), CONFIG))
        rows.settle({}, keep_first=False)
        found = list(rows.rows())
        assert [row.facts()["record_id"] for row in found] == [f"r{n}" for n in range(50)]
        assert [rows.row(n) for n in reversed(range(50))] == found[::-1]
        assert [rows.keys[n].hex() for n in rows.key_of] == [row.facts()["content_key"] for row in found]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mark", "origin"),
    [
        *[(mark, "synthetic") for mark in (True, 1, 1.0, "true", " TRUE ", "1", "yes")],
        *[(mark, "observed") for mark in (False, 0, None, "", "false", "no", 2)],
    ],
)
def test_every_spelling_of_the_mark_keeps_a_made_row_out_of_evaluation(mark: object, origin: str) -> None:
    lines = [line_of(1, {"id": "a", "text": "Ana ran.", "label": LABELS[0], "synthetic": mark})]
    batch = prepare_batch(lines, FakeTask(), CONFIG)
    assert [traits.origin for traits in batch.traits] == [origin]


class Silent(FakeTask):
    """Makes nothing of some records, which no task type should."""

    def examples(self, record: RawRecord) -> list[Example | Rejection]:
        return [] if record.fields["text"] == "lost" else super().examples(record)


def test_a_record_of_which_nothing_was_made_is_not_lost() -> None:
    texts = ["Ana ran.", "lost", "Ben sat."]
    lines = [line_of(n, {"id": f"r{n}", "text": text, "label": LABELS[0]}) for n, text in enumerate(texts)]
    batch = prepare_batch(lines, Silent(), CONFIG)
    assert (batch.read, batch.made, len(batch)) == (3, 3, 2)
    assert [(item.reason, item.source.line) for item in batch.rejections] == [("no_example", 1)]
