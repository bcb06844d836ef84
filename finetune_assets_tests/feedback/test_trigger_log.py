"""The log of triggers: one run after each run, whoever asks; what is written twice is there once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, DBAPIError

from finetune_assets.feedback.trigger_log import Standing, TriggerLog
from finetune_assets.feedback.triggers.cursor import tick
from finetune_assets.feedback.triggers.decide import decide
from finetune_assets.feedback.triggers.decision import Decision, ManualRequest
from finetune_assets.feedback.triggers.history import record_of
from finetune_assets.feedback.triggers.policy import TriggerPolicy
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.database import Database
from finetune_assets_tests.feedback.triggers.made import DAY, HOUR, NOW, window

POLICY = TriggerPolicy()


def loud(**changes: Any) -> Decision:
    return decide(window(**({"open_cases": 500, "corrected_cases": 400} | changes)), POLICY)


def test_a_decision_is_written_once_and_read_back(db: Database) -> None:
    log, first = TriggerLog(db), loud(estimated_cost_usd=1.5)
    assert log.write(record_of(first))
    assert log.write(record_of(first))
    assert log.records("childcare", NOW - DAY, NOW + DAY) == [record_of(first)]
    assert log.standing("childcare") == Standing(NOW, None, True)
    assert log.standing("speech") == Standing(None, None, False)


def test_of_two_decisions_after_the_same_run_one_is_written(db: Database) -> None:
    log = TriggerLog(db)
    assert log.write(record_of(loud()))
    assert not log.write(record_of(loud(open_cases=501, until=NOW + timedelta(seconds=1))))
    manual = decide(window(), POLICY, manual=ManualRequest("now", "ada", "request-1"))
    assert not log.write(record_of(manual))
    assert log.write(record_of(loud(last_fired=NOW, until=NOW + DAY)))


def test_of_many_at_once_one_is_written(db: Database) -> None:
    log = TriggerLog(db)
    decisions = [loud(open_cases=500 + number, until=NOW + timedelta(milliseconds=number)) for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda one: log.write(record_of(one)), decisions)) == 1
    assert len(log.records("childcare", NOW - DAY, NOW + DAY)) == 1


def test_waiting_for_the_same_is_written_once(db: Database) -> None:
    log = TriggerLog(db)
    quiet = [
        decide(window(open_cases=10 + minute, until=NOW + timedelta(minutes=minute)), POLICY) for minute in range(9)
    ]
    assert [log.write(record_of(one)) for one in quiet] == [True] + [False] * 8
    assert len(log.records("childcare", NOW - DAY, NOW + DAY)) == 1


def test_a_run_ends_once(db: Database) -> None:
    log, first = TriggerLog(db), loud()
    log.write(record_of(first))
    assert log.end(first.key, "success", by="sensor", at=NOW + HOUR)
    assert not log.end(first.key, "failure", by="sensor", at=NOW + 2 * HOUR)
    assert log.standing("childcare") == Standing(NOW, NOW + HOUR, False)
    with pytest.raises(FinetuneError, match="no trigger asked for this run"):
        log.end("unknown", "success", by="sensor", at=NOW)


def test_a_run_that_was_never_started_is_given_back_to_the_tick(db: Database) -> None:
    log, first = TriggerLog(db), loud()
    log.write(record_of(first))
    owed = log.asked("childcare", started=set())
    assert owed[0].unlaunched == first
    assert tick(None, window(until=NOW + HOUR, in_flight=True), POLICY, owed)[1] == first
    assert log.asked("childcare", started={first.key})[0].unlaunched is None
    log.end(first.key, "success", by="sensor", at=NOW + HOUR)
    assert [(one.key, one.unlaunched) for one in log.asked("childcare", started=set())] == [(first.key, None)]


def test_the_log_is_append_only(db: Database) -> None:
    TriggerLog(db).write(record_of(loud()))
    for statement in ("UPDATE trigger_events SET by = 'other'", "DELETE FROM trigger_events"):
        statement = statement.replace(" by ", ' "by" ')
        with pytest.raises((DatabaseError, DBAPIError)), db.engine.begin() as connection:
            connection.execute(text(statement))
