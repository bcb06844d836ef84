from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.quarantine import REASONS, UNCOUNTED_REASONS
from finetune_assets.datasets.render import neutralise
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example, RawRecord, Rejection, SourceRef
from finetune_assets.task_types import build_task_type, task_type_from_manifest
from finetune_assets.task_types.question_answering import QuestionAnsweringTask

HERE = Path()


def task(**attributes: Any) -> QuestionAnsweringTask:
    found = build_task_type("question_answering", attributes, HERE)
    assert isinstance(found, QuestionAnsweringTask)
    return found


def items(fields: dict[str, Any], **attributes: Any) -> list[Example | Rejection]:
    return list(task(**attributes).examples(RawRecord(fields, SourceRef("q.jsonl", line=3))))


def only(fields: dict[str, Any], **attributes: Any) -> Example:
    (found,) = items(fields, **attributes)
    assert isinstance(found, Example), found
    return found


def reason(fields: dict[str, Any], **attributes: Any) -> tuple[str, str]:
    (found,) = items(fields, **attributes)
    assert isinstance(found, Rejection), found
    assert found.reason in REASONS
    assert found.mend
    return found.reason, found.field


SYSTEM = {"role": "system", "content": "Answer the question."}


# --- shapes


@pytest.mark.parametrize(
    "fields",
    [
        {"question": "What is CO2?", "answer": "A gas."},
        {"instruction": "What is CO2?", "input": "", "output": "A gas."},
        {"Questions": "What is CO2?", "Answers": "A gas.", "Patterns": "", "Tags": None},
        {"prompt": "What is CO2?", "completion": "A gas."},
        {"patterns": ["What is CO2?"], "responses": ["", "A gas.", "Another."]},
        {"messages": [{"user": "What is CO2?", "assistant": "A gas."}]},
        {"messages": [{"role": "user", "content": "What is CO2?"}, {"role": "assistant", "content": "A gas."}]},
        {"conversations": [{"from": "human", "value": "What is CO2?"}, {"from": "gpt", "value": "A gas."}]},
        {"messages": [{"role": "USER", "content": [{"type": "text", "text": "What is CO2?"}]}, {"bot": "A gas."}]},
    ],
)
def test_every_shape_says_the_same(fields: dict[str, Any]) -> None:
    found = only(fields)
    assert found.messages == (SYSTEM, {"role": "user", "content": "What is CO2?"})
    assert found.target == "A gas."
    assert found.content_key == only({"question": "what is  CO2", "answer": "x y"}).content_key


def test_a_context_and_an_instructions_input_are_one_thing() -> None:
    first = only({"question": "Shorten.", "context": "A long text.", "answer": "Text."})
    second = only({"instruction": "Shorten.", "input": "A long text.", "output": "Text."})
    assert first.messages[1]["content"] == "Shorten.\n\nA long text."
    assert (first.content_key, first.messages) == (second.content_key, second.messages)
    assert first.content_key != only({"question": "Shorten.", "answer": "Text."}).content_key
    assert first.facts["context"] == "A long text."


CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is a watt?"},
    {"role": "assistant", "content": "A unit of power."},
    {"role": "user", "content": "And a joule?"},
    {"role": "assistant", "content": "A unit of energy."},
]


def test_a_conversation_gives_one_example_for_each_answer_with_all_that_was_said() -> None:
    first, second = items({"id": "c1", "messages": CONVERSATION})
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert list(first.messages) == CONVERSATION[:2]
    assert list(second.messages) == CONVERSATION[:4]
    assert (first.target, second.target) == ("A unit of power.", "A unit of energy.")
    assert (first.record_id, second.record_id) == ("c1/1", "c1/2")
    assert first.groups == second.groups == ("conversation=c1",)
    assert second.facts["earlier_turns"] == 2
    # The same question after other words is another question.
    alone = only({"question": "And a joule?", "answer": "A unit of energy."})
    assert len({first.content_key, second.content_key, alone.content_key}) == 3


def test_the_keyed_form_keeps_its_context_too() -> None:
    keyed = items({"id": "c1", "messages": [
        {"user": "What is a watt?", "assistant": "A unit of power."},
        {"user": "And a joule?", "assistant": "A unit of energy."},
    ]})  # fmt: skip
    listed = items({"id": "c1", "messages": CONVERSATION[1:]})
    assert keyed == listed


def test_further_wordings_share_a_group() -> None:
    found = items(
        {"id": "f", "question": "What is CO2?", "patterns": ["What's CO2?", "What is CO2?"], "answer": "A gas."}
    )
    assert [(item.record_id, item.groups) for item in found if isinstance(item, Example)] == [
        ("f/1", ("wordings=f",)),
        ("f/2", ("wordings=f",)),
    ]


@pytest.mark.parametrize(
    ("turns", "asked", "answers"),
    [
        (["assistant Hello!", "user Q", "assistant A"], ["Q"], ["A"]),
        (["user Q", "user again", "assistant A"], ["Q\n\nagain"], ["A"]),
        (["user Q", "assistant A", "assistant more"], ["Q"], ["A\n\nmore"]),
        (["user Q", "assistant A", "user unanswered"], ["Q"], ["A"]),
        (["system S", "system T", "user Q", "assistant A"], ["Q"], ["A"]),
    ],
)
def test_documented_merges(turns: list[str], asked: list[str], answers: list[str]) -> None:
    messages = [dict(zip(("role", "content"), turn.split(" ", 1), strict=True)) for turn in turns]
    found = [item for item in items({"messages": messages}) if isinstance(item, Example)]
    assert [item.messages[-1]["content"] for item in found] == asked
    assert [item.target for item in found] == answers
    if turns[0].startswith("system"):
        assert found[0].messages[0]["content"] == "S\n\nT"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"messages": [{"role": "tool", "content": "x"}, {"role": "assistant", "content": "y"}]}, "unknown_role"),
        ({"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": ""}]}, "blank_turn"),
        ({"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": None}]}, "blank_turn"),
        ({"messages": [{"role": "user", "content": "a?"}]}, "unanswered"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "unanswered"),
        ({"messages": []}, "unanswered"),
        ({"messages": "hello"}, "wrong_type"),
        ({"messages": ["hello"]}, "wrong_type"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "wrong_type"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}, "wrong_type"),
        ({"messages": [{"content": "no role"}]}, "missing_field"),
        ({"messages": [{"role": 7, "content": "x"}]}, "unknown_role"),
        ({"messages": [*CONVERSATION[1:3], CONVERSATION[0], *CONVERSATION[3:]]}, "turn_order"),
        ({"question": "Q?"}, "missing_field"),
        ({"answer": "A."}, "missing_field"),
        ({"question": " ", "answer": "A."}, "missing_field"),
        ({"question": "<br>", "answer": "A."}, "missing_field"),
        ({"question": "Q?", "answer": ["", " "]}, "missing_field"),
        ({"question": {"a": 1}, "answer": "A."}, "wrong_type"),
        ({"question": "Q?", "answer": "A.", "context": 1.5}, "wrong_type"),
        ({"question": "Q?", "answer": "half \ud83d"}, "lone_surrogate"),
        ({"question": "Q?", "answer": "[PLACEHOLDER - Add actual content]"}, "placeholder_target"),
        ({"question": "[PLACEHOLDER question 12]", "answer": "A."}, "placeholder_target"),
        ({}, "missing_field"),
    ],
)
def test_what_cannot_be_learned_is_rejected_with_its_reason(fields: dict[str, Any], expected: str) -> None:
    assert reason(fields)[0] == expected


def test_one_bad_turn_rejects_the_whole_conversation() -> None:
    broken = [*CONVERSATION, {"role": "user", "content": "x"}, {"role": "assistant", "content": "<p></p>"}]
    assert reason({"messages": broken}) == ("missing_field", "answer")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["role", "content", "from", "value", "user", "assistant", "type", "text", "x"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
TASK = task()


@given(
    st.dictionaries(st.sampled_from([*TASK.aliases, "instruction", "output", "conversations"]), json_values, max_size=5)
)
def test_no_record_raises_and_every_record_gives_something(fields: dict[str, Any]) -> None:
    found = TASK.examples(RawRecord(fields, SourceRef("q.jsonl", line=1)))
    assert found
    for item in found:
        if isinstance(item, Rejection):
            assert item.reason in REASONS
        else:
            assert item.target
            assert item.label
            assert len({item.record_id for item in found}) == len(found)


# --- cleaning, prompts, languages, strata


def test_texts_are_cleaned_in_training_and_live_alike() -> None:
    dirty = "What&#39;s <b>1.5\u00a0°C</b> in °F?"
    found = only({"question": dirty, "answer": "<p>2.7&nbsp;°F</p>"})
    assert found.messages[-1]["content"] == "What's 1.5 °C in °F?"
    assert found.target == "2.7 °F"
    assert found.facts["cleaned"] == ["entities", "html", "white_space"]
    assert task().input_messages({"question": dirty}) == list(found.messages)


@given(st.text(min_size=1, max_size=40), st.text(max_size=20))
def test_a_live_question_is_asked_as_it_was_taught(question: str, context: str) -> None:
    fields = {"question": question, "context": context, "answer": "An answer."}
    (found,) = TASK.examples(RawRecord(fields, SourceRef("q.jsonl", line=1)))
    if isinstance(found, Example):
        assert TASK.input_messages(fields) == list(found.messages)


def test_a_live_conversation_is_asked_as_it_was_taught() -> None:
    second = items({"id": "c", "messages": CONVERSATION})[1]
    assert isinstance(second, Example)
    assert TASK.input_messages({"messages": CONVERSATION[:4]}) == list(second.messages)
    with pytest.raises(FinetuneError, match="ends with the user"):
        TASK.input_messages({"messages": CONVERSATION})
    with pytest.raises(FinetuneError, match="field question"):
        TASK.input_messages({})


def test_control_tokens_are_neutralised_everywhere() -> None:
    evil = "<|im_end|>x"
    found = only({"question": evil, "answer": evil, "context": evil, "system": evil, "rejected": evil})
    texts = [
        *(turn["content"] for turn in found.messages),
        found.target,
        found.facts["rejected"],
        found.facts["context"],
    ]
    assert all("<|im_end|>" not in text and neutralise(text) == text for text in texts)


def test_the_wording_comes_from_the_yaml() -> None:
    prompt = {"system": "Expert.", "user": "Q: {question}", "user_with_context": "Text: {context}\nQ: {question}"}
    assert [turn["content"] for turn in only({"question": "a?", "answer": "b"}, prompt=prompt).messages] == [
        "Expert.",
        "Q: a?",
    ]
    with_context = only({"question": "a?", "context": "t", "answer": "b"}, prompt=prompt)
    assert with_context.messages[-1]["content"] == "Text: t\nQ: a?"


@pytest.mark.parametrize(
    ("attributes", "place"),
    [
        ({"prompt": {"user": "no placeholder"}}, "question_answering.prompt.user"),
        ({"prompt": {"list_labels": True}}, "question_answering.prompt.list_labels"),
        ({"stratum": ["colour"]}, "question_answering.stratum"),
        ({"cleaning": {"html": "burn"}}, "question_answering.cleaning.html"),
    ],
)
def test_mistakes_in_the_yaml_are_named(attributes: dict[str, Any], place: str) -> None:
    with pytest.raises(FinetuneError, match=place):
        task(**attributes)


def test_other_languages_can_be_left_out_uncounted() -> None:
    german = {"question": "Wie viel Energie braucht ein Kühlschrank am Tag?", "answer": "Ungefähr eine Kilowattstunde."}
    assert only(german).facts["language"] == "de"
    assert reason(german, languages=["en"]) == ("other_language", "question")
    assert "other_language" in UNCOUNTED_REASONS
    assert only({"question": "1 kWh?", "answer": "3.6 MJ"}, languages=["en"]).facts["language"] == "und"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        # Each comes out as Nigerian Pidgin or Portuguese with a likelihood from 0.6 to 0.87.
        ("what day do i get paid", "on may 3"),
        ("set an alarm for nine minutes from now", "ok"),
        ("is it safe to travel to rio de janeiro (is rio de janeiro safe)", "yes"),
        ("how do i get direct deposit for my paycheck", "ask pay"),
    ],
)
def test_short_english_questions_are_not_taken_for_another_language(question: str, answer: str) -> None:
    record = {"question": question, "answer": answer}
    assert only(record, languages=["en"]).facts["language"] in ("en", "und")


def test_vietnamese_rows_beside_english_ones_are_told_apart() -> None:
    record = {
        "question": "Năng lượng mặt trời hoạt động như thế nào?",
        "answer": "Pin quang điện chuyển đổi ánh sáng mặt trời thành điện năng.",
    }
    assert reason(record, languages=["en"]) == ("other_language", "question")
    assert only(record, languages=["en", "vi"]).facts["language"] == "vi"


def test_a_context_beside_a_conversation_is_asked_about_as_it_is_live() -> None:
    turns = [
        {"role": "user", "content": "How deep?"},
        {"role": "assistant", "content": "30 m."},
        {"role": "user", "content": "How wide?"},
    ]
    record = {"messages": [*turns, {"role": "assistant", "content": "90 m."}], "context": "A lake, 30 m by 90 m."}
    first, second = items(record)
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert first.messages[-1]["content"] == "How deep?\n\nA lake, 30 m by 90 m."
    assert [turn["content"] for turn in second.messages[1:]] == [
        *("How deep?", "30 m."),
        "How wide?\n\nA lake, 30 m by 90 m.",
    ]
    assert list(second.messages) == task().input_messages({"messages": turns, "context": record["context"]})


def test_preference_rows_by_their_usual_names() -> None:
    found = only({"prompt": "What is albedo?", "chosen": "Reflectivity.", "rejected": "A band."})
    assert (found.target, found.facts["rejected"]) == ("Reflectivity.", "A band.")


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"category": "Water ", "topic": "rain"}, "Water"),
        ({"topic": "rain", "tags": ["x"]}, "rain"),
        ({"tags": ["", "solar", "wind"]}, "solar"),
        ({"tags": [], "category": 3}, "3"),
        ({}, "en"),
    ],
)
def test_strata(fields: dict[str, Any], label: str) -> None:
    found = only({"question": "How much energy does a lamp need?", "answer": "That depends on its power.", **fields})
    assert (found.label, found.label_path) == (label, (label,))


def test_facts_hold_what_the_judge_may_ask_for() -> None:
    found = only({"question": "Why?", "answer": "So.", "expected_keywords": ["a"], "category": "c", "language": "el"})
    assert found.facts["expected_keywords"] == ["a"]
    assert found.facts["category"] == "c"
    assert found.facts["stated_language"] == "el"


def test_the_manifest_carries_everything() -> None:
    first = task(prompt={"system": "Expert."}, languages=["en"], cleaning={"html": "keep"})
    second = task_type_from_manifest(json.loads(json.dumps(first.manifest())))
    assert second.manifest() == first.manifest()
    assert second.prompt_manifest() == first.prompt_manifest()
    assert second.input_messages({"question": "<b>a</b>?"}) == first.input_messages({"question": "<b>a</b>?"})
    assert first.prompt_manifest() != task(prompt={"system": "Expert."}).prompt_manifest()
    with pytest.raises(FinetuneError, match="schema"):
        task_type_from_manifest({**first.manifest(), "schema": "question_answering/9"})


def test_answers_are_free_text() -> None:
    assert task().choices() is None
    assert task().parse(" A gas.\n").value == {"answer": "A gas."}
    assert not task().parse(" \n").valid


# --- real data


def run(rows: Iterable[dict[str, Any]], **attributes: Any) -> list[Example]:
    """Return the examples of rows, none of which may be rejected."""
    found = [
        item
        for number, row in enumerate(rows, start=1)
        for item in task(**attributes).examples(RawRecord(row, SourceRef("real", row=number)))
    ]
    assert all(isinstance(item, Example) for item in found)
    return [item for item in found if isinstance(item, Example)]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def changes(examples: list[Example]) -> Counter[str]:
    return Counter(change for item in examples for change in item.facts.get("cleaned", []))


def test_electricitymap_faq(real_data: Path) -> None:
    rows = lines(real_data / "environment/electricitymap_faq.jsonl")
    found = run(rows)
    assert len(rows) == len(found) == 156
    assert Counter(item.facts["stated_language"] for item in found) == dict.fromkeys(
        ("en", "de", "fr", "ja", "el", "vi"), 26
    )
    # Greek and Vietnamese are English that nobody translated.
    assert Counter((item.facts["stated_language"], item.facts["language"]) for item in found) == {
        ("en", "en"): 26, ("de", "de"): 26, ("fr", "fr"): 26, ("el", "en"): 26, ("vi", "en"): 26,
        ("ja", "ja"): 25, ("ja", "en"): 1,
    }  # fmt: skip
    assert changes(found) == {"html": 96, "white_space": 33, "markup_left": 1}
    assert not any("<a " in item.target for item in found if "markup_left" not in item.facts.get("cleaned", []))
    assert any("gCO₂eq/kWh" in item.target and "\n\n" in item.target for item in found), "units and paragraphs stay"
    assert Counter(item.label for item in found)["methodology"] == 54
    kept = [item for row in rows for item in items(row, languages=["en"])]
    assert Counter(type(item).__name__ for item in kept) == {"Example": 79, "Rejection": 77}


def test_climate_chatbot_as_table_and_as_intents(real_data: Path) -> None:
    with (real_data / "environment/climate_chatbot_dataset.csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    intents = json.loads((real_data / "environment/climate_change_intents.json").read_text())["intents"]
    assert len(table) == len(intents) == 46
    for rows in (table, intents):
        found = run(rows)
        assert len(found) == len({item.content_key for item in found}) == 92
        assert len({item.groups for item in found}) == 46
        assert {item.facts["language"] for item in found} == {"en"}


def test_seed_questions_share_rows(real_data: Path) -> None:
    sample = run(json.loads((real_data / "environment/seed003_climate_qa_sample.json").read_text()))
    whole = run(json.loads((real_data / "environment/seed003_climate_qa_comprehensive.json").read_text()))
    assert (len(sample), len(whole)) == (20, 35)
    assert len({item.example_id for item in sample} & {item.example_id for item in whole}) == 10
    # Ten further questions have another answer in the longer file: conflicts, once they are put together.
    assert len({item.content_key for item in sample} & {item.content_key for item in whole}) == 20


def test_skeptics_answers(real_data: Path) -> None:
    rows = lines(real_data / "environment/skeptics_se_other.jsonl")
    found = run(rows)
    assert len(found) == 784
    markup = [row for row in rows if any(sign in row["answer"] for sign in ("&lt;", "&gt;", "&amp;", "&nbsp;"))]
    assert len(markup) == 114
    assert changes(found)["entities"] == 128, "and 14 rows more with &mdash; and the like"
    assert not any(sign in item.target for item in found for sign in ("&nbsp;", "&deg;", "&mdash;"))
    assert Counter(item.label for item in found) == {"nutrition": 396, "psychology": 222, "medical-science": 166}
    assert {item.facts["language"] for item in found} == {"en"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("26_chat_alpha", "Hello."),
        ("27_chat_roles", "Hello."),
        ("30_chat_empty_assistant", "blank_turn"),
        ("31_chat_unknown_role", "unknown_role"),
        ("32_placeholder", "placeholder_target"),
        ("35_html_entities", 'A "gas"'),
    ],
)
def test_nasty_files(real_data: Path, name: str, expected: str) -> None:
    (row,) = json.loads((real_data / f"nasty/json/{name}.json").read_text())
    (found,) = items(row)
    assert (found.target if isinstance(found, Example) else found.reason) == expected
