"""The statistics against scipy, scikit-learn, closed forms and seeded simulation."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from finetune_assets.evaluation.statistics.exact import (
    bootstrap_macro_f1,
    holm,
    macro_f1,
    mcnemar_exact,
    wilson_interval,
)

counts = st.integers(min_value=0, max_value=400)


@given(wins=counts, losses=counts)
def test_mcnemar_equals_scipys_exact_binomial_test(wins: int, losses: int) -> None:
    test = mcnemar_exact(wins, losses)
    total = wins + losses
    if total == 0:
        assert (test.p_better, test.p_worse, test.p_two_sided) == (1.0, 1.0, 1.0)
        return
    assert test.p_better == pytest.approx(binomtest(wins, total, alternative="greater").pvalue, rel=1e-9)
    assert test.p_worse == pytest.approx(binomtest(wins, total, alternative="less").pvalue, rel=1e-9)
    assert test.p_two_sided == pytest.approx(binomtest(wins, total).pvalue, rel=1e-9)


def test_mcnemar_by_hand() -> None:
    # 5 wins, no loss: 1/32. 4 wins, 1 loss: (1 + 5) / 32.
    assert mcnemar_exact(5, 0).p_better == pytest.approx(1 / 32)
    assert mcnemar_exact(4, 1).p_better == pytest.approx(6 / 32)
    assert mcnemar_exact(4, 1).p_worse == pytest.approx(31 / 32)
    assert mcnemar_exact(4, 1).p_two_sided == pytest.approx(12 / 32)


@given(wins=counts, losses=counts)
def test_mcnemar_mirrors(wins: int, losses: int) -> None:
    assert mcnemar_exact(wins, losses).p_better == mcnemar_exact(losses, wins).p_worse


def test_mcnemar_is_fast_and_right_at_a_million() -> None:
    mcnemar_exact(1, 1)  # the import is not what is timed
    start = time.perf_counter()
    test = mcnemar_exact(501_000, 499_000)
    assert time.perf_counter() - start < 0.1
    # Normal tail with continuity correction: (501000 - 0.5 - 500000) / 500.
    normal = 0.5 * math.erfc((999.5 / 500) / math.sqrt(2))
    assert test.p_better == pytest.approx(normal, rel=1e-3)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 3)


@given(rows=st.integers(0, 500), data=st.data())
def test_wilson_equals_scipys(rows: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, rows))
    low, high = wilson_interval(successes, rows, confidence=0.9)
    if rows == 0:
        assert (low, high) == (0.0, 1.0)
        return
    known = binomtest(successes, rows).proportion_ci(confidence_level=0.9, method="wilson")
    assert (low, high) == pytest.approx((known.low, known.high), abs=1e-12)
    assert 0.0 <= low <= successes / rows <= high <= 1.0


def test_wilson_refuses_impossible_counts() -> None:
    with pytest.raises(ValueError, match="3 successes in 2 rows"):
        wilson_interval(3, 2)


def test_holm_by_hand() -> None:
    # Holm's own steps: 3 x .01, then max(.03, 2 x .02) = .04, then max(.04, .04).
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_laws(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(raw <= new <= 1.0 for raw, new in zip(p_values, adjusted, strict=True))
    assert all(new <= min(1.0, len(p_values) * raw) + 1e-15 for raw, new in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    assert [adjusted[index] for index in order] == sorted(adjusted)


def test_holm_keeps_the_family_wise_error() -> None:
    generator = np.random.default_rng(7)
    families = generator.uniform(size=(2000, 20))
    plain = np.mean(families.min(axis=1) <= 0.05)
    corrected = np.mean([min(holm(list(family))) <= 0.05 for family in families])
    assert plain > 0.55  # uncorrected, two of three families raise a false alarm
    assert corrected <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


labels = st.sampled_from(["a", "b", "c", "d"])


@given(st.lists(st.tuples(labels, st.one_of(labels, st.none())), min_size=1, max_size=60))
def test_macro_f1_equals_scikit_learns(rows: list[tuple[str, str | None]]) -> None:
    expected = [truth for truth, _ in rows]
    predicted = [guess for _, guess in rows]
    known = f1_score(
        expected,
        [guess or "none" for guess in predicted],
        labels=sorted(set(expected)),
        average="macro",
        zero_division=0,
    )
    assert macro_f1(expected, predicted) == pytest.approx(known)


def test_macro_f1_of_nothing_is_nothing() -> None:
    assert macro_f1([], []) == 0.0
    with pytest.raises(ValueError, match="1 expected labels and 0 predicted"):
        macro_f1(["a"], [])


def test_bootstrap_of_macro_f1_agrees_with_drawing_rows() -> None:
    generator = np.random.default_rng(5)
    expected = generator.choice(list("abcde"), size=240)
    candidate = np.where(generator.uniform(size=240) < 0.85, expected, generator.choice(list("abcdef"), size=240))
    baseline = np.where(generator.uniform(size=240) < 0.7, expected, None)
    found = bootstrap_macro_f1(list(expected), list(candidate), list(baseline), resamples=3000, seed=1)
    values = []
    for _ in range(1000):
        pick = generator.integers(0, 240, size=240)
        values.append(
            macro_f1(list(expected[pick]), list(candidate[pick])) - macro_f1(list(expected[pick]), list(baseline[pick]))
        )
    assert found == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])), abs=0.012)
    assert found[0] < macro_f1(list(expected), list(candidate)) - macro_f1(list(expected), list(baseline)) < found[1]


def test_bootstrap_of_one_models_macro_f1() -> None:
    # Forty rows without a fault are no proof of a model without one: 1 - 1.645 sqrt(2) / 42.
    assert bootstrap_macro_f1(["a", "b"] * 20, ["a", "b"] * 20, resamples=200) == pytest.approx((0.9446, 1.0), abs=1e-4)
    assert bootstrap_macro_f1(["a", "b"] * 20, [None] * 40, resamples=200) == pytest.approx((0.0, 0.0554), abs=1e-4)
    assert bootstrap_macro_f1([], []) == (0.0, 1.0)
    assert bootstrap_macro_f1([], [], []) == (-1.0, 1.0)
    expected, guess = ["a", "b"] * 20, ["a", "b"] * 15 + ["b", "a"] * 5
    first = bootstrap_macro_f1(expected, guess, resamples=300, seed=4)
    assert first == bootstrap_macro_f1(expected, guess, resamples=300, seed=4)
    assert first[0] < 0.75 < first[1]
