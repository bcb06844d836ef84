"""Decisions: what fires, what vetoes, what is said, the laws, and the faults of source 001 that are absent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.evaluation.statistics.exact import wilson_interval
from finetune_assets.feedback.triggers.decide import decide
from finetune_assets.feedback.triggers.decision import Decision, ManualRequest
from finetune_assets.feedback.triggers.policy import TriggerPolicy
from finetune_assets.records.digests import canonical_json
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.feedback.triggers.made import DAY, HOUR, NOW, window

POLICY = TriggerPolicy()
BY_HAND = ManualRequest("the new taxonomy is out", "ada", "request-1")


def policy(**section: Any) -> TriggerPolicy:
    return TriggerPolicy.model_validate(section)


def test_a_quiet_window_waits_and_says_what_is_missing() -> None:
    decision = decide(window(open_cases=63, corrected_cases=13, errors=60), POLICY)
    assert decision.verdict == "wait"
    assert decision.reasons == (
        "need 37 more error cases",
        "need 37 more corrected cases",
        "error rate 0.06, at least 0.049 at 95 %: threshold 0.15",
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"open_cases": 100, "corrected_cases": 1}, "100 open error cases, threshold 100"),
        ({"open_cases": 60, "corrected_cases": 50}, "50 corrected cases, threshold 50"),
        ({"errors": 200}, "error rate 0.2, at least 0.18 at 95 %: threshold 0.15"),
    ],
)
def test_each_rule_of_the_default_fires_alone(changes: dict[str, Any], reason: str) -> None:
    decision = decide(window(**changes), POLICY)
    assert decision.fires
    assert decision.reasons == (reason,)
    assert decision.tags()["finetune/trigger_reason"] == reason


def test_the_rate_is_judged_by_its_lower_bound() -> None:
    raw = window(predictions=400, errors=68)  # 0.17 is above 0.15; its lower bound is not
    assert raw.errors / raw.predictions > 0.15 > wilson_interval(68, 400, confidence=0.90)[0]
    assert not decide(raw, POLICY).fires
    assert decide(window(predictions=4000, errors=680), POLICY).fires


def test_too_few_predictions_say_nothing() -> None:
    decision = decide(window(predictions=163, errors=163), POLICY)
    assert not decision.fires
    assert "need 37 more predictions" in decision.reasons


def test_correction_rate() -> None:
    asks = policy(fire_when="correction_rate", correction_rate={"threshold": 0.8, "min_cases": 10})
    assert decide(window(open_cases=20, corrected_cases=16), asks).reasons == (
        "16 of 20 open error cases corrected (0.8), threshold 0.8",
    )
    assert not decide(window(open_cases=20, corrected_cases=15), asks).fires
    assert decide(window(open_cases=9, corrected_cases=9), asks).reasons == ("need 1 more error case",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"in_flight": True}, "wait for the run that is under way"),
        ({"last_fired": NOW - 20 * HOUR}, "cooling down until 2026-11-20 16:00 UTC"),
        ({"last_fired": NOW - 90 * HOUR, "last_finished": NOW - HOUR}, "cooling down until 2026-11-21 11:00 UTC"),
        ({"corrected_cases": 0}, "need 1 more corrected case"),
        ({"budget_usd": 50.0, "spent_usd": 46.0, "estimated_cost_usd": 4.5}, "and $4.00 are left this month"),
        ({"budget_usd": 50.0}, "an unknown cost fits no budget"),
    ],
)
def test_a_veto_stands_whatever_holds(changes: dict[str, Any], reason: str) -> None:
    loud = window(open_cases=500, corrected_cases=400, errors=900)
    assert decide(loud, POLICY).fires
    decision = decide(replace(loud, **changes), POLICY)
    assert not decision.fires
    assert reason in decision.sentence
    assert decision.evidence["state"] == "holds"


def test_cool_down_ends_to_the_second() -> None:
    loud = window(open_cases=500, corrected_cases=400)
    assert not decide(replace(loud, last_fired=NOW - DAY + timedelta(seconds=1)), POLICY).fires
    assert decide(replace(loud, last_fired=NOW - DAY), POLICY).fires


def test_a_clock_set_back_waits_and_never_fires_twice() -> None:
    loud = window(open_cases=500, corrected_cases=400, last_fired=NOW + DAY)
    assert "cooling down until 2026-11-22 12:00 UTC" in decide(loud, POLICY).sentence


def test_a_manual_trigger_waits_for_no_rule_and_no_cool_down() -> None:
    quiet = window(last_fired=NOW - HOUR, corrected_cases=0, open_cases=0)
    decision = decide(quiet, POLICY, manual=BY_HAND)
    assert decision.fires
    assert decision.origin == "manual"
    assert decision.reasons == ("asked for by ada: the new taxonomy is out",)
    assert decision.key != quiet.digest


def test_a_manual_trigger_respects_the_budget_and_a_run_under_way() -> None:
    assert not decide(window(in_flight=True), POLICY, manual=BY_HAND).fires
    dear = window(budget_usd=10.0, spent_usd=9.0, estimated_cost_usd=2.0)
    assert decide(dear, POLICY, manual=BY_HAND).reasons == (
        "the next run costs about $2.00, and $1.00 are left this month",
    )


def test_repeating_a_manual_request_asks_for_one_run() -> None:
    other = ManualRequest("again", "ada", "request-2")
    keys = [decide(window(errors=errors), POLICY, manual=BY_HAND).key for errors in (1, 2)]
    assert keys[0] == keys[1] != decide(window(), POLICY, manual=other).key


@pytest.mark.parametrize("fields", [("", "ada", "1"), ("why", " ", "1"), ("why", "ada", ""), ("x" * 501, "ada", "1")])
def test_a_manual_request_names_reason_person_and_itself(fields: tuple[str, str, str]) -> None:
    with pytest.raises(FinetuneError):
        ManualRequest(*fields)


def test_the_budget_of_one_run_and_the_share_of_a_month() -> None:
    loud = window(open_cases=500, corrected_cases=400, estimated_cost_usd=6.0, budget_usd=100.0, spent_usd=45.0)
    assert decide(loud, POLICY).fires
    assert not decide(loud, policy(budget={"max_run_usd": 5.0})).fires
    assert "$5.00 are left" in decide(loud, policy(budget={"monthly_share": 0.5})).sentence


def test_expected_gain_against_cost() -> None:
    asks = policy(expected_gain={"min_gain_per_usd": 0.001})
    history = tuple({"gain": gain} for gain in (0.5, 0.01, 0.02, 0.03))
    loud = window(open_cases=500, corrected_cases=400, history=history)
    assert decide(replace(loud, estimated_cost_usd=20.0), asks).fires
    worthless = decide(replace(loud, estimated_cost_usd=50.0), asks)
    assert worthless.reasons == ("expected gain 0.0250 (an estimate) for about $50.00, threshold 0.0500",)
    unknown = replace(loud, estimated_cost_usd=20.0, history=history[:1])
    assert decide(unknown, asks).fires
    waits = policy(expected_gain={"min_gain_per_usd": 0.001, "when_unknown": "wait"})
    assert decide(unknown, waits).reasons == ("need 2 more releases",)


@pytest.mark.parametrize(
    ("section", "last", "fires"),
    [
        ({"every_days": 7}, NOW - 7 * DAY, True),
        ({"every_days": 7}, NOW - 7 * DAY + HOUR, False),
        ({"cron": "0 12 * * *"}, NOW - DAY, True),  # due this very minute
        ({"cron": "1 12 * * *"}, NOW - 30 * HOUR, True),  # due yesterday
        ({"cron": "0 13 * * 5"}, NOW - 2 * DAY, False),  # due in an hour
        ({"cron": "0 3 1 1 *"}, NOW - 400 * DAY, True),  # missed long ago, once
    ],
)
def test_schedules(section: dict[str, Any], last: Any, fires: bool) -> None:
    asks = policy(fire_when="schedule", schedule=section)
    assert decide(window(last_fired=last, live_since=NOW - 500 * DAY), asks).fires is fires


def test_a_schedule_without_a_release_cannot_be_told() -> None:
    asks = policy(fire_when="schedule", schedule={"every_days": 1})
    assert decide(window(live_since=None), asks).reasons == ("need a live release to count from",)


def test_a_decision_is_json_and_comes_back() -> None:
    asks = policy(fire_when={"any": ["error_rate", "label_drift", "input_drift", "error_cases"]})
    decision = decide(window(inputs={"length": [1.0] * 300}, reference_inputs={"length": [1.5] * 300}), asks)
    assert Decision.from_json(decision.to_json()) == decision
    assert canonical_json(decision.to_json())
    with pytest.raises(FinetuneError):
        Decision.from_json({**decision.to_json(), "verdict": "perhaps"})
    with pytest.raises(FinetuneError):
        Decision.from_json({})


counts = st.tuples(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 300), st.integers(0, 300))
policies = st.builds(
    policy,
    fire_when=st.sampled_from(
        [
            {"any": ["error_cases", "corrected_cases", "error_rate"]},
            {"all": ["error_cases", "error_rate"]},
            {"any": [{"all": ["correction_rate", "error_rate"]}, "corrected_cases"]},
        ]
    ),
    error_rate=st.builds(
        dict, threshold=st.sampled_from([0.05, 0.15, 0.5]), min_predictions=st.sampled_from([1, 200, 1000])
    ),
    min_error_cases=st.integers(1, 300),
    min_corrected_cases=st.integers(1, 300),
    min_eligible_cases=st.integers(0, 3),
)


def counted(figures: tuple[int, int, int, int]) -> dict[str, int]:
    first, second, third, fourth = figures
    return {
        "predictions": max(first, second),
        "errors": min(first, second),
        "open_cases": max(third, fourth),
        "corrected_cases": min(third, fourth),
    }


@given(counts, policies)
@settings(max_examples=200, deadline=None)
def test_equal_windows_give_equal_decisions(figures: Any, asks: TriggerPolicy) -> None:
    one, other = (decide(window(**counted(figures)), asks) for _ in range(2))
    assert one == other
    assert one.key == window(**counted(figures)).digest


@given(counts, policies, st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
@settings(max_examples=300, deadline=None)
def test_more_evidence_never_takes_a_run_back(
    figures: Any, asks: TriggerPolicy, errors: int, corrections: int, cases: int
) -> None:
    """More errors among as many answers, more of the open cases corrected, more corrected cases: still a run."""
    before = counted(figures)
    after = dict(before)
    after["errors"] = min(before["errors"] + errors, before["predictions"])
    after["corrected_cases"] = min(before["corrected_cases"] + corrections, before["open_cases"]) + cases
    after["open_cases"] = before["open_cases"] + cases
    if decide(window(**before), asks).fires:
        assert decide(window(**after), asks).fires


@given(st.integers(0, 199), st.data())
@settings(max_examples=200, deadline=None)
def test_nothing_fires_below_the_minimum_volume(predictions: int, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, predictions))
    scarce = window(predictions=predictions, errors=errors, open_cases=99, corrected_cases=49)
    assert not decide(scarce, POLICY).fires


# The faults of source 001.


def test_the_error_rate_is_no_share_of_a_made_up_total() -> None:
    """Source 001 took total / (total + 100) and fired at 18 cases, whatever had been answered."""
    for cases in (18, 19, 40, 99):
        decision = decide(window(predictions=100_000, errors=cases, open_cases=cases, corrected_cases=1), POLICY)
        assert not decision.fires
        rate = next(rule for rule in decision.evidence["rules"] if rule["rule"] == "error_rate")
        assert rate["figures"]["rate"] == cases / 100_000


def test_without_a_case_to_learn_from_no_check_asks_for_a_run() -> None:
    """Source 001 made a failed job at every check."""
    for _ in range(3):
        decision = decide(window(open_cases=500, corrected_cases=0, errors=900), POLICY)
        assert not decision.fires
        assert "need 1 more corrected case" in decision.reasons


def test_a_person_adds_a_reason_and_takes_none_away() -> None:
    """Source 001 wrote "forced" over the reasons, and who forced it was not kept."""
    loud = window(open_cases=500, corrected_cases=400)
    decision = decide(loud, POLICY, manual=BY_HAND)
    assert decision.reasons == (
        "asked for by ada: the new taxonomy is out",
        "500 open error cases, threshold 100",
        "400 corrected cases, threshold 50",
    )
    assert decision.evidence["rules"] == decide(loud, POLICY).evidence["rules"]
    assert decision.evidence["manual"]["requested_by"] == "ada"
