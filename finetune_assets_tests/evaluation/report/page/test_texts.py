"""Answers as people read them: fields a line each, words that differ marked, nothing lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.evaluation.report.page.html import table
from finetune_assets.evaluation.report.page.texts import answer, shortened
from finetune_assets_tests.evaluation.report.page.cases import Seen


def test_words_that_differ_and_places_where_words_are_missing_are_marked() -> None:
    told = answer("the cat sat on mat", "a cat sat on the mat")
    assert told == ('<mark>the</mark> cat sat on <mark title="words are missing here">∅</mark> mat')


def test_fields_are_compared_by_name_and_not_by_place() -> None:
    told = answer('{"level": "Refining", "main_area": "balance"}', '{"main_area": "balance", "level": "Emerging"}')
    assert "<mark>Refining</mark>" in told
    assert '<span class="dim">main area: </span>balance' in told


def test_without_a_right_answer_nothing_is_marked() -> None:
    assert "<mark" not in answer("one two") + answer('{"a": 1}')
    assert "(no answer)" in answer("  ")


def test_a_nested_or_broken_answer_is_shown_as_its_words() -> None:
    for text in ('{"steps": [1, 2]}', '{"a": ', "[" * 100_000, '["a"]', "{}"):
        assert Seen(answer(text)).words.startswith(shortened(text)[:100])


@given(st.text(st.sampled_from("ab <>&")), st.text(st.sampled_from("ab <>&")))
def test_every_word_of_an_answer_is_shown(text: str, right: str) -> None:
    words = Seen(answer(text, right)).words.split()
    assert [word for word in words if word != "∅"] == (text.split() or ["(no", "answer)"])


def test_cells_of_texts_carry_their_heading_for_narrow_screens() -> None:
    made = table("texts", ("record", "question"), [("r1", "why?")], class_="texts")
    assert '<th scope="row" data-label="record">r1</th><td data-label="question">why?</td>' in made
