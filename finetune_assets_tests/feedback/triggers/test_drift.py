"""Drift: what is found, what is not, small cells, few rows, and how often there is a false alarm."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from finetune_assets.feedback.triggers.decide import decide
from finetune_assets.feedback.triggers.drift import OTHERS, SMALL_CELL, drift_tests, pooled
from finetune_assets.feedback.triggers.policy import Drift, TriggerPolicy
from finetune_assets.records.digests import canonical_json
from finetune_assets_tests.feedback.triggers.made import window

CONFIG = Drift()
REFERENCE = {"sleep": 250, "food": 200, "play": 50}


def test_other_answers_are_drift_and_equal_ones_are_not() -> None:
    steady = drift_tests(window(labels={"sleep": 502, "food": 398, "play": 100}, reference_labels=REFERENCE), CONFIG)
    moved = drift_tests(window(labels={"sleep": 100, "food": 400, "play": 500}, reference_labels=REFERENCE), CONFIG)
    assert [test.state for test in steady + moved] == ["steady", "drifted"]
    assert moved[0].effect == pytest.approx(0.4)
    assert moved[0].figures["shares"]["play"] == [0.5, 0.1]


@pytest.mark.parametrize(("name", "power"), [("g_test", "log-likelihood"), ("chi_square", "pearson")])
def test_the_labels_test_is_scipys(name: str, power: str) -> None:
    live = {"sleep": 300, "food": 180, "play": 70}
    found = drift_tests(window(labels=live, reference_labels=REFERENCE), Drift(labels=name))[0]  # type: ignore[arg-type]
    table = [[live[label], REFERENCE[label]] for label in sorted(live)]
    assert found.p_value == pytest.approx(chi2_contingency(table, correction=False, lambda_=power).pvalue)


def test_a_small_difference_is_not_acted_on_however_many_rows_show_it() -> None:
    live = {"sleep": 530_000, "food": 370_000, "play": 100_000}
    judged = {label: 1000 * count for label, count in REFERENCE.items()}
    found = drift_tests(window(predictions=10**6, labels=live, reference_labels=judged), CONFIG)[0]
    assert found.p_holm is not None
    assert found.p_holm < 1e-6
    assert found.state == "steady"


def test_rare_labels_are_counted_together() -> None:
    live = {f"rare_{number:03d}": 1 for number in range(80)} | {"sleep": 500}
    judged = {f"rare_{number:03d}": 1 for number in range(40)} | {"sleep": 260, "food": 2}
    cells = pooled(live, judged)
    assert [label for label, _ in cells] == ["sleep", OTHERS]
    assert sum(pair[0] for _, pair in cells) == sum(live.values())
    assert sum(pair[1] for _, pair in cells) == sum(judged.values())


def test_every_cell_expects_enough_or_there_is_one_cell() -> None:
    generator = np.random.default_rng(3)
    for _ in range(300):
        sides = [
            {
                f"l{label}": int(n)
                for label, n in enumerate(generator.negative_binomial(1, 0.05, generator.integers(1, 12)))
            }
            for _ in range(2)
        ]
        cells = pooled(sides[0], sides[1])
        totals = [sum(side.values()) for side in sides]
        if len(cells) > 1:
            assert min(sum(pair) * min(totals) / sum(totals) for _, pair in cells) >= SMALL_CELL
        assert [sum(pair[side] for _, pair in cells) for side in (0, 1)] == totals


def test_one_answer_only_is_no_drift_and_a_new_one_is() -> None:
    same = drift_tests(window(labels={"sleep": 900}, reference_labels={"sleep": 300}), CONFIG)[0]
    new = drift_tests(window(labels={"other": 900}, reference_labels={"sleep": 300}), CONFIG)[0]
    assert (same.state, same.p_value, new.state, new.effect) == ("steady", 1.0, "drifted", 1.0)


def features(generator: np.random.Generator, shift: float, rows: int = 1000) -> dict[str, list[float]]:
    return {"length": list(generator.normal(80 + shift, 20, rows)), "words": list(generator.poisson(15, rows) * 1.0)}


@pytest.mark.parametrize("name", ["ks", "cramer_von_mises"])
def test_longer_inputs_are_drift(name: str) -> None:
    generator = np.random.default_rng(1)
    moved = window(inputs=features(generator, 15), reference_inputs=features(generator, 0))
    found = {test.name: test for test in drift_tests(moved, Drift(inputs=name))}  # type: ignore[arg-type]
    assert {key: test.state for key, test in found.items()} == {
        "labels": "steady",
        "input:length": "drifted",
        "input:words": "steady",
    }
    figures = found["input:length"].figures
    assert figures["wasserstein"] == pytest.approx(15, abs=3)
    assert len(figures["edges"]) == len(figures["bars"]["live"]) + 1
    assert sum(figures["bars"]["live"]) == 1000
    assert canonical_json([test.to_json() for test in found.values()])


def test_too_few_rows_say_what_is_missing() -> None:
    scarce = window(labels={"sleep": 163}, inputs={"length": [1.0] * 300}, reference_inputs={"length": [1.0] * 199})
    asks = TriggerPolicy.model_validate({"fire_when": {"any": ["label_drift", "input_drift"]}})
    assert decide(scarce, asks).reasons == (
        "need 37 more live rows for labels",
        "need 1 more judged row for input:length",
    )


def test_values_that_are_no_number_are_left_out() -> None:
    values = [1.0, 2.0] * 200
    odd = window(inputs={"length": [*values, float("inf")]}, reference_inputs={"length": values})
    assert drift_tests(odd, CONFIG)[1].rows == (400, 400)


def test_drift_fires_by_its_rule_and_names_the_feature() -> None:
    generator = np.random.default_rng(2)
    moved = window(inputs=features(generator, 15), reference_inputs=features(generator, 0))
    decision = decide(moved, TriggerPolicy(fire_when="input_drift"))
    assert decision.fires
    assert decision.reasons[0].startswith("the inputs drifted: input:length differ by 0.")
    assert not decide(moved, TriggerPolicy(fire_when="label_drift")).fires


def false_alarms(windows: int) -> int:
    """Count windows with any alarm where nothing drifted: labels, a normal, a discrete and a skewed feature."""
    generator, config, alarms = np.random.default_rng(7), Drift(alpha=0.05, min_effect=0.0), 0
    for _ in range(windows):
        sides = []
        for rows in (600, 300):
            labels = generator.choice(["a", "b", "c", "d", "e"], rows, p=[0.5, 0.3, 0.15, 0.04, 0.01])
            drawn = {
                "normal": list(generator.normal(0, 1, rows)),
                "count": list(generator.poisson(3, rows) * 1.0),
                "skew": list(generator.lognormal(0, 1, rows)),
            }
            sides.append(({str(name): int((labels == name).sum()) for name in "abcde"}, drawn))
        still = window(
            labels=sides[0][0], inputs=sides[0][1], reference_labels=sides[1][0], reference_inputs=sides[1][1]
        )
        alarms += any(test.state == "drifted" for test in drift_tests(still, config))
    return alarms


def test_false_alarms_keep_their_level() -> None:
    assert false_alarms(200) <= 18  # 5 % of 200, and three standard deviations


@pytest.mark.soak
def test_false_alarms_keep_their_level_over_many_windows() -> None:
    assert false_alarms(4000) <= 241  # 5 % of 4,000, and three standard deviations
