"""The trivial baselines on small sets."""

from __future__ import annotations

import pytest

from finetune_assets.evaluation.baselines import majority_answers, question_text, tfidf_logreg_answers
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


def test_majority_answers_the_commonest_label() -> None:
    extra = example(99, ("mind", "sort"), text="sorted lids")
    rows = majority_answers([*TRAIN, extra], TEST)
    assert {row.predicted for row in rows} == {("mind", "sort")}
    assert [row.correct for row in rows] == [False, False, False, True]
    assert all(row.valid and row.answered for row in rows)
    assert [row.example_id for row in rows] == [item.example_id for item in TEST]
    assert majority_answers(TRAIN, TEST)[0].predicted == ("body", "balance")  # a tie: first by name


def test_tfidf_learns_what_words_tell() -> None:
    rows = tfidf_logreg_answers(TRAIN, TEST)
    assert [row.predicted for row in rows] == list(WORDS)
    assert all(row.correct for row in rows)
    assert rows == tfidf_logreg_answers(TRAIN, TEST)


def test_tfidf_answers_legal_paths_only() -> None:
    legal = [("body", "balance"), ("mind", "count"), ("mind", "never seen"), ("mind", "count", "extra")]
    rows = tfidf_logreg_answers(TRAIN, TEST, legal_paths=legal)
    assert {row.predicted for row in rows} <= {*WORDS, ("mind", "count")}
    # A combination that no training row has may be answered when it is legal.
    crossed = [example(1, ("a", "x"), text="red round"), example(2, ("b", "y"), text="blue square")] * 1
    crossed += [example(3, ("a", "x"), text="red round ball"), example(4, ("b", "y"), text="blue square box")]
    question = [example(5, ("a", "y"), text="red square")]
    known = tfidf_logreg_answers(crossed, question, legal_paths=[("a", "y")])
    assert known[0].predicted in {("a", "x"), ("b", "y"), ("a", "y")}


def test_tfidf_takes_one_class_and_texts_without_words() -> None:
    train = [example(1, ("a", "x"), text="!!! ???"), example(2, ("a", "y"), text="...")]
    rows = tfidf_logreg_answers(train, [example(3, ("a", "x"), text="!!!"), example(4, ("a", "y"), text="...")])
    assert [row.predicted for row in rows] == [("a", "x"), ("a", "y")]
    one = tfidf_logreg_answers(train[:1], TEST[:1])
    assert one[0].predicted == ("a", "x")
    assert tfidf_logreg_answers(TRAIN, []) == []


def test_no_training_rows_is_told() -> None:
    for baseline in (majority_answers, tfidf_logreg_answers):
        with pytest.raises(FinetuneError, match="no training rows"):
            baseline([], TEST)
    with pytest.raises(FinetuneError, match="differ in depth"):
        tfidf_logreg_answers([TRAIN[0], example(7, ("one",))], TEST)


def test_the_question_is_what_the_user_says() -> None:
    assert question_text(TEST[0]) == "she stood on one leg on the beam"
