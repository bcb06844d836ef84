"""A bill that a person has seen takes the reservation's place, once the job has ended."""

from __future__ import annotations

import pytest

from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.intents import events_of, find_intent, mark, record_intent, retry_intent
from finetune_assets.storage.ledger import Reservation, ledger_entries, month_of, month_spend
from finetune_assets.storage.settlement import request_keys, settle_by_hand

KEY = "k" * 20
WHO = {"by": "user:ada@desk", "note": "invoice 7"}


def intend(db: Database, high: int = 2_000_000) -> str:
    intent = record_intent(
        db,
        KEY,
        task="t",
        backend="gemini",
        run_key_of=lambda attempt: f"run-{attempt}",
        reservation=Reservation(low=1, mid=high // 2, high=high, limit=10_000_000, prices_as_of="2026-09-30"),
    )
    return intent.run_key


def spend(db: Database) -> tuple[int, int]:
    found = month_spend(db, "t", month_of(ledger_entries(db)[0].at))
    return found.reserved, found.settled


def test_a_job_that_failed_is_settled_by_a_person_and_corrected(db: Database) -> None:
    intend(db)
    mark(db, KEY, "RUNNING", handle="h")
    mark(db, KEY, "FAILED", error="x")
    assert spend(db) == (2_000_000, 0)
    assert settle_by_hand(db, KEY, 700_000, **WHO) == "run-1"
    assert spend(db) == (0, 700_000)
    found = find_intent(db, KEY)
    assert found is not None
    assert (found.actual_cost, found.state) == (700_000, "FAILED")
    assert (ledger_entries(db)[-1].by, ledger_entries(db)[-1].note) == ("user:ada@desk", "invoice 7")
    assert events_of(db, KEY)[-1].note == "settled at $0.70: invoice 7"
    settle_by_hand(db, "run-1", 0, **WHO)
    assert spend(db) == (0, 0)


def test_a_job_under_way_is_not_settled(db: Database) -> None:
    intend(db)
    with pytest.raises(StorageError, match="has not ended"):
        settle_by_hand(db, KEY, 1, **WHO)
    mark(db, KEY, "RUNNING", handle="h")
    with pytest.raises(StorageError, match="has not ended"):
        settle_by_hand(db, "run-1", 1, **WHO)
    assert spend(db) == (2_000_000, 0)


def test_an_earlier_attempt_keeps_its_reservation_until_its_own_bill(db: Database) -> None:
    intend(db)
    mark(db, KEY, "RUNNING", handle="h")
    mark(db, KEY, "FAILED", error="x")
    retry_intent(db, KEY, by="ada", reason="again")
    assert settle_by_hand(db, KEY, 300_000, **WHO) == "run-1", "the new attempt has reserved nothing yet"
    assert intend(db) == "run-2"
    assert spend(db) == (2_000_000, 300_000)
    settle_by_hand(db, "run-1", 400_000, **WHO)
    assert spend(db) == (2_000_000, 400_000)
    second = find_intent(db, KEY)
    assert second is not None
    assert second.actual_cost is None
    assert request_keys(db) == {"run-1": (KEY, 1), "run-2": (KEY, 2)}


@pytest.mark.parametrize(
    ("key", "who", "told"),
    [
        ("nothing", WHO, "no such paid job"),
        ("", WHO, "no such paid job"),
        (KEY, {**WHO, "note": " "}, "who has seen it"),
        (KEY, {**WHO, "by": ""}, "who has seen it"),
    ],
)
def test_what_cannot_be_settled_is_one_line(db: Database, key: str, who: dict[str, str], told: str) -> None:
    intend(db)
    mark(db, KEY, "CANCELLED")
    with pytest.raises(StorageError, match=told):
        settle_by_hand(db, key, 1, **who)
    assert spend(db) == (2_000_000, 0)


def test_a_job_without_a_reservation_is_told(db: Database) -> None:
    record_intent(db, KEY, task="t", backend="gemini", run_key_of=lambda attempt: f"run-{attempt}")
    mark(db, KEY, "FAILED", error="x")
    with pytest.raises(StorageError, match="nothing was reserved"):
        settle_by_hand(db, KEY, 1, **WHO)
    record_intent(db, "local", task="t", backend="local")
    with pytest.raises(StorageError, match="no such paid job"):
        settle_by_hand(db, "local", 1, **WHO)
