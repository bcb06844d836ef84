from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.ledger import (
    BudgetExceededError,
    Reservation,
    ledger_entries,
    month_of,
    month_spend,
    release,
    reserve,
    settle,
    to_micros,
    to_usd,
)
from finetune_assets_tests.storage.databases import fresh_url
from finetune_assets_tests.storage.processes import finish, says, spawn

MARCH = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)
APRIL = MARCH + timedelta(minutes=2)


def hold(db: Database, key: str, amount: int, limit: int | None, at: datetime = MARCH, task: str = "t") -> None:
    with db.session() as session:
        reserve(session, task=task, run_key=key, amount=amount, limit=limit, at=at, by="run-1")


def test_micros_round_up_and_months_are_utc() -> None:
    assert to_micros(0.42) == 420_000
    assert to_micros(0.0000001) == 1
    assert to_micros(1.8750000000000002) == 1_875_000
    assert to_usd(1_500_000) == 1.5
    assert month_of(datetime(2026, 4, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))) == "2026-03"


def test_a_month_takes_what_fits_and_no_more(db: Database) -> None:
    hold(db, "a", 60, 100)
    hold(db, "b", 40, 100)
    with pytest.raises(BudgetExceededError, match=r"does not fit the month's budget at task t, 2026-03") as caught:
        hold(db, "c", 1, 100)
    assert (caught.value.wanted, caught.value.committed, caught.value.limit) == (1, 100, 100)
    assert "monthly_usd" in str(caught.value)
    hold(db, "c", 100, 100, at=APRIL)
    hold(db, "d", 100, 100, task="other")
    hold(db, "e", 10**15, None)
    assert month_spend(db, "t", "2026-04").total == 100
    assert month_spend(db, "other", "2026-03").reserved == 100


def test_a_job_reserves_once(db: Database) -> None:
    hold(db, "a", 60, 100)
    hold(db, "a", 60, 100)
    assert [entry.kind for entry in ledger_entries(db, "t")] == ["reserve"]


def test_what_is_released_is_free_and_can_be_reserved_again(db: Database) -> None:
    hold(db, "a", 100, 100)
    for _ in range(2):
        with db.session() as session:
            release(session, "a", at=APRIL, by="ana", note="refused by the service")
    assert month_spend(db, "t", "2026-03").total == 0
    hold(db, "b", 100, 100)
    with pytest.raises(BudgetExceededError):
        hold(db, "a", 100, 100)
    hold(db, "a", 100, 100, at=APRIL)
    assert [(entry.kind, entry.amount, entry.month) for entry in ledger_entries(db)] == [
        ("reserve", 100, "2026-03"),
        ("release", -100, "2026-03"),
        ("reserve", 100, "2026-03"),
        ("reserve", 100, "2026-04"),
    ]


def test_the_price_takes_the_reservation_s_place(db: Database) -> None:
    hold(db, "a", 100, 100)
    with db.session() as session:
        settle(session, "a", 30, at=APRIL, note="billable tokens")
    hold(db, "b", 70, 100)
    spend = month_spend(db, "t", "2026-03")
    assert (spend.settled, spend.reserved, spend.total) == (30, 70, 100)
    with db.session() as session:
        settle(session, "a", 30, at=APRIL)
    assert len(ledger_entries(db)) == 3
    with db.session() as session:  # a later bill corrects it, even upwards
        settle(session, "a", 130, at=APRIL)
    assert month_spend(db, "t", "2026-03").settled == 130
    with pytest.raises(BudgetExceededError):
        hold(db, "c", 1, 100)


def test_what_cannot_be_booked(db: Database) -> None:
    def book(verb: object, *arguments: object) -> None:
        with db.session() as session:
            verb(session, *arguments, at=MARCH)  # type: ignore[operator]

    with pytest.raises(StorageError, match="nothing was reserved"):
        book(settle, "a", 1)
    with pytest.raises(StorageError, match="nothing was reserved"):
        book(release, "a")
    with pytest.raises(ValueError, match="below zero"):
        hold(db, "a", -1, None)
    hold(db, "a", 5, None)
    with pytest.raises(ValueError, match="below zero"):
        book(settle, "a", -1)
    book(settle, "a", 5)
    with pytest.raises(StorageError, match="settle it with 0"):
        book(release, "a")


STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "release"]), st.integers(0, 5), st.integers(0, 60), st.booleans()),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, limit=st.integers(0, 120))
def test_law_reserved_and_settled_never_pass_the_limit(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int, bool]], limit: int
) -> None:
    """As long as no job costs more than its high estimate, which is what was reserved for it."""
    held: dict[str, int] = {}
    with fresh_url("sqlite", tmp_path_factory.mktemp("ledger")) as url:
        db = Database.open(url)
        for verb, job, amount, is_april in steps:
            key = f"job-{job}"
            try:
                if verb == "reserve":
                    hold(db, key, amount, limit, at=APRIL if is_april else MARCH)
                    held.setdefault(key, amount)
                else:
                    with db.session() as session:
                        if verb == "settle":
                            settle(session, key, min(amount, held.get(key, 0)), at=MARCH)
                        else:
                            release(session, key, at=MARCH)
                            held.pop(key, None)
            except StorageError:
                continue
            finally:
                for month in ("2026-03", "2026-04"):
                    total = month_spend(db, "t", month).total
                    assert 0 <= total <= limit
                    assert total == sum(entry.amount for entry in ledger_entries(db, "t", month))
        db.close()


SPENDS = """
    import sys
    from finetune_assets.storage.database import Database
    from finetune_assets.storage.intents import record_intent
    from finetune_assets.storage.ledger import BudgetExceededError, Reservation
    database = Database.open(sys.argv[1])
    print("go", flush=True)
    sys.stdin.readline()
    won = 0
    for number in range(int(sys.argv[3])):
        key = f"{sys.argv[2]}-{number}"
        reservation = Reservation(1, 2, 3, limit=100, prices_as_of="2026-10-07")
        try:
            record_intent(
                database, key, task="t", backend="gemini", run_key_of=lambda n: f"{key}-{n}", reservation=reservation
            )
            won += 1
        except BudgetExceededError:
            pass
    print(won)
    """


def race(db: Database, processes: int, jobs: int) -> int:
    started = [spawn(SPENDS, db.url, f"p{number}", jobs) for number in range(processes)]
    for process in started:
        says(process, "go")
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return sum(int(finish(process)) for process in started)


def check_race(db: Database, won: int) -> None:
    from finetune_assets.storage.intents import list_intents

    assert won == 33  # 33 x 3 fit into 100, whoever they were
    assert month_spend(db, "t", month_of(utc_now())).total == 99
    intents = list_intents(db)
    assert len(intents) == 33  # a job that did not fit left no row
    assert {intent.run_key for intent in intents} == {entry.run_key for entry in ledger_entries(db)}


def test_processes_never_both_fit_into_the_last_dollar(db: Database) -> None:
    check_race(db, race(db, processes=4, jobs=15))


@pytest.mark.soak
def test_many_processes_never_both_fit_into_the_last_dollar(db: Database) -> None:
    check_race(db, race(db, processes=12, jobs=100))


def test_a_reservation_is_in_dollars() -> None:
    assert Reservation(1, 2, 3, limit=None, prices_as_of="2026-10-07").currency == "USD"
