"""The trivial baselines on small sets."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from finetune_assets.evaluation.baselines import (
    majority_answers,
    nearest_answers,
    question_text,
    tfidf_logreg_answers,
    trivial_answers,
)
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.evaluation.rows import example

WORDS = {
    ("body", "balance"): "stood on one leg on the beam",
    ("body", "fine"): "threaded small beads on a string",
    ("mind", "count"): "counted seven stones aloud",
    ("mind", "sort"): "sorted buttons by their colour",
}
TRAIN = [
    example(index * 10 + turn, label, text=f"child {turn} {words} today")
    for index, (label, words) in enumerate(WORDS.items())
    for turn in range(5)
]
TEST = [example(900 + index, label, text=f"she {words}") for index, (label, words) in enumerate(WORDS.items())]


def _path(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def test_majority_answers_the_commonest_answer() -> None:
    extra = example(99, ("mind", "sort"), text="sorted lids")
    assert [_path(text) for text in majority_answers([*TRAIN, extra], TEST)] == [("mind", "sort")] * 4
    assert _path(majority_answers(TRAIN, TEST)[0]) == ("body", "balance")  # a tie: first by text


def test_tfidf_learns_what_words_tell() -> None:
    texts = tfidf_logreg_answers(TRAIN, TEST)
    assert [_path(text) for text in texts] == list(WORDS)
    assert texts == tfidf_logreg_answers(TRAIN, TEST)


def test_tfidf_answers_paths_that_were_trained_on_only() -> None:
    crossed = [example(1, ("a", "x"), text="red round"), example(2, ("b", "y"), text="blue square")]
    crossed += [example(3, ("a", "x"), text="red round ball"), example(4, ("b", "y"), text="blue square box")]
    question = [example(5, ("a", "y"), text="red square")]
    assert _path(tfidf_logreg_answers(crossed, question)[0]) in {("a", "x"), ("b", "y")}


def test_tfidf_takes_one_class_and_texts_without_words() -> None:
    train = [example(1, ("a", "x"), text="!!! ???"), example(2, ("a", "y"), text="...")]
    texts = tfidf_logreg_answers(train, [example(3, ("a", "x"), text="!!!"), example(4, ("a", "y"), text="...")])
    assert [_path(text) for text in texts] == [("a", "x"), ("a", "y")]
    assert _path(tfidf_logreg_answers(train[:1], TEST[:1])[0]) == ("a", "x")
    assert tfidf_logreg_answers(TRAIN, []) == []


def test_the_nearest_question_lends_its_answer() -> None:
    assert [_path(text) for text in nearest_answers(TRAIN, TEST)] == list(WORDS)
    assert nearest_answers(TRAIN, []) == []


def test_each_task_has_the_trivial_baselines_that_mean_something() -> None:
    assert set(trivial_answers(TRAIN, TEST, labelled=True)) == {"majority", "tfidf_logreg"}
    free = [replace(item, target=f"answer {number}") for number, item in enumerate(TRAIN)]
    asked = [replace(item, facts={"original_transcript": "as it was heard"}) for item in TEST]
    found = trivial_answers(free, asked, labelled=False)
    assert set(found) == {"majority", "nearest", "unchanged"}
    assert found["unchanged"] == ["as it was heard"] * 4


def test_no_training_rows_is_told() -> None:
    for baseline in (majority_answers, tfidf_logreg_answers, nearest_answers, partial(trivial_answers, labelled=True)):
        with pytest.raises(FinetuneError, match="no training rows"):
            baseline([], TEST)
    with pytest.raises(FinetuneError, match="differ in depth"):
        tfidf_logreg_answers([TRAIN[0], example(7, ("one",))], TEST)


def test_the_question_is_what_the_user_says() -> None:
    assert question_text(TEST[0]) == "she stood on one leg on the beam"
