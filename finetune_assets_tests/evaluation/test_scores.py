"""Scores by hand: every row in every denominator."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.evaluation.scores import NO_ANSWER, confusion, label_table, score
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.evaluation.rows import LEVELS, MEASURES, answer, answers_of

ROWS = [
    answer(0, ("a", "x")),
    answer(1, ("a", "y")),
    answer(2, ("b", "x")),
    answer(3, None, problem="not_json"),
    answer(4, None, problem="timeout", answered=False),
    answer(5, ("b", "y"), expected=("b", "y"), slices=("s", "critical")),
]


def test_scores_by_hand() -> None:
    scores = score(ROWS, MEASURES)
    assert (scores.rows, scores.right) == (6, 2)
    assert scores.correct == pytest.approx(2 / 6)
    assert scores.measures == pytest.approx({"exact": 2 / 6, "domain": 3 / 6, "attribute": 3 / 6})
    assert scores.parse_rate == pytest.approx(4 / 6)
    assert scores.coverage == pytest.approx(5 / 6)
    assert scores.problems == {"not_json": 1, "timeout": 1}
    # ("a","x"): tp 1, support 5, answered 1 -> 2/6; ("b","y"): tp 1, support 1, answered 1 -> 1.
    assert scores.macro_f1 == pytest.approx((2 / 6 + 1) / 2)
    assert scores.metric("domain") == scores.measures["domain"]
    assert scores.metric("coverage") == scores.coverage
    with pytest.raises(FinetuneError, match="unknown metric"):
        scores.metric("rows")


def test_an_empty_test_set_never_looks_good() -> None:
    scores = score([], MEASURES)
    assert (scores.correct, scores.macro_f1, scores.parse_rate, scores.coverage) == (0.0, None, 0.0, 0.0)
    assert scores.measures == {"exact": None, "domain": None, "attribute": None}


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_breaking_an_answer_never_raises_a_score(pattern: list[bool]) -> None:
    rows = answers_of(pattern)
    before = score(rows, MEASURES)
    after = score([answer(0, None), *rows[1:]], MEASURES)
    assert after.rows == before.rows
    assert after.correct <= before.correct
    assert after.macro_f1 is not None
    assert before.macro_f1 is not None
    assert after.macro_f1 <= before.macro_f1
    assert after.parse_rate < before.parse_rate
    assert all((after.metric(level) or 0) <= (before.metric(level) or 0) for level in LEVELS)


def test_confusion_counts_every_row() -> None:
    table = confusion(ROWS, LEVELS, "domain")
    assert table == {
        "level": "domain",
        "labels": ["a", "b"],
        "columns": ["a", "b", NO_ANSWER],
        "counts": [[2, 1, 2], [0, 1, 0]],
    }
    assert sum(map(sum, confusion(ROWS, LEVELS, "attribute")["counts"])) == len(ROWS)
    assert confusion([], LEVELS, "domain")["counts"] == []
    with pytest.raises(FinetuneError, match="unknown label level"):
        confusion(ROWS, LEVELS, "colour")


def test_label_table_puts_the_costliest_first() -> None:
    first, second = label_table(ROWS)
    assert first["label"] == "a / x"
    assert (first["rows"], first["right"], first["recall"], first["precision"]) == (5, 1, 0.2, 1.0)
    assert (first["confused_with"], first["confused_rows"]) == (NO_ANSWER, 2)
    assert (second["label"], second["right"], second["f1"], second["confused_with"]) == ("b / y", 1, 1.0, "")
    (never,) = label_table([answer(0, None)])
    assert never["precision"] is None
