"""The adaptive threshold: source 001's factors, bounds and five points, held against its own procedure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.feedback.triggers.adaptive import adapted_threshold, slope
from finetune_assets.feedback.triggers.decide import decide
from finetune_assets.feedback.triggers.policy import Adaptive, TriggerPolicy
from finetune_assets_tests.feedback.triggers.made import window

ON = Adaptive(enabled=True)
GOOD = {"gain": 0.02, "cost_usd": 0.1, "accuracy": 0.8}


def test_it_is_off_by_default() -> None:
    poor = tuple({"gain": 0.0, "cost_usd": 100.0} for _ in range(50))
    assert adapted_threshold(poor, 100, Adaptive()).threshold == 100
    assert decide(window(open_cases=100, history=poor), TriggerPolicy()).fires


def test_it_takes_five_points() -> None:
    poor = [{"gain": 0.0, "cost_usd": 100.0}] * 10
    assert adapted_threshold(poor[:4], 100, ON).threshold == 100
    assert adapted_threshold(poor[:5], 100, ON).threshold == 179  # 100 x 1.2 x 1.15 x 1.3 = 179.4


@pytest.mark.parametrize(
    ("last", "threshold"),
    [
        ({}, 90),  # a good gain
        ({"gain": 0.007}, 120),  # falling, and no longer good
        ({"gain": 0.004}, 156),  # diminishing and small: 1.2 x 1.3
        ({"cost_usd": 10.0}, 103),  # poor efficiency and a good gain: 1.15 x 0.9
        ({"accuracy": 0.7}, 85),  # declining by 0.02 a release, and a good gain: 0.95 x 0.9
        ({"accuracy": 0.9}, 99),  # improving, and a good gain: 1.1 x 0.9
    ],
)
def test_each_factor(last: dict[str, float], threshold: int) -> None:
    history = [GOOD, GOOD, GOOD, {**GOOD, "gain": last.get("gain", 0.02)}, {**GOOD, **last}]
    assert adapted_threshold(history, 100, ON).threshold == threshold


def test_steady_gains_that_are_neither_small_nor_good_leave_it() -> None:
    assert adapted_threshold([{**GOOD, "gain": 0.007}] * 5, 100, ON).threshold == 100


def test_the_bounds_hold() -> None:
    poor, good = [{"gain": 0.0, "cost_usd": 100.0}] * 60, [GOOD] * 60
    assert adapted_threshold(poor, 100, ON).threshold == 1000
    assert adapted_threshold(good, 100, ON).threshold == 50


def test_the_rule_says_that_its_threshold_adapted() -> None:
    asks = TriggerPolicy(adaptive=ON)
    decision = decide(window(open_cases=100, corrected_cases=1, history=({"gain": 0.0, "cost_usd": 100.0},) * 5), asks)
    assert not decision.fires
    assert "need 79 more error cases" in decision.reasons
    rule = decision.evidence["rules"][0]
    assert rule["text"] == "100 open error cases, threshold 179 (adapted from 100)"
    assert rule["figures"]["steps"][0]["factors"]["small_gain"] == 1.3


@given(st.lists(st.floats(-1, 1), max_size=12))
def test_the_slope_is_numpys(values: list[float]) -> None:
    expected = np.polyfit(range(len(values)), values, 1)[0] if len(values) > 1 else 0.0
    assert slope(values) == pytest.approx(expected, abs=1e-9)


releases = st.fixed_dictionaries(
    {"gain": st.floats(-0.1, 0.1)}, optional={"cost_usd": st.floats(0, 100), "accuracy": st.floats(0, 1)}
)


@given(st.lists(releases, max_size=15))
@settings(max_examples=200, deadline=None)
def test_it_stays_within_its_bounds_and_depends_on_nothing_else(history: list[dict[str, float]]) -> None:
    found = adapted_threshold(history, 100, ON)
    assert found == adapted_threshold(list(history), 100, ON)
    assert 50 <= found.threshold <= 1000
    assert len(found.steps) == max(0, len(history) - 4)
