"""Resampling against plain loops, scipy and enumeration."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import bootstrap, permutation_test
from sklearn.metrics import f1_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.evaluation.statistics.draws import resampled_sums
from finetune_assets.evaluation.statistics.exact import holm, mcnemar_exact, micro_f1, wilson_interval
from finetune_assets.evaluation.statistics.mark_table import mark_table
from finetune_assets.evaluation.statistics.more_rows import more_rows_for_margin
from finetune_assets.evaluation.statistics.resampling import (
    bootstrap_gain,
    bootstrap_value,
    gain,
    percentile,
    row_spread,
    rows_that_clear,
    sign_flip,
)
from finetune_assets.evaluation.statistics.score_interval import rows_for_margin, score_difference
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.measure import Measure
from finetune_assets_tests.evaluation.rows import answer, compare_pairs, two_models

MEAN = Measure("token_f1", "token F1", "mean")
RATE = Measure("wer", "word error rate", "rate", higher_is_better=False)


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(sums[..., 0], sums[..., 2], out=np.zeros(np.shape(sums[..., 0])), where=sums[..., 2] > 0)


CORPUS = Measure("bleu", "BLEU", "corpus", width=3, finish=_ratio)


def _ones(values: Any) -> NDArray[np.float64]:
    return np.column_stack([values, np.ones(len(values))])


def _rates(rows: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    words = generator.integers(3, 21, rows)
    return tuple(np.column_stack([generator.binomial(words, rate), words]).astype(float) for rate in (0.1, 0.15))  # type: ignore[return-value]


@pytest.mark.parametrize("rows", [40, 3000])
def test_sums_of_resamples_have_the_spread_of_drawn_rows(rows: int) -> None:
    generator = np.random.default_rng(1)
    grouped = generator.integers(0, 4, size=(rows, 2)).astype(float)
    drawn = generator.random((rows, 3))
    for table in (grouped, drawn, _ones(drawn[:, 0]), drawn[:, [0, 1, 0, 2, 1]]):
        sums = np.concatenate(list(resampled_sums(table, 3000, 2)))
        assert sums.shape == (3000, table.shape[1])
        assert sums.mean(axis=0) == pytest.approx(table.sum(axis=0), rel=0.02)
        # A column without spread has the same sum in every resample.
        assert sums.std(axis=0) == pytest.approx(math.sqrt(rows) * table.std(axis=0), rel=0.08)


def test_the_interval_of_a_mean_is_scipys_bca_but_for_the_room_for_rows_unseen() -> None:
    generator = np.random.default_rng(4)
    moved = np.where(generator.random(400) < 0.1, -generator.random(400), 0.02)
    ours, theirs = _ones(0.5 + moved), _ones(np.full(400, 0.5))
    low, high = bootstrap_gain(MEAN, ours, theirs, resamples=4000)
    known = bootstrap((moved,), np.mean, confidence_level=0.9, n_resamples=4000, method="BCa", rng=generator)
    unseen, mean = 1.6449 * math.sqrt(2) / 402, float(moved.mean())
    assert mean - low == pytest.approx(math.hypot(mean - known.confidence_interval.low, unseen), rel=0.05)
    assert high - mean == pytest.approx(math.hypot(known.confidence_interval.high - mean, unseen), rel=0.05)


def test_a_gain_is_positive_where_fewer_errors_are_better() -> None:
    ours, theirs = _rates(300)
    assert gain(RATE, ours, theirs) > 0
    low, high = bootstrap_gain(RATE, ours, theirs, resamples=500)
    assert low < gain(RATE, ours, theirs) < high
    assert sign_flip(RATE, ours, theirs).p_better < 0.01
    back = sign_flip(RATE, theirs, ours)
    assert (back.p_worse, back.p_better) == (
        sign_flip(RATE, ours, theirs).p_better,
        sign_flip(RATE, ours, theirs).p_worse,
    )


def test_a_corpus_measure_is_resampled_by_its_sums() -> None:
    generator = np.random.default_rng(0)
    table = np.column_stack([generator.integers(3, 9, 200), generator.integers(0, 3, 200), np.full(200, 10)]).astype(
        float
    )
    worse = table - [1.0, 0.0, 0.0]
    assert gain(CORPUS, table, worse) == pytest.approx(0.1)
    low, high = bootstrap_gain(CORPUS, table, worse, resamples=300)
    assert 0.08 < low < 0.1 < high < 0.12
    assert sign_flip(CORPUS, table, worse, resamples=300).p_better <= 2 / 301
    assert row_spread(CORPUS, table, worse) == pytest.approx(0.0, abs=1e-9)


def test_the_sign_flip_of_few_rows_counts_every_swap() -> None:
    ours, theirs = _ones([0.9, 0.8, 0.4, 0.7, 0.5]), _ones([0.5, 0.6, 0.6, 0.2, 0.5])
    found = sign_flip(MEAN, ours, theirs)
    moved = (ours - theirs)[:4, 0]
    flipped = [float(np.dot(signs, moved)) for signs in itertools.product((1, -1), repeat=4)]
    assert found.exact
    assert found.p_better == sum(value >= moved.sum() - 1e-9 for value in flipped) / 16
    assert found.p_worse == sum(value <= moved.sum() + 1e-9 for value in flipped) / 16


@pytest.mark.parametrize("rows", [10, 60])
def test_the_sign_flip_equals_scipys_permutation_test(rows: int) -> None:
    generator = np.random.default_rng(rows)
    one, other = generator.random(rows), generator.random(rows) * 0.9
    found = sign_flip(MEAN, _ones(one), _ones(other), resamples=20_000)
    known = permutation_test(
        (one, other),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        alternative="greater",
        n_resamples=20_000,
        vectorized=True,
        rng=generator,
    )
    assert found.p_better == pytest.approx(known.pvalue, abs=1e-9 if rows == 10 else 0.015)


def test_nothing_to_compare_says_nothing() -> None:
    none = np.zeros((0, 2))
    assert bootstrap_gain(MEAN, none, none) == (-math.inf, math.inf)
    assert bootstrap_value(MEAN, none) == (-math.inf, math.inf)
    assert (sign_flip(MEAN, none, none).p_better, sign_flip(MEAN, none, none).p_worse) == (1.0, 1.0)
    assert math.isnan(row_spread(MEAN, _ones([1.0]), _ones([0.0])))
    without = np.zeros((5, 2))  # rows without words: no rate
    assert bootstrap_value(RATE, without) == (0.0, math.inf)
    assert math.isnan(gain(RATE, without, without))
    assert percentile(np.array([np.nan]), 0.9) == (-math.inf, math.inf)


def test_equal_rows_are_no_certainty() -> None:
    same = _ones(np.ones(60))
    low, high = bootstrap_gain(MEAN, same, same, resamples=200)
    assert (low, high) == pytest.approx((-0.0375, 0.0375), abs=1e-4)
    assert bootstrap_value(MEAN, same, resamples=200)[0] == pytest.approx(1 - 0.0375, abs=1e-4)


def test_the_order_of_rows_changes_an_interval_only_as_another_seed_does() -> None:
    ours, theirs = _rates(400)
    order = np.random.default_rng(1).permutation(400)
    first = bootstrap_gain(RATE, ours, theirs, seed=3)
    assert first == bootstrap_gain(RATE, ours, theirs, seed=3)
    # Rows that are equal are drawn together, so that whole numbers give the very same interval in any order.
    assert bootstrap_gain(RATE, ours[order], theirs[order], seed=3) == pytest.approx(first, abs=0.002)


def test_rows_that_clear_bring_the_bound_there() -> None:
    generator = np.random.default_rng(2)
    for spread, room in ((0.3, 0.05), (0.0, 0.05), (0.05, 0.02)):
        rows = rows_that_clear(spread, room)
        moved = generator.normal(0.0, spread, rows)
        moved = (moved - moved.mean()) / (moved.std() or 1.0) * spread
        low, _ = bootstrap_gain(MEAN, _ones(0.5 + moved), _ones(np.full(rows, 0.5)), resamples=3000)
        assert -low == pytest.approx(room, rel=0.08)


def test_rows_for_a_margin_lift_the_bound_above_it() -> None:
    for wins, losses, rows, margin in ((0, 0, 20, 0.05), (2, 3, 60, 0.05), (10, 10, 200, 0.02)):
        needed = rows_for_margin(wins, losses, rows, margin)
        assert needed is not None
        if not wins:
            assert score_difference(0, 0, needed)[0] > -margin >= score_difference(0, 0, needed - 1)[0]
    assert rows_for_margin(0, 3, 60, 0.05) is None
    assert rows_for_margin(0, 0, 0, 0.05) is None
    same = compare_pairs(list(zip(*two_models(0, 0, 20), strict=True)))
    more = more_rows_for_margin(same, 0.05)
    assert more is not None
    assert score_difference(0, 0, 20 + more)[0] > -0.05


def test_the_score_interval_by_hand_and_by_law() -> None:
    assert score_difference(0, 0, 0) == (-1.0, 1.0)
    low, high = score_difference(9, 1, 50)
    assert low < 0.16 < high
    assert score_difference(1, 9, 50) == pytest.approx((-high, -low))
    with pytest.raises(ValueError, match="in 3 rows"):
        score_difference(2, 2, 3)
    # Wide where rows are few.
    assert score_difference(1, 1, 2)[0] < -0.8


@pytest.mark.parametrize(("wins", "losses"), [(0, 1), (9, 1), (14, 30), (200, 170)])
def test_mcnemar_equals_statsmodels(wins: int, losses: int) -> None:
    known = mcnemar([[5, wins], [losses, 7]], exact=True)
    assert mcnemar_exact(wins, losses).p_two_sided == pytest.approx(float(known.pvalue), rel=1e-9)


def test_wilson_and_holm_equal_statsmodels() -> None:
    for hits, rows in ((0, 5), (3, 7), (99, 100), (50, 50)):
        known = proportion_confint(hits, rows, alpha=0.1, method="wilson")
        assert wilson_interval(hits, rows, confidence=0.9) == pytest.approx(known, abs=1e-12)
    p_values = list(np.random.default_rng(0).random(20) ** 3)
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_micro_f1_equals_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    expected, guess = (
        list(generator.choice(list("abc"), 90)),
        [None if draw == "-" else str(draw) for draw in generator.choice(list("abcd-"), 90)],
    )
    known = f1_score(expected, [item or "-" for item in guess], labels=list("abcd"), average="micro")
    assert micro_f1(expected, guess) == pytest.approx(known)


def test_a_mark_table_holds_what_applies() -> None:
    rows = [
        ScoredAnswer("1", "r1", (), (), True, True, "", True, stats={"wer": (0.0, 4.0), "token_f1": (1.0, 1.0)}),
        ScoredAnswer("2", "r2", (), (), True, True, "", True, stats={"wer": (2.0, 0.0)}),
        ScoredAnswer("3", "r3", (), (), True, True, "", True, stats={"wer": (0.0, 0.0)}),
    ]
    table = mark_table(rows, [RATE, MEAN])
    assert table.applies["wer"].tolist() == [True, True, False]  # words out of silence count, silence does not
    assert table.applies["token_f1"].tolist() == [True, False, False]
    assert (table.value(RATE), table.value(MEAN), table.value(MEAN, np.array([1]))) == (0.5, 1.0, None)
    assert mark_table([], [RATE]).value(RATE) is None


@pytest.mark.parametrize("bad", [(1.0,), (1.0, 2.0, 3.0), (math.nan, 1.0), (1.0, math.inf)])
def test_what_is_no_mark_is_refused_by_its_record(bad: tuple[float, ...]) -> None:
    rows = [answer(0, ("a", "x")), ScoredAnswer("2", "r0002", (), (), True, True, "", True, stats={"token_f1": bad})]
    with pytest.raises(FinetuneError, match="no mark") as caught:
        mark_table(rows, [MEAN])
    assert "r0002" in caught.value.where
