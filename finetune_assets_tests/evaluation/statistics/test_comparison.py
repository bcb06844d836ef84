"""Pairing and comparing on the same rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.evaluation.statistics.comparison import (
    Settings,
    SliceComparison,
    both_wrong,
    compare_slices,
    fixed_rows,
    new_failures,
    pair_answers,
    slice_rows,
)
from finetune_assets.evaluation.statistics.mark_table import mark_table
from finetune_assets.evaluation.statistics.more_rows import more_rows_to_decide
from finetune_assets.evaluation.statistics.planning import rows_needed
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.evaluation.rows import EXACT, MEASURES, answer, answers_of, compare_pairs, two_models


def test_pairs_by_id_whatever_the_order() -> None:
    ours, theirs = two_models(2, 1, 3, 1)
    pairs = pair_answers(ours, list(reversed(theirs)))
    assert all(left.example_id == right.example_id for left, right in pairs)
    assert [left for left, _ in pairs] == ours
    assert fixed_rows(pairs) == ["r0000", "r0001"]
    assert new_failures(pairs) == ["r0002"]
    assert both_wrong(pairs) == ["r0006"]


def test_different_rows_are_refused() -> None:
    ours, theirs = two_models(2, 1, 3)
    for left, right in (
        (ours, theirs[:-1]),
        (ours[:-1], theirs),
        ([*ours, ours[0]], theirs),
        (ours, [*theirs, theirs[0]]),
    ):
        with pytest.raises(FinetuneError, match="did not answer the same examples"):
            pair_answers(left, right)
    other_truth = [answer(0, ("b", "y"), expected=("b", "y")), *theirs[1:]]
    with pytest.raises(FinetuneError, match="different labels"):
        pair_answers(ours, other_truth)


def test_comparison_by_hand() -> None:
    comparison = compare_pairs(pair_answers(*two_models(9, 1, 30, 10)))
    assert (comparison.rows, comparison.wins, comparison.losses) == (50, 9, 1)
    assert comparison.difference == pytest.approx(0.16)
    assert comparison.p_better == pytest.approx(11 / 1024)
    assert comparison.interval[0] < 0.16 < comparison.interval[1]
    assert comparison.confidence == pytest.approx(0.9)
    assert (comparison.better, comparison.worse) == (True, False)
    assert comparison.to_json()["shown"] == "better"
    assert compare_pairs(pair_answers(*two_models(1, 9))).to_json()["shown"] == "worse"
    assert compare_pairs(pair_answers(*two_models(3, 3))).to_json()["shown"] == "neither"
    empty = compare_pairs([])
    assert (empty.rows, empty.difference, empty.interval, empty.better, empty.worse) == (
        0,
        0.0,
        (-1.0, 1.0),
        False,
        False,
    )


@given(wins=st.integers(0, 60), losses=st.integers(0, 60), both=st.integers(0, 60))
def test_better_and_worse_exclude_each_other(wins: int, losses: int, both: int) -> None:
    ours, theirs = two_models(wins, losses, both)
    forth, back = compare_pairs(pair_answers(ours, theirs)), compare_pairs(pair_answers(theirs, ours))
    assert not (forth.better and forth.worse)
    assert (forth.better, forth.worse) == (back.worse, back.better)
    assert forth.difference == -back.difference


def _by_slice(ours: list[ScoredAnswer], theirs: list[ScoredAnswer]) -> list[SliceComparison]:
    tables = (mark_table(rows, MEASURES) for rows in (ours, theirs))
    return compare_slices(EXACT, *tables, slice_rows(ours), Settings())


def test_slices_are_corrected_for_their_number() -> None:
    # Slice "bad": 6 losses, no win, p = 1/64; three quiet slices raise it to 4/64 > .05.
    slices = [("bad",)] * 6 + [(f"quiet{index % 3}",) for index in range(9)]
    ours = answers_of([False] * 6 + [True] * 9, slices=slices)
    theirs = answers_of([True] * 15, slices=slices)
    parts = _by_slice(ours, theirs)
    assert [part.name for part in parts] == ["bad", "quiet0", "quiet1", "quiet2"]
    bad = parts[0]
    assert bad.comparison.p_worse == pytest.approx(1 / 64)
    assert bad.p_worse_holm == pytest.approx(4 / 64)
    assert not bad.worse
    assert bad.comparison.worse
    assert (bad.comparison.ours, bad.comparison.theirs, bad.comparison.difference) == (0.0, 1.0, -1.0)
    (alone,) = _by_slice(ours[:6], theirs[:6])
    assert alone.worse


def test_more_rows_are_planned_for_the_observed_difference_or_the_smallest_that_matters() -> None:
    observed = compare_pairs(pair_answers(*two_models(12, 6, 82)))
    more, effect = more_rows_to_decide(observed, smallest_difference=0.02)
    assert effect == pytest.approx(0.06)
    assert more == rows_needed(discordant_share=0.18, difference=effect) - 100
    tie = compare_pairs(pair_answers(*two_models(9, 9, 82)))
    more, effect = more_rows_to_decide(tie, smallest_difference=0.02)
    assert (more, effect) == (rows_needed(discordant_share=0.18, difference=0.02) - 100, 0.02)
    same = compare_pairs(pair_answers(*two_models(0, 0, 100)))
    assert more_rows_to_decide(same, smallest_difference=0.5) == (None, 0.5)
    assert more_rows_to_decide(compare_pairs([]), smallest_difference=0.02)[0] == rows_needed(
        discordant_share=0.02, difference=0.02
    )
