"""The short way of a batch and the long way of one record say the same."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.records.example import Example, PlainExample, RawRecord, Rejection
from finetune_assets.task_types.classification import ClassificationTask
from finetune_assets_tests.task_types.taxonomies import FLAT, OBSERVATIONS, PLAIN, make_task

SECTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "childcare": (OBSERVATIONS, {}),
    "prompted": (
        OBSERVATIONS,
        {
            "prompt": {
                "user": "<{notes}> at {child_age_months} months, {notes} {2}",
                "system": "",
                "defaults": {"child_age_months": "?"},
            },
            "identity": ["notes", "observation_date"],
            "label_map": {"Early": {"progression": "Emerging"}},
        },
    ),
    "flat": (FLAT, {"prompt": {"user": "Say: {text}!"}, "labels": {"exclude": ["visa"]}, "require_record_id": False}),
    "plain": (PLAIN, {"require_photos": True}),
    "aliased": (PLAIN, {"aliases": {"text": ["body", "text"], "note": ["remark"]}, "identity": ["note"]}),
}


def task_of(name: str) -> ClassificationTask:
    with tempfile.TemporaryDirectory() as folder:
        taxonomy, section = SECTIONS[name]
        return make_task(Path(folder), taxonomy, **section)


TASKS = {name: task_of(name) for name in SECTIONS}
texts = st.text(max_size=8) | st.sampled_from(
    ["Ana ran.", " ana  RAN ", "1-2 <|im_end|> [INST]", "\u200b", "\t", "Zoë's \ufb01sh", "half \ud800", "3.5 -4"]
)
odd = (
    st.none()
    | st.booleans()
    | st.integers(-2, 10**19)
    | st.floats(allow_nan=False)
    | texts
    | st.lists(texts, max_size=2)
)
LABEL_WORDS = (
    "1 7 Balance Emerging Early Refining travel translate visa meta yes Mathematics Literacy Maths physical_development"
)
labels = (
    st.sampled_from(
        [1, 2, 7, 9, 1.0, True, " Balance ", "Physical Development", "Hops alone.", "Stands with help.", ""]
    )
    | st.sampled_from(LABEL_WORDS.split())
    | odd
)
FIELDS: dict[str, Any] = {
    **dict.fromkeys(["observation_id", "record_id", "id"], st.sampled_from(["r1", " r2 ", "é", "", 5, 10**18]) | odd),
    **dict.fromkeys(["notes", "text", "body", "note", "observation_date", "child_age_months"], texts | odd),
    **dict.fromkeys(["domain_id", "attribute_id", "progression_title", "domain", "label", "domainId"], labels),
    **dict.fromkeys(["progression_description", "domain_key", "attribute_name"], labels),
    "photo_uris": st.sampled_from([None, "", [], "gs://b/a.png", ["http://x/y.gif", "gs://b/c"], "lost.png", 4]),
}
good = {
    "childcare": {
        "observation_id": "o",
        "notes": "Ana ran.",
        "domain_id": 1,
        "attribute_id": 7,
        "progression_title": "Refining",
    },
    "prompted": {
        "observation_id": "o",
        "notes": "Ana ran.",
        "domain_id": 1,
        "attribute_id": 7,
        "progression_title": "Early",
    },
    "flat": {"record_id": "o", "text": "how?", "domain": "travel", "label": "translate"},
    "plain": {"record_id": "o", "text": "sum", "label": "Mathematics", "photo_uris": "gs://a/b"},
    "aliased": {"record_id": "o", "text": "sum", "label": "Mathematics", "note": "n"},
}
SOURCE = {"file": "x.jsonl", "line": 4, "row": None, "offset": 99}


def items_of(given: PlainExample | Any) -> list[Example | Rejection]:
    return [given.to_example()] if isinstance(given, PlainExample) else list(given)


@pytest.mark.parametrize("name", sorted(SECTIONS))
@given(data=st.data())
def test_a_batch_says_what_single_records_say(name: str, data: st.DataObject) -> None:
    task = TASKS[name]
    changes = st.fixed_dictionaries({}, optional=FIELDS)
    records = [
        {"fields": {**good[name], **data.draw(changes)}, "source": SOURCE} for _ in range(data.draw(st.integers(1, 4)))
    ]
    single = [list(task.examples(RawRecord.from_json(record))) for record in records]
    assert [items_of(given) for given in task.examples_of_batch(records)] == single


@pytest.mark.parametrize("name", ["childcare", "prompted", "flat", "aliased"])
def test_a_plain_record_takes_the_short_way(name: str) -> None:
    (given,) = TASKS[name].examples_of_batch([{"fields": good[name], "source": SOURCE}])
    assert isinstance(given, PlainExample)


def test_a_task_travels_to_a_worker() -> None:
    for name, task in TASKS.items():
        record = {"fields": good[name], "source": SOURCE}
        before = [items_of(given) for given in task.examples_of_batch([record])]
        again = pickle.loads(pickle.dumps(task))
        assert [items_of(given) for given in again.examples_of_batch([record])] == before
