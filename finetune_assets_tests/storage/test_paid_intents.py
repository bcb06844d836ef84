from __future__ import annotations

import pytest

from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.intents import (
    Intent,
    IntentState,
    events_of,
    find_intent,
    find_run,
    list_intents,
    mark,
    record_intent,
    request_cancel,
    retry_intent,
)
from finetune_assets.storage.ledger import BudgetExceededError, Reservation, ledger_entries, month_of, month_spend


def run_key(attempt: int) -> str:
    return f"run-{attempt}"


def intend(db: Database, limit: int | None = 1000, high: int = 300, place: str = "") -> Intent:
    return record_intent(
        db,
        "key",
        task="t",
        backend="gemini",
        run_key_of=lambda attempt: place + run_key(attempt),
        namespace="main",
        variant="small",
        request={"location": "us-central1", "train_uri": "gs://b/train.jsonl"},
        reservation=Reservation(100, 200, high, limit=limit, prices_as_of="2026-10-07"),
        by="dagster-run",
    )


def test_a_paid_job_is_written_with_all_that_attaching_needs(db: Database) -> None:
    intent = intend(db)
    assert intent == find_intent(db, "key") == find_run(db, "run-1") == intend(db)
    assert (intent.run_key, intent.namespace, intent.variant, intent.is_paid) == ("run-1", "main", "small", True)
    assert intent.request == {"location": "us-central1", "train_uri": "gs://b/train.jsonl"}
    assert (intent.estimate_low, intent.estimate_mid, intent.estimate_high) == (100, 200, 300)
    assert (intent.currency, intent.prices_as_of, intent.submitted_at) == ("USD", "2026-10-07", None)
    assert month_spend(db, "t", month_of(utc_now())).reserved == 300
    assert len(ledger_entries(db)) == 1


def test_a_job_that_does_not_fit_leaves_nothing(db: Database) -> None:
    with pytest.raises(BudgetExceededError):
        intend(db, limit=299)
    assert list_intents(db) == []
    assert ledger_entries(db) == []


@pytest.mark.parametrize("end", ["FAILED", "CANCELLED", "EXPIRED"])
def test_a_paid_job_that_ended_badly_is_not_opened_silently(db: Database, end: IntentState) -> None:
    intend(db)
    mark(db, "key", "SUBMITTED", handle="jobs/1")
    ended = mark(db, "key", end, error="no capacity", by="run-2")
    assert ended.ended_badly
    assert intend(db) == ended
    assert record_intent(db, "key", task="t", backend="gemini") == ended

    opened = retry_intent(db, "key", by="ana", reason="capacity is back")
    assert (opened.state, opened.attempt, opened.run_key, opened.handle, opened.error) == ("INTENDED", 2, "", "", "")
    again = intend(db)
    assert (again.run_key, again.attempt, again.submitted_at) == ("run-2", 2, None)
    assert find_run(db, "run-1") is None
    # What the first attempt cost is not known, so that its reservation stays.
    assert month_spend(db, "t", month_of(utc_now())).reserved == 600
    assert [(event.from_state, event.to_state, event.by) for event in events_of(db, "key")] == [
        ("", "INTENDED", "dagster-run"),
        ("INTENDED", "SUBMITTED", ""),
        ("SUBMITTED", end, "run-2"),
        (end, "INTENDED", "ana"),
    ]
    assert [event.note for event in events_of(db, "key")] == ["", "", "no capacity", "capacity is back"]


def test_who_may_not_retry(db: Database) -> None:
    with pytest.raises(StorageError, match="no such tuning intent"):
        retry_intent(db, "key", by="ana", reason="")
    intend(db)
    with pytest.raises(StorageError, match=r"INTENDED gets no new attempt.*cancel it first"):
        retry_intent(db, "key", by="ana", reason="")
    mark(db, "key", "SUCCEEDED")
    with pytest.raises(StorageError, match="SUCCEEDED gets no new attempt"):
        retry_intent(db, "key", by="ana", reason="")
    with pytest.raises(StorageError, match="needs the name"):
        retry_intent(db, "key", by=" ", reason="")


def test_a_job_under_way_is_not_submitted_at_another_place(db: Database) -> None:
    intend(db)
    with pytest.raises(StorageError, match="under way at another place"):
        intend(db, place="europe-")
    mark(db, "key", "RUNNING", handle="jobs/1")
    with pytest.raises(StorageError, match="under way at another place"):
        intend(db, place="europe-")
    mark(db, "key", "SUCCEEDED")
    assert intend(db, place="europe-").handle == "jobs/1"


def test_the_price_is_booked_with_the_end(db: Database) -> None:
    intend(db)
    mark(db, "key", "RUNNING", handle="jobs/1")
    done = mark(db, "key", "SUCCEEDED", billable_tokens=1234, actual_cost=150)
    assert (done.billable_tokens, done.actual_cost) == (1234, 150)
    spend = month_spend(db, "t", month_of(utc_now()))
    assert (spend.reserved, spend.settled) == (0, 150)


def test_a_refused_job_gives_its_reservation_back_and_asks_again(db: Database) -> None:
    intend(db, limit=500)
    mark(db, "key", "INTENDED", error="permission denied", release=True)
    assert month_spend(db, "t", month_of(utc_now())).total == 0
    again = intend(db, limit=500, high=400)
    assert (again.attempt, again.estimate_high) == (1, 400)
    assert month_spend(db, "t", month_of(utc_now())).total == 400


def test_phases_are_events_and_have_a_beginning(db: Database) -> None:
    intend(db)
    submitted = mark(db, "key", "SUBMITTED", handle="jobs/1", phase="queued", provider_state="JOB_STATE_QUEUED")
    assert submitted.submitted_at is not None
    same = mark(db, "key", "SUBMITTED", phase="queued", provider_state="JOB_STATE_QUEUED")
    assert same.phase_since == submitted.phase_since
    moved = mark(db, "key", "SUBMITTED", phase="quota", provider_state="JOB_STATE_PENDING")
    assert moved.phase_since is not None
    assert submitted.phase_since is not None
    assert moved.phase_since >= submitted.phase_since
    assert moved.submitted_at == submitted.submitted_at
    running = mark(db, "key", "RUNNING", phase="tuning")
    assert running.phase_since is not None
    assert [(event.to_state, event.phase, event.provider_state) for event in events_of(db, "key")] == [
        ("INTENDED", "", ""),
        ("SUBMITTED", "queued", "JOB_STATE_QUEUED"),
        ("SUBMITTED", "quota", "JOB_STATE_PENDING"),
        ("RUNNING", "tuning", "JOB_STATE_PENDING"),
    ]


def test_a_wish_to_cancel_survives(db: Database) -> None:
    intend(db)
    assert request_cancel(db, "key", by="ana").cancel_requested_by == "ana"
    found = find_intent(db, "key")
    assert found is not None
    assert (found.state, found.cancel_requested_by) == ("INTENDED", "ana")
    assert events_of(db, "key")[-1].note == "cancel requested"
    mark(db, "key", "CANCELLED")
    with pytest.raises(StorageError, match="CANCELLED cannot be cancelled"):
        request_cancel(db, "key", by="ana")
    assert retry_intent(db, "key", by="ana", reason="r").cancel_requested_by == ""


def test_a_local_job_reserves_nothing(db: Database) -> None:
    intent = record_intent(db, "local", task="t", backend="local")
    assert (intent.run_key, intent.is_paid, intent.estimate_high) == ("", False, None)
    mark(db, "local", "FAILED", actual_cost=None, release=True)
    assert ledger_entries(db) == []
