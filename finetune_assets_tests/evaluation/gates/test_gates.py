"""Verdicts: what passes, what fails, what cannot be told; and how often chance passes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.evaluation.config import CriticalConfig, GateConfig
from finetune_assets.evaluation.gates.verdict import GateResult, Verdict, gate_names
from finetune_assets.evaluation.statistics.planning import mcnemar_power
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.evaluation.rows import answer, answers_of, judge, two_models

QUICK = GateConfig(resamples=200, forgetting=None)


def gate(verdict: Verdict, name: str) -> GateResult:
    found = verdict.gate(name)
    assert found is not None, f"no gate {name}"
    return found


def test_a_better_candidate_passes() -> None:
    verdict = judge(*two_models(30, 5, 60, 5), QUICK)
    assert verdict.verdict == "PASS"
    assert [item.name for item in verdict.gates] == [
        "rows", "coverage", "baseline_coverage", "parse_rate", "beats_baseline", "critical", "slices",
    ]  # fmt: skip
    assert gate_names(QUICK.model_copy(update={"beat": ()})) == [item.name for item in verdict.gates]
    assert {item.verdict for item in verdict.gates} == {"PASS"}
    assert verdict.more_rows_needed is None
    improvement = gate(verdict, "beats_baseline")
    assert improvement.observed == pytest.approx(0.25)
    assert improvement.p_value is not None
    assert improvement.p_value < 0.001
    assert improvement.interval is not None
    assert improvement.interval[0] > 0


def test_a_worse_candidate_fails() -> None:
    verdict = judge(*two_models(5, 30, 60, 5), QUICK)
    assert verdict.verdict == "FAIL"
    assert gate(verdict, "beats_baseline").verdict == "FAIL"
    assert "worse than the baseline" in gate(verdict, "beats_baseline").reason


def test_an_undecided_candidate_is_told_how_many_rows_decide() -> None:
    verdict = judge(*two_models(12, 6, 82), QUICK)
    assert verdict.verdict == "INCONCLUSIVE"
    more = gate(verdict, "beats_baseline").more_rows_needed
    assert more is not None
    assert verdict.more_rows_needed == more
    assert f"About {more} more test rows" in gate(verdict, "beats_baseline").reason
    # With that many rows and the same shares a decision comes four times in five.
    assert mcnemar_power(100 + more, discordant_share=0.18, difference=0.06) == pytest.approx(0.8, abs=0.02)


def test_equal_answers_are_undecided_not_passed() -> None:
    verdict = judge(*two_models(0, 0, 2000), QUICK)
    assert verdict.verdict == "INCONCLUSIVE"
    assert verdict.more_rows_needed is None
    assert "a real difference is probably smaller" in gate(verdict, "beats_baseline").reason


def test_an_empty_test_set_passes_nothing() -> None:
    config = GateConfig(
        floor={"exact": 0.0, "macro_f1": 0.0}, critical=CriticalConfig(), min_parse_rate=0.0, min_coverage=0.0
    )
    verdict = judge([], [], config, trivial={"majority": []})
    assert verdict.verdict == "INCONCLUSIVE"
    passed = {item.name for item in verdict.gates if item.verdict == "PASS"}
    assert passed == {"slices"}  # no slice is declared by any row; every other gate cannot tell
    assert gate(verdict, "rows").more_rows_needed == 30


def test_too_few_rows_never_pass() -> None:
    verdict = judge(*two_models(29, 0), QUICK)
    assert gate(verdict, "beats_baseline").verdict == "PASS"
    assert verdict.verdict == "INCONCLUSIVE"
    assert gate(verdict, "rows").more_rows_needed == 1
    assert judge(*two_models(30, 0), QUICK).verdict == "PASS"


def _broken(rows: list[ScoredAnswer], count: int, **changes: Any) -> list[ScoredAnswer]:
    return [answer(index, None, **changes) if index < count else row for index, row in enumerate(rows)]


def test_timeouts_fail_the_candidate_and_are_wrong() -> None:
    ours, theirs = two_models(60, 0, 40)
    verdict = judge(_broken(ours, 1, problem="timeout", answered=False), theirs, QUICK)
    assert verdict.verdict == "FAIL"
    coverage = gate(verdict, "coverage")
    assert (coverage.verdict, coverage.observed) == ("FAIL", 0.99)
    assert "99 of 100" in coverage.reason
    assert "timeout 1" in coverage.reason
    assert gate(verdict, "beats_baseline").observed == pytest.approx(0.59)
    assert gate(verdict, "parse_rate").verdict == "FAIL"


def test_unparsable_answers_fail_by_the_parse_rate_alone() -> None:
    ours, theirs = two_models(60, 0, 140)
    one = judge(_broken(ours, 1), theirs, QUICK)
    assert (gate(one, "parse_rate").observed, one.verdict) == (0.995, "PASS")
    two = judge(_broken(ours, 2), theirs, QUICK)
    assert (gate(two, "parse_rate").verdict, gate(two, "coverage").verdict, two.verdict) == ("FAIL", "PASS", "FAIL")


def test_a_baseline_that_was_not_measured_in_full_cannot_be_beaten() -> None:
    ours, theirs = two_models(60, 0, 40)
    verdict = judge(ours, _broken(theirs, 1, problem="timeout", answered=False), QUICK)
    assert gate(verdict, "baseline_coverage").verdict == "INCONCLUSIVE"
    assert verdict.verdict == "INCONCLUSIVE"
    # A baseline that writes rubbish was measured: an untuned base does just that.
    assert judge(ours, _broken(theirs, 60), QUICK).verdict == "PASS"


@pytest.mark.parametrize(
    ("right", "floor", "expected"),
    [(95, 0.8, "PASS"), (83, 0.8, "INCONCLUSIVE"), (79, 0.8, "FAIL"), (100, 1.0, "INCONCLUSIVE")],
)
def test_a_floor_takes_the_lower_bound(right: int, floor: float, expected: str) -> None:
    ours, theirs = two_models(right, 0, 0, 100 - right)
    for metric in ("exact", "domain"):
        verdict = judge(ours, theirs, GateConfig(floor={metric: floor}, resamples=200))
        found = gate(verdict, f"floor:{metric}")
        assert (found.verdict, found.observed) == (expected, right / 100)
        assert found.interval is not None
        assert found.interval[0] < right / 100
        assert verdict.verdict == expected


def test_a_floor_says_how_many_rows_would_reach_it() -> None:
    ours, theirs = two_models(83, 0, 0, 17)
    found = gate(judge(ours, theirs, GateConfig(floor={"exact": 0.8})), "floor:exact")
    # z^2 p0 (1 - p0) / (p - p0)^2 = 2.7055 * .16 / .0009
    assert found.more_rows_needed == 481 - 100


def test_a_floor_on_macro_f1_is_by_bootstrap() -> None:
    expected = [("a", "x"), ("b", "y")] * 50
    ours = [answer(i, path if i % 10 else None, expected=path, problem="not_json") for i, path in enumerate(expected)]
    theirs = [answer(i, ("c", "z"), expected=path) for i, path in enumerate(expected)]

    def outcome(floor: float) -> str:
        config = GateConfig(floor={"macro_f1": floor}, min_parse_rate=0.5, resamples=500)
        return gate(judge(ours, theirs, config), "floor:macro_f1").verdict

    assert [outcome(floor) for floor in (0.8, 0.94, 0.97)] == ["PASS", "INCONCLUSIVE", "FAIL"]


def test_an_unknown_floor_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(FinetuneError, match=r"floor\.colour") as caught:
        judge(*two_models(1, 0), GateConfig(floor={"colour": 0.5}))
    assert "domain" in caught.value.expected


@pytest.mark.parametrize(
    ("wins", "losses", "both", "asked", "expected"),
    [
        (40, 0, 60, 0.1, "PASS"),
        (40, 20, 940, 0.1, "FAIL"),  # shown to be better, by far less than asked
        (12, 2, 86, 0.12, "INCONCLUSIVE"),
        (5, 4, 91, 0.5, "FAIL"),
        (12, 6, 82, 0.05, "INCONCLUSIVE"),  # reaches what is asked, but chance explains it
        (0, 20, 80, 0.05, "FAIL"),
    ],
)
def test_a_gain_that_is_asked_must_be_reached(wins: int, losses: int, both: int, asked: float, expected: str) -> None:
    found = gate(judge(*two_models(wins, losses, both), GateConfig(min_improvement=asked)), "beats_baseline")
    assert (found.verdict, found.threshold) == (expected, asked)
    assert (found.more_rows_needed is not None) == (expected == "INCONCLUSIVE")


def test_trivial_baselines_must_be_beaten_too() -> None:
    ours, theirs = two_models(40, 0, 60)
    strong = answers_of([True] * 100)
    verdict = judge(ours, theirs, QUICK, trivial={"majority": theirs, "tfidf_logreg": strong})
    assert (gate(verdict, "beats_majority").verdict, verdict.verdict) == ("PASS", "PASS")
    assert verdict.gate("beats_tfidf_logreg") is None  # reported, not asked for
    both = GateConfig(beat=("majority", "tfidf_logreg"), resamples=200)
    assert judge(ours, theirs, both, trivial={"majority": theirs, "tfidf_logreg": strong}).verdict == "INCONCLUSIVE"
    missing = judge(ours, theirs, both, trivial={"majority": theirs})
    assert gate(missing, "beats_tfidf_logreg").verdict == "INCONCLUSIVE"
    ours, theirs = two_models(40, 0, 0, 60)
    worse = judge(ours, theirs, QUICK, trivial={"majority": strong})
    assert (gate(worse, "beats_majority").verdict, worse.verdict) == ("FAIL", "FAIL")


def _critical(ours: list[bool], theirs: list[bool], allowed: int = 0) -> Verdict:
    slices = [("critical",)] * 5 + [()] * (len(ours) - 5)
    config = GateConfig(critical=CriticalConfig(max_new_failures=allowed), resamples=200)
    return judge(answers_of(ours, slices=slices), answers_of(theirs, slices=slices), config)


def test_one_new_critical_failure_fails_a_far_better_candidate() -> None:
    ours = [True, False, False, True, True] + [True] * 95
    theirs = [True, True, False, False, True] + [False] * 95
    verdict = _critical(ours, theirs)
    critical = gate(verdict, "critical")
    assert (verdict.verdict, critical.verdict, critical.observed) == ("FAIL", "FAIL", 1)
    assert critical.records == ("r0001",)  # r0002 is wrong in both: no regression
    assert "1 are wrong in both" in critical.reason
    assert _critical(ours, theirs, allowed=1).verdict == "PASS"
    assert _critical([True] * 100, theirs).verdict == "PASS"


def test_a_critical_rule_without_rows_protects_nothing() -> None:
    config = GateConfig(critical=CriticalConfig(slice="safety"), resamples=200)
    verdict = judge(*two_models(40, 0, 60), config)
    assert (gate(verdict, "critical").verdict, verdict.verdict) == ("INCONCLUSIVE", "INCONCLUSIVE")


def test_a_slice_that_is_shown_to_be_worse_fails_while_the_total_rises() -> None:
    slices = [("night",)] * 20 + [("day",)] * 180
    ours = answers_of([False] * 20 + [True] * 180, slices=slices)
    theirs = answers_of([True] * 20 + [False] * 180, slices=slices)
    verdict = judge(ours, theirs, QUICK)
    assert gate(verdict, "beats_baseline").verdict == "PASS"
    assert (gate(verdict, "slices").verdict, verdict.verdict) == ("FAIL", "FAIL")
    assert "night (-100.0 points)" in gate(verdict, "slices").reason
    assert (
        judge(ours, theirs, GateConfig(slice_margin=1.0, slice_rule="not_shown_worse", resamples=200)).verdict == "PASS"
    )


def test_a_slice_with_one_loss_is_not_shown_to_be_worse() -> None:
    slices = [("night",)] * 3 + [("day",)] * 97
    ours = answers_of([False] + [True] * 99, slices=slices)
    theirs = answers_of([True] * 3 + [False] * 97, slices=slices)
    verdict = judge(ours, theirs, QUICK)
    assert verdict.verdict == "PASS"
    assert "lowest gain is -33.3 points on night" in gate(verdict, "slices").reason


def test_different_rows_are_refused() -> None:
    ours, theirs = two_models(40, 0, 60)
    with pytest.raises(FinetuneError, match="same examples"):
        judge(ours, theirs[:-1], QUICK)


@settings(max_examples=60)
@given(
    wins=st.integers(0, 80),
    losses=st.integers(0, 80),
    both=st.integers(0, 80),
    neither=st.integers(0, 80),
    broken=st.integers(0, 20),
)
def test_breaking_answers_never_helps(wins: int, losses: int, both: int, neither: int, broken: int) -> None:
    order = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
    ours, theirs = two_models(wins, losses, both, neither)
    before = judge(ours, theirs, QUICK).verdict
    after = judge(_broken(ours, broken, problem="timeout", answered=False), theirs, QUICK).verdict
    assert order[after] <= order[before]


def _verdicts(rows: int, discordant_share: float, difference: float, trials: int) -> dict[str, float]:
    """Simulate test sets and judge each through the whole of `judge`; equal counts are judged once."""
    win_share = (discordant_share + difference) / 2
    draws = np.random.default_rng(19).multinomial(
        rows, [win_share, discordant_share - win_share, 1 - discordant_share], size=trials
    )
    found: dict[str, float] = {"PASS": 0.0, "FAIL": 0.0, "INCONCLUSIVE": 0.0}
    pairs, how_often = np.unique(draws, axis=0, return_counts=True)
    for (wins, losses, both), times in zip(pairs, how_often, strict=True):
        found[judge(*two_models(int(wins), int(losses), int(both)), QUICK).verdict] += times / trials
    return found


def test_chance_passes_at_most_at_alpha() -> None:
    found = _verdicts(rows=120, discordant_share=0.15, difference=0.0, trials=3000)
    most = 0.05 + 3 * math.sqrt(0.05 * 0.95 / 3000)
    assert found["PASS"] <= most
    assert found["FAIL"] <= most
    assert found["PASS"] > 0.01  # the exact test is conservative, not dead


def test_a_real_gain_passes_with_the_power_planned() -> None:
    expected = mcnemar_power(120, discordant_share=0.2, difference=0.1)
    found = _verdicts(rows=120, discordant_share=0.2, difference=0.1, trials=2000)
    assert found["PASS"] == pytest.approx(expected, abs=4 * math.sqrt(0.25 / 2000))
    assert found["PASS"] > 0.7
    assert found["FAIL"] < 0.005


def test_equal_input_gives_an_equal_verdict() -> None:
    ours, theirs = two_models(30, 20, 60, 5)
    assert judge(ours, theirs, GateConfig(seed=3)) == judge(list(reversed(ours)), theirs, GateConfig(seed=3))


@pytest.mark.parametrize(
    "bad", [{"alpha": 0.0}, {"alpha": 0.6}, {"min_rows": 0}, {"floor": {"exact": 1.2}}, {"typo": 1}, {"beat": ["gpt"]}]
)
def test_a_bad_configuration_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GateConfig(**bad)


def test_every_setting_is_described() -> None:
    for model in (GateConfig, CriticalConfig):
        assert all(field.description for field in model.model_fields.values())
