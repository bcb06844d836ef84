"""Reading answers: what is cut off is known as cut off, nothing is repaired, no text is too odd or too long."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.task_types.answers import find_list, find_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=3).map(lambda value: {**value, "a": 1})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not_json"),
        ("null", "not_an_object"),
        ("```json\nnull\n```", "not_json"),
        ("3", "not_an_object"),
        ("{“a”: 1}", "not_json"),  # smart quotes are not repaired
        ("{'a': 1}", "not_json"),
        ('{"a":1,}', "not_json"),
        ("{", "truncated"),
        ('{"a"', "truncated"),
        ('{"a": ', "truncated"),
        ('{"a": tru', "truncated"),
        ('{"a": -', "truncated"),
        ('{"a": 1.', "truncated"),
        ('{"a": 1', "truncated"),
        ('{"a": "half of a wo', "truncated"),
        ('{"a": "\\', "truncated"),
        ('{"a": "\\u00', "truncated"),
        ('Sure:\n```json\n{"a": [1, 2,\n', "truncated"),
        ('{"x": {"a": 1}, "y": [', "truncated"),  # an inner object is no answer
        ('{"x": {"a": 1}, y}', "not_json"),
        ('{"x": {"a": 1}, "x": 2}', "not_json"),
        ('{"x": {"a": 1}, "y": NaN}', "not_json"),
        ('{"x": {"a": 1}} and more', "missing_key"),
        ('{"a": ' + "9" * 5000 + "}", "not_json"),
        ('{"b":"' + "y" * 200_000, "too_long"),
        ('{"b":"' + "y" * 200_000 + '"}', "too_long"),
    ],
)
def test_what_is_wrong_is_told(text: str, problem: str) -> None:
    assert find_object(text, ["a"]) == (None, problem)


@pytest.mark.parametrize(
    "text",
    [
        '\ufeff{"a": 1}',
        '\ufeff```json\n{"a": 1}\n```',
        '````md\n```json\n{"a": 1}\n```\n````',
        '```\n```json\n{"a": 1}\n```\n```',
        '~~~\n{"a": 1}\n~~~',
        'First {"b": 2}, then {"a": 1}, then {"a": 3}',
        "{curly} braces, {“a”: 0} and " + '{"a": 1}',
        '{"a": 1}' + " blah" * 100_000,
        '```json\n{"a": 1}',
    ],
)
def test_the_answer_is_found(text: str) -> None:
    assert find_object(text, ["a"]) == ({"a": 1}, "")


def test_a_fence_within_a_string_is_no_answer() -> None:
    answer = {"a": "```\n{}\n```", "b": "```json\n[]\n```"}
    for text in (json.dumps(answer), f"```json\n{json.dumps(answer)}\n```"):
        assert find_object(text, ["a"]) == (answer, "")
    assert find_list('[{"code": "```[]```"}, ') == (None, "truncated")
    assert find_list('[{"steps": [{"x": 1}], ') == (None, "truncated")


@given(answer=OBJECTS, before=st.text(alphabet="ab \n`'.,", max_size=20), fenced=st.booleans())
def test_any_object_is_found_whole_and_never_in_part(answer: dict[str, object], before: str, fenced: bool) -> None:
    body = json.dumps(answer)
    text = f"{before}\n```json\n{body}\n```\n" if fenced and "`" not in before else f"{before}{body}"
    assert find_object(text, ["a"]) == (answer, "")


@given(answer=OBJECTS, data=st.data())
def test_every_beginning_of_an_answer_is_truncated(answer: dict[str, object], data: st.DataObject) -> None:
    body = json.dumps(answer, ensure_ascii=data.draw(st.booleans()))
    cut = data.draw(st.integers(1, len(body) - 1))
    assert find_object(body[:cut], ["a"]) == (None, "truncated")
    assert find_object("Here it is: " + body[:cut], ["a"]) == (None, "truncated")


@settings(max_examples=300)
@given(text=st.text(max_size=80) | st.text(alphabet='{}[]",:`\\au0 \n\ufefftrenl', max_size=80))
def test_no_text_is_too_odd(text: str) -> None:
    for found, problem in (find_object(text, ["a"]), find_list(text)):
        assert (problem == "") == (found is not None)
    for again in (json.dumps({"a": text}), json.dumps([{"a": text}])):
        assert find_object(again, ["a"])[1] in ("", "not_an_object")


@pytest.mark.parametrize(
    "piece",
    ["{", "[", '{"a":', '{"', '"{', "```", "```\n", "``` ", " ", '{"b":1} ', '{"b":1,"b":2} ', "\\", "[1,", "[}"],
)
def test_a_megabyte_costs_no_more_than_its_length(piece: str) -> None:
    began = time.process_time()
    for text in (piece * (1_000_000 // len(piece)), "```" + piece * (1_000_000 // len(piece))):
        find_object(text, ["a"])
        find_list(text)
    assert time.process_time() - began < 2.0  # 54 seconds once, for a fence and blanks
