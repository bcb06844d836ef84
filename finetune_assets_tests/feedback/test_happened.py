"""Replay from the databases agrees with what was decided live from the same databases."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from finetune_assets.feedback.consuming import consume
from finetune_assets.feedback.error_report import ErrorReport
from finetune_assets.feedback.happened import happened
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.feedback.trigger_log import TriggerLog
from finetune_assets.feedback.triggers.cursor import tick
from finetune_assets.feedback.triggers.decision import Decision
from finetune_assets.feedback.triggers.events import Costed, Spent, WentLive
from finetune_assets.feedback.triggers.history import record_of
from finetune_assets.feedback.triggers.policy import TriggerPolicy
from finetune_assets.feedback.triggers.replay import replay
from finetune_assets.feedback.windows import Surroundings, read_window
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import ErrorCaseRow
from finetune_assets_tests.feedback import making

TASK, HOUR = "childcare", timedelta(hours=1)
STEP, STEPS = 6 * HOUR, 24
REFERENCE = {"a / b": 200, "c / d": 100}
LENGTHS = {"characters": [100.0 + number % 30 for number in range(100)], "words": [12.0] * 100}
POLICIES = {
    "cases": {"min_error_cases": 8, "min_corrected_cases": 5, "cool_down_h": 12, "window_h": 48},
    "drift": {
        "fire_when": {"any": ["input_drift", "label_drift"]},
        "drift": {"min_rows": 20},
        "cool_down_h": 20,
        "window_h": 40,
    },
}


def live_one_step(db: Database, store: PredictionStore, chance: random.Random, number: int, begin: datetime) -> None:
    """Answer, report, correct and dismiss at moments within one step."""
    cases = making.book(db)
    for place in range(10):
        at = begin + timedelta(seconds=chance.randrange(int(STEP.total_seconds() // 2)))
        label = chance.choice([("a", "b"), ("a", "b"), ("c", "d")])
        made = making.prediction(number * 100 + place, at=at, label_path=label)
        store.append([made])
        if chance.random() < 0.4:
            said = at + timedelta(seconds=chance.randrange(int(STEP.total_seconds() // 2)))
            source = chance.choice(["feedback", "feedback", "demonstration"])
            correction = "right" if source == "demonstration" or chance.random() < 0.6 else None
            report = ErrorReport.of_prediction(made, source, correction=correction, by="ada")  # type: ignore[arg-type]
            (case,) = cases.report([report], at=said)
            if chance.random() < 0.2:
                cases.dismiss(case, chance.choice(["not_an_error", "unusable"]), by="ada", at=said)  # type: ignore[arg-type]


def take(db: Database, version: str, at: datetime) -> None:
    with db.reading() as session:
        rows = session.execute(
            select(ErrorCaseRow.id, ErrorCaseRow.correction_id).where(
                ErrorCaseRow.task == TASK, ErrorCaseRow.state == "corrected"
            )
        ).all()
    if rows:
        consume(db, TASK, version, {row[0]: row[1] for row in rows}, at=at)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_replay_from_the_databases_agrees_with_the_live_decisions(
    db: Database, store: PredictionStore, name: str
) -> None:
    policy, chance, log = TriggerPolicy.model_validate(POLICIES[name]), random.Random(5), TriggerLog(db)
    start, spent, cursor = making.START, 0.0, None
    live: list[Decision] = []
    spending: list[Spent] = []
    for number in range(STEPS):
        moment = start + number * STEP
        standing = log.standing(TASK)
        seen = read_window(
            db,
            store,
            TASK,
            moment - timedelta(hours=policy.window_h),
            moment,
            Surroundings(
                reference_labels=REFERENCE,
                reference_inputs=LENGTHS,
                last_fired=standing.last_fired,
                last_finished=standing.last_finished,
                in_flight=standing.in_flight,
                live_since=start - HOUR,
                spent_usd=spent,
                budget_usd=100.0,
                estimated_cost_usd=2.0,
            ),
        )
        started = {decision.key for decision in live if decision.fires}
        cursor, decision = tick(cursor, seen, policy, log.asked(TASK, started))
        live.append(decision)
        log.write(record_of(decision))
        live_one_step(db, store, chance, number, moment)
        if decision.fires:
            take(db, f"version {number}", moment + STEP - timedelta(seconds=2))
            log.end(decision.key, "success", by="test", at=moment + STEP - timedelta(seconds=1))
            spending.append(Spent(moment, 2.0))
            spent += 2.0
    end = start + (STEPS - 1) * STEP
    before = [Costed(start - HOUR, 2.0, 100.0), WentLive(start - HOUR, REFERENCE, LENGTHS)]
    events = [*happened(db, store, TASK, policy, start, end, STEP), *before, *spending]
    found = replay(events, policy, start, end, STEP, task=TASK)
    told = [(one.decided_at, one.verdict, one.reasons) for one in found.decisions]
    assert told == [(one.decided_at, one.verdict, one.reasons) for one in live]
    assert 1 < len(found.fired) < STEPS
    records = log.records(TASK, start, end + STEP)
    assert [one.at for one in records if one.kind == "fire"] == [one.decided_at for one in found.fired]
    if name == "drift":  # a replay reads features only where a rule looks at them; the digest holds them
        assert [one.key for one in found.fired] == [one.key for one in live if one.fires]
