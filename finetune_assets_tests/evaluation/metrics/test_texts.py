from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import corpus_bleu, corpus_chrf

from finetune_assets.evaluation.metrics.texts import (
    BLEU_WIDTH,
    CHRF_WIDTH,
    bleu,
    bleu_statistics,
    chrf,
    chrf_statistics,
    exact_match,
    keyword_share,
    length_ratio,
    normalised,
    rouge_l,
    token_f1,
)

WORDS = st.sampled_from(
    ["the", "The", "cat,", "cat", "1.5°C", "10-20", "&amp;", "“sea”", "海面", "e\u0301", "a.b", "\n"]
)
TEXT = st.lists(WORDS, max_size=14).map(" ".join) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PAIRS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5)
SCORER = RougeScorer(["rougeL"])


def summed(rows: Sequence[tuple[float, ...]]) -> np.ndarray:
    return np.sum(np.array(rows), axis=0)


def test_the_normal_form() -> None:
    assert normalised("  The\u00a0Sea\n rises ") == "the sea rises"
    assert exact_match("The sea", " the  SEA\n")
    assert not exact_match("the sea", "the sea.")


def test_token_f1_counts_every_token_as_often_as_it_occurs() -> None:
    # The source compared sets: `the the the` would have had precision 1.
    assert token_f1("the sea", "the the the") == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert token_f1("a b c d", "b c x y") == 0.5
    assert token_f1("", " ") == 1.0
    assert token_f1("a", "") == token_f1("", "a") == token_f1("a", "b") == 0.0


@given(TEXT, TEXT)
def test_rouge_l_is_that_of_rouge_score(reference: str, answer: str) -> None:
    found, theirs = rouge_l(reference, answer), SCORER.score(reference, answer)["rougeL"].fmeasure
    assert (found or 0.0) == pytest.approx(theirs, abs=1e-12)
    assert (found is None) == (SCORER.score(reference, reference)["rougeL"].fmeasure == 0)


@pytest.mark.filterwarnings("ignore")
@given(PAIRS)
def test_bleu_is_that_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    references, answers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    rows = bleu_statistics(references, answers)
    assert {len(row) for row in rows} == {BLEU_WIDTH}
    found = float(bleu(summed(rows)))
    theirs = corpus_bleu(answers, [references]).score / 100
    assert found == pytest.approx(theirs, abs=1e-12) or (np.isnan(found) and theirs == 0)


@given(PAIRS)
def test_chrf_is_that_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    references, answers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    rows = chrf_statistics(references, answers)
    assert {len(row) for row in rows} == {CHRF_WIDTH}
    found = float(chrf(summed(rows)))
    theirs = corpus_chrf(answers, [references]).score / 100
    assert found == pytest.approx(theirs, abs=1e-12) or (np.isnan(found) and theirs == 0)


def test_figures_of_many_resamples_at_once() -> None:
    references = ["the cat sat on the mat", "a dog barked at me", "the sea rises by 3 mm"]
    answers = ["the cat sat on a mat", "", "the sea rises by 3 mm a year"]
    weights = np.array([[[1, 1, 1], [2, 0, 1]], [[0, 3, 0], [0, 0, 0]]])
    for statistics, finish in ((bleu_statistics, bleu), (chrf_statistics, chrf)):
        rows = np.array(statistics(references, answers))
        figures = finish(weights @ rows)
        assert figures.shape == (2, 2)
        assert figures[0, 0] == finish(rows.sum(axis=0))
        assert figures[0, 0] < figures[0, 1]
        # Nothing answered is nothing right; nothing asked is no figure.
        assert figures[1, 0] == 0
        assert np.isnan(figures[1, 1])


@pytest.mark.soak
@given(st.lists(st.tuples(TEXT, TEXT), min_size=20, max_size=60))
def test_corpora_score_as_in_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    test_bleu_is_that_of_sacrebleu.hypothesis.inner_test(pairs)  # type: ignore[attr-defined]
    test_chrf_is_that_of_sacrebleu.hypothesis.inner_test(pairs)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("keywords", "answer", "expected"),
    [
        (["CO2", "methane"], "Mostly co2.", 0.5),
        (["sea level"], "The  Sea\nLevel rises", 1.0),
        (["rise"], "it rises", 0.0),
        (["°C"], "by 1.5°C", 1.0),
        (["海面"], "海面上昇とは", 1.0),
        (["a", "a", " A "], "a", 1.0),
        (["c++"], "C++ and C", 1.0),
        (["ice"], "twice, ice", 1.0),
        (["ice"], "twice_ice1", 0.0),
        ([" ", ""], "a", None),
        ([], "a", None),
    ],
)
def test_keywords_are_whole_words(keywords: list[str], answer: str, expected: float | None) -> None:
    assert keyword_share(keywords, answer) == expected


def test_length_ratio() -> None:
    assert length_ratio("a b", "a b c") == 1.5
    assert length_ratio(" ", "a") is None
