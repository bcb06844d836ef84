"""Sample sizes against simulation and against the tables of the normal formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.evaluation.statistics.exact import mcnemar_exact, wilson_interval
from finetune_assets.evaluation.statistics.planning import mcnemar_power, rows_needed, rows_needed_for_floor


def _simulated_power(rows: int, discordant_share: float, difference: float, trials: int = 4000) -> float:
    win_share = (discordant_share + difference) / 2
    draws = np.random.default_rng(2).multinomial(
        rows, [win_share, discordant_share - win_share, 1 - discordant_share], size=trials
    )
    pairs, how_often = np.unique(draws[:, :2], axis=0, return_counts=True)
    shown = [mcnemar_exact(int(wins), int(losses)).p_better <= 0.05 for wins, losses in pairs]
    return float(how_often[shown].sum() / trials)


@pytest.mark.parametrize(("share", "difference"), [(0.05, 0.05), (0.1, 0.045), (0.2, 0.11), (0.5, 0.1), (1.0, 0.4)])
def test_the_rows_asked_for_give_the_power_promised(share: float, difference: float) -> None:
    rows = rows_needed(discordant_share=share, difference=difference)
    exact = mcnemar_power(rows, discordant_share=share, difference=difference)
    simulated = _simulated_power(rows, share, difference)
    assert simulated == pytest.approx(exact, abs=4 * math.sqrt(0.16 / 4000))
    assert 0.8 <= exact < 0.9
    fewer = mcnemar_power(rows * 8 // 10, discordant_share=share, difference=difference)
    assert fewer < 0.8


@pytest.mark.parametrize(("rows", "share", "difference"), [(300, 0.1, 0.045), (1000, 0.2, 0.035), (5000, 0.05, 0.008)])
def test_rows_agree_with_the_published_size(rows: int, share: float, difference: float) -> None:
    """Minimum detectable gains of the exact test, rounded to three places: so within an eighth of the rows."""
    assert rows_needed(discordant_share=share, difference=difference) == pytest.approx(rows, rel=0.125)


@given(share=st.floats(0.02, 1.0), part=st.floats(0.1, 1.0))
def test_a_smaller_difference_takes_more_rows(share: float, part: float) -> None:
    larger = rows_needed(discordant_share=share, difference=share * part)
    smaller = rows_needed(discordant_share=share, difference=share * part * 0.5)
    assert larger < smaller


def test_huge_plans_fall_back_to_the_formula() -> None:
    rows = rows_needed(discordant_share=0.1, difference=0.0005)
    assert rows == pytest.approx((1.6449 + 0.8416) ** 2 * 0.1 / 0.0005**2, rel=1e-3)


def test_planning_refuses_the_impossible() -> None:
    for share, difference in ((0.1, 0.2), (0.1, 0.0), (1.5, 0.1)):
        with pytest.raises(ValueError, match="difference"):
            rows_needed(discordant_share=share, difference=difference)
    assert mcnemar_power(0, discordant_share=0.1, difference=0.1) == 0.0


@given(successes=st.integers(41, 50), floor=st.floats(0.5, 0.8))
def test_rows_for_a_floor_lift_the_lower_bound_to_it(successes: int, floor: float) -> None:
    rows = rows_needed_for_floor(successes, 50, floor)
    assert rows is not None
    # Wilson's bound at the same share, the rows taken as real numbers: reached with these rows, not with one fewer.
    share = successes / 50
    assert _lower(share, rows) >= floor - 1e-12
    assert rows == 1 or _lower(share, rows - 1) < floor


def _lower(share: float, rows: int) -> float:
    return wilson_interval(share * rows, rows, confidence=0.9)[0]  # type: ignore[arg-type]


def test_no_rows_lift_a_share_below_its_floor() -> None:
    assert rows_needed_for_floor(40, 50, 0.8) is None
    assert rows_needed_for_floor(30, 50, 0.8) is None
