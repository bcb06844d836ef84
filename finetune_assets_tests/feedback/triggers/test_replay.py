"""Replay: it agrees with what was decided live, and says what another policy would have done."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from finetune_assets.feedback.triggers import events
from finetune_assets.feedback.triggers.decide import decide
from finetune_assets.feedback.triggers.decision import Decision
from finetune_assets.feedback.triggers.past import Past
from finetune_assets.feedback.triggers.policy import TriggerPolicy, rules_in
from finetune_assets.feedback.triggers.replay import Supposed, compare_replays, replay
from finetune_assets.feedback.window import Window
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.feedback.triggers.made import DAY, HOUR, NOW

TASK = "childcare"
RUN_H = 3.0
POLICIES: list[dict[str, Any]] = [
    {"min_error_cases": 12, "min_corrected_cases": 8, "cool_down_h": 12},
    {"fire_when": "error_rate", "error_rate": {"min_predictions": 20, "threshold": 0.1}, "cool_down_h": 5},
    {"fire_when": {"all": ["corrected_cases", "label_drift"]}, "min_corrected_cases": 4, "drift": {"min_rows": 30}},
    {"fire_when": "input_drift", "drift": {"min_rows": 30, "alpha": 0.2}, "cool_down_h": 20, "min_eligible_cases": 0},
    {"fire_when": "schedule", "schedule": {"cron": "0 6 * * *"}, "min_eligible_cases": 0, "cool_down_h": 2},
    {"min_error_cases": 5, "min_corrected_cases": 5, "budget": {"monthly_share": 0.4}, "cool_down_h": 3},
]


def lived(seed: int, days: int = 12) -> list[events.Event]:
    """Return what happened to a task, runs left out: answers, errors, corrections, dismissals, releases, prices."""
    chance = random.Random(seed)
    found: list[events.Event] = [events.Costed(NOW, 2.0, 40.0)]
    for number in range(days * 60):
        at = NOW + timedelta(seconds=chance.randrange(days * 86_400))
        shift = (at - NOW) / (days * DAY)
        label = chance.choices(["sleep", "food", "play"], [1, 1, 0.1 + 3 * shift])[0]
        length = {"length": chance.gauss(80 + 60 * shift, 20)}
        found.append(events.Predicted(at, label, inputs=length, sample=f"{chance.random():.12f}"))
        if chance.random() < 0.3:
            said = at + chance.choice([timedelta(0), HOUR, 2 * DAY])
            case, cluster = f"case {number}", f"cluster {chance.randrange(days * 30)}"
            found.append(events.Reported(said, case, cluster, chance.choice([at, at, at, None])))
            if chance.random() < 0.6:
                found.append(events.Corrected(said + chance.choice([timedelta(0), 3 * HOUR]), case))
            if chance.random() < 0.2:
                found.append(events.Dismissed(said + chance.choice([HOUR, DAY]), case, chance.random() < 0.5))
    labels, lengths = {"sleep": 50, "food": 50, "play": 5}, [chance.gauss(80, 20) for _ in range(100)]
    for day in (0, 5):
        found.append(events.WentLive(NOW + day * DAY, labels, {"length": lengths}, {"gain": 0.02, "cost_usd": 2.0}))
    chance.shuffle(found)
    return found


def plain_window(happened: list[events.Event], until: datetime, policy: TriggerPolicy) -> Window:
    """Return the window as one reads it off all events, without any state kept from one look to the next."""
    since = until - timedelta(hours=policy.window_h)
    past = [event for event in happened if event.at < until]
    past.sort(key=lambda event: (event.at, events.ORDER.index(type(event))))
    kinds = {kind: [event for event in past if isinstance(event, kind)] for kind in events.ORDER}
    answers = [event for event in kinds[events.Predicted] if event.at >= since]
    state: dict[str, str] = {}
    for event in past:
        if isinstance(event, events.Reported):
            state.setdefault(event.case, "new")
        elif isinstance(event, events.Corrected) and state.get(event.case) == "new":
            state[event.case] = "corrected"
        elif isinstance(event, events.Dismissed) and state.get(event.case) in ("new", "corrected"):
            state[event.case] = "no error" if event.no_error else "dismissed"
        elif isinstance(event, events.Consumed):
            state.update({case: "consumed" for case in event.cases if state.get(case) == "corrected"})
    told = {event.case: event for event in kinds[events.Reported]}
    wrong = {
        event.cluster
        for case, event in told.items()
        if event.predicted_at is not None and event.predicted_at >= since and state[case] != "no error"
    }
    live, costed = kinds[events.WentLive][-1:], kinds[events.Costed][-1:]
    asked, ended = ([event.at for event in kinds[kind]] for kind in (events.RunAsked, events.RunEnded))
    drawn = answers if "input_drift" in rules_in(policy.fire_when) else []
    return Window(
        task=TASK,
        since=since,
        until=until,
        predictions=len(answers),
        errors=min(len(answers), len(wrong)),
        open_cases=len({told[case].cluster for case, now in state.items() if now in ("new", "corrected")}),
        corrected_cases=len({told[case].cluster for case, now in state.items() if now == "corrected"}),
        labels=dict(Counter(event.label for event in answers)),
        reference_labels=live[0].reference_labels if live else {},
        inputs={"length": [event.inputs["length"] for event in drawn]} if drawn else {},
        reference_inputs=live[0].reference_inputs if live and "input_drift" in rules_in(policy.fire_when) else {},
        last_fired=max(asked, default=None),
        last_finished=max(ended, default=None),
        in_flight=len(asked) > len(ended),
        live_since=live[0].at if live else None,
        spent_usd=sum(event.usd for event in kinds[events.Spent] if event.at.month == until.month),
        budget_usd=costed[0].budget_usd if costed else None,
        estimated_cost_usd=costed[0].estimated_usd if costed else None,
        history=tuple(event.figures for event in kinds[events.WentLive]),
    )


def live_through(
    happened: list[events.Event], policy: TriggerPolicy, step: timedelta, days: int
) -> tuple[list[Decision], list[events.Event]]:
    """Decide as a sensor does while things happen; a run learns what is corrected when it is asked for."""
    decisions, now_known = [], list(happened)
    moment = NOW
    while moment <= NOW + days * DAY:
        decision = decide(plain_window(now_known, moment, policy), policy)
        decisions.append(decision)
        if decision.fires:
            past = Past(TASK, now_known, policy.window_h, recorded=True, with_inputs=False)
            past.window(moment)
            cases = tuple(past._cases.corrected_cases())
            now_known += [events.RunAsked(moment), events.RunEnded(moment + RUN_H * HOUR)]
            now_known += [events.Consumed(moment, cases), events.Spent(moment, decision.estimated_cost_usd or 0.0)]
        moment += step
    return decisions, now_known


@pytest.mark.parametrize("number", range(len(POLICIES)))
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 20))])
def test_replay_agrees_with_what_was_decided_live(number: int, seed: int) -> None:
    policy, step, days = TriggerPolicy.model_validate(POLICIES[number]), 3 * HOUR, 12
    live, happened = live_through(lived(seed), policy, step, days)
    shuffled = list(happened)
    random.Random(seed + 1).shuffle(shuffled)
    recorded = replay(shuffled, policy, NOW, NOW + days * DAY, step, task=TASK)
    supposed = replay(shuffled, policy, NOW, NOW + days * DAY, step, task=TASK, runs=Supposed(run_h=RUN_H))
    assert list(recorded.decisions) == live
    assert list(supposed.decisions) == live
    assert recorded.fired, "a policy that never fires proves nothing"
    assert recorded.cost_usd == 2.0 * len(recorded.fired)


def test_replay_says_when_why_and_at_what_cost() -> None:
    policy = TriggerPolicy.model_validate(POLICIES[0])
    found = replay(lived(3), policy, NOW, NOW + 12 * DAY, HOUR, task=TASK, runs=Supposed())
    first = found.rows()[0]
    assert first["cost_usd"] == 2.0
    assert "threshold" in first["why"]
    assert first["at"].endswith("+00:00")
    gaps = [b.decided_at - a.decided_at for a, b in zip(found.fired, found.fired[1:], strict=False)]
    assert min(gaps) >= 13 * HOUR  # the cool-down begins when the supposed run ends


def test_two_policies_are_compared() -> None:
    happened, end = lived(3), NOW + 12 * DAY
    eager, patient = (
        replay(
            happened,
            TriggerPolicy.model_validate({**POLICIES[0], "cool_down_h": hours}),
            NOW,
            end,
            HOUR,
            task=TASK,
            runs=Supposed(),
        )
        for hours in (6, 96)
    )
    found = compare_replays(eager, patient)
    assert len(found.both) + len(found.only_first) == len(eager.fired)
    assert len(found.both) + len(found.only_second) == len(patient.fired)
    assert found.both[0][0].decided_at == found.both[0][1].decided_at
    assert found.cost_difference_usd == 2.0 * (len(patient.fired) - len(eager.fired)) < 0
    same = compare_replays(eager, eager)
    assert (len(same.both), same.only_first, same.only_second) == (len(eager.fired), (), ())


def test_runs_a_little_apart_are_the_same_within_a_tolerance() -> None:
    policy = TriggerPolicy.model_validate(POLICIES[0])
    found = replay(lived(3), policy, NOW, NOW + 12 * DAY, HOUR, task=TASK, runs=Supposed())
    later = replace(found, fired=tuple(replace(one, decided_at=one.decided_at + HOUR) for one in found.fired))
    assert not compare_replays(found, later).both
    assert len(compare_replays(found, later, HOUR).both) == len(found.fired)


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [
        (NOW, NOW - HOUR, HOUR),
        (NOW, NOW + HOUR, timedelta(0)),
        (NOW.replace(tzinfo=None), NOW, HOUR),
        (NOW, NOW + 400 * DAY, timedelta(seconds=1)),
    ],
)
def test_a_stretch_that_cannot_be_walked_is_refused(start: datetime, end: datetime, step: timedelta) -> None:
    with pytest.raises(FinetuneError):
        replay([], TriggerPolicy(), start, end, step, task=TASK)


def test_the_past_goes_forwards_only_and_a_recorded_one_takes_no_runs() -> None:
    past = Past(TASK, [], 24, recorded=True, with_inputs=False)
    past.window(NOW)
    with pytest.raises(FinetuneError):
        past.window(NOW - HOUR)
    with pytest.raises(FinetuneError):
        past.fire(NOW, run_h=1, cost_usd=None)


def test_an_empty_past_waits() -> None:
    found = replay([], TriggerPolicy(), NOW, NOW + DAY, HOUR, task=TASK)
    assert (len(found.decisions), found.fired, found.cost_usd, found.unpriced) == (25, (), 0.0, 0)
