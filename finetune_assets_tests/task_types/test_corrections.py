"""What a person wrote as a correction becomes a record that the task reads back to that very answer, or a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.component import read_task_folder
from finetune_assets.records.example import Example, RawRecord, SourceRef
from finetune_assets.records.task_type import TaskType
from finetune_assets.task_types import build_task_type
from finetune_assets.task_types.classification import ClassificationTask
from finetune_assets.task_types.corrections import CorrectionFault, correction_fault, record_of_correction
from finetune_assets_tests.task_types.taxonomies import FLAT, OBSERVATIONS, make_task

DEFS = Path(__file__).parents[2] / "finetune_assets" / "defs"


def shipped(name: str) -> TaskType:
    config = read_task_folder(DEFS / name).config
    return build_task_type(config.task_type, config.type_section().model_dump(mode="json"), DEFS / name)


def taught(task: TaskType, fields: dict[str, Any], correction: str) -> Example:
    record = record_of_correction(task, fields, correction, "feedback:case/7")
    assert not isinstance(record, CorrectionFault), record
    json.dumps(record)
    (example,) = task.examples(RawRecord(record, SourceRef("feedback:case/7")))
    assert isinstance(example, Example), example
    assert example.record_id.startswith("feedback:case/7")
    assert list(example.messages) == task.input_messages(fields), "the question is the one that was asked"
    return example


def fault(task: TaskType, fields: dict[str, Any], correction: str) -> CorrectionFault:
    found = record_of_correction(task, fields, correction, "feedback:case/7")
    assert isinstance(found, CorrectionFault)
    return found


@pytest.fixture
def childcare(tmp_path: Path) -> ClassificationTask:
    return make_task(tmp_path, OBSERVATIONS)


@pytest.fixture
def intents(tmp_path: Path) -> ClassificationTask:
    return make_task(tmp_path, FLAT)


def test_every_legal_answer_of_a_classification_is_a_correction(childcare: ClassificationTask) -> None:
    fields = {"observationNotes": "Ana balanced.", "domain_id": 99, "id": "another record's", "child_id": "c1"}
    for answer in childcare.choices():
        example = taught(childcare, fields, answer)
        assert example.target == answer
        assert taught(childcare, fields, f"```json\n{answer}\n```").target == answer
        assert taught(childcare, fields, " / ".join(example.label_path)).target == answer
        assert taught(childcare, fields, " / ".join(example.label_path).upper()).target == answer
    record = record_of_correction(childcare, fields, childcare.choices()[0], "feedback:case/7")
    assert isinstance(record, dict)
    assert record["child_id"] == "c1", "a declared leak group stays"


def test_a_path_may_be_spelt_as_people_read_it() -> None:
    task = shipped("childcare")
    for said in ("Physical Development / Balance / Developing", "physical development/balance/developing"):
        found = taught(task, {"notes": "Ana balanced."}, said)
        assert found.label_path == ("physical_development", "Balance", "Developing")
    assert "physical_development / Balance / Developing" in fault(task, {"notes": "x"}, "Balance").expected


def test_a_name_is_enough_where_only_one_label_has_it(intents: ClassificationTask) -> None:
    for path in intents.rules.paths:
        alone = sum(other[-1] == path[-1] for other in intents.rules.paths) == 1
        found = record_of_correction(intents, {"text": "x"}, path[-1], "r")
        assert isinstance(found, dict) == alone
        if alone:
            assert taught(intents, {"text": "x"}, json.dumps({"label": path[-1]})).label_path == path
    whole = shipped("childcare")
    assert isinstance(whole, ClassificationTask)
    titles = [path[-1] for path in whole.rules.paths]
    refused = fault(whole, {"notes": "x"}, max(titles, key=titles.count))
    assert refused.reason == "unknown_label", "a progression's title belongs to many attributes"
    assert "JSON with" in refused.expected


@pytest.mark.parametrize(
    "text", ["", "  ", "nothing of the kind", "{}", '{"label": 3}', "[]", "null", "/", " / / ", "\0"]
)
def test_what_names_no_label_is_refused(intents: ClassificationTask, text: str) -> None:
    assert fault(intents, {"text": "x"}, text).reason == "unknown_label"
    assert correction_fault(intents, text) is not None


def test_a_correction_without_its_text_is_refused_by_the_task_itself(intents: ClassificationTask) -> None:
    label = intents.rules.paths[0][-1]
    assert fault(intents, {}, label).reason == "missing_field"
    assert correction_fault(intents, label) is None, "the input decides, and it is not here"


def test_a_transcript_is_corrected_by_its_text() -> None:
    speech = shipped("speech")
    example = taught(speech, {"hypothesis": "I no the answer"}, "I know the answer")
    assert example.target == "I know the answer"
    assert taught(speech, {"hypothesis": "a b"}, '{"corrected_transcript": "A, b."}').target == "A, b."
    low = {"original_transcript": "I no it", "error_score": 0.0, "error_types": ["nobody knows this one"]}
    assert taught(speech, low, "I know it").target == "I know it"


def test_an_answer_to_a_question_is_its_text_and_earlier_answers_are_not_learned() -> None:
    asking = shipped("environment")
    assert taught(asking, {"question": "What is peat?"}, "Peat is partly decayed plants.").target.startswith("Peat")
    turns = [
        {"role": "user", "content": "What is peat?"},
        {"role": "assistant", "content": "I do not know."},
        {"role": "user", "content": "Please tell me what peat is made of."},
    ]
    example = taught(asking, {"messages": turns}, "Peat is made of plants that decayed in wet ground.")
    assert example.target == "Peat is made of plants that decayed in wet ground."
    assert [turn["content"] for turn in example.messages][-3:] == [turn["content"] for turn in turns]


def test_a_plan_is_corrected_by_a_whole_plan() -> None:
    router = shipped("router")
    lines = (DEFS / "router" / "data" / "traces.jsonl").read_text(encoding="utf-8").splitlines()
    row = json.loads(lines[0])
    (good,) = router.examples(RawRecord(row, SourceRef("x", 1)))
    assert isinstance(good, Example)
    question = {"user_query": row["user_query"]}
    assert taught(router, question, good.target).target == good.target
    assert fault(router, question, "ask the calculator").reason == "unreadable_correction"
    assert correction_fault(router, "ask the calculator") is not None


def test_code_has_no_way_back_and_says_so() -> None:
    refused = fault(shipped("java"), {"code": "class A {}"}, "It does nothing.")
    assert refused.reason == "no_record_of_correction"
    assert "source" in refused.mend


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("text", "label", "question", "messages", "hypothesis", "user_query", "code", "tools", "answer", "context")
TASKS = {name: shipped(name) for name in ("childcare", "speech", "environment", "router", "java")}


@given(
    name=st.sampled_from(sorted(TASKS)),
    fields=st.dictionaries(st.sampled_from(NAMES), ANY_JSON, max_size=4),
    correction=st.one_of(st.text(max_size=40), ANY_JSON.map(json.dumps)),
)
def test_no_input_and_no_correction_makes_it_raise(name: str, fields: dict[str, Any], correction: str) -> None:
    task = TASKS[name]
    found = record_of_correction(task, fields, correction, "feedback:case/7")
    correction_fault(task, correction)
    if isinstance(found, dict):
        items = task.examples(RawRecord(found, SourceRef("feedback:case/7")))
        assert any(isinstance(item, Example) for item in items)
