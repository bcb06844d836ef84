from __future__ import annotations

from typing import Any

import pytest

from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.intents import events_of, find_intent, mark, request_cancel, retry_intent
from finetune_assets.storage.leases import lease
from finetune_assets.storage.ledger import BudgetExceededError, Reservation, ledger_entries
from finetune_assets.tuning.backends.patience import LeftRunningError, Waiter
from finetune_assets.tuning.backends.protocol import JobStatus
from finetune_assets.tuning.backends.submission import Booking, attempt_of, choose, submit_once
from finetune_assets.tuning.cloud.errors import (
    AmbiguousError,
    JobFailedError,
    NoCredentialsError,
    PermissionDeniedError,
    QuotaError,
    RejectedError,
    UnavailableError,
)
from finetune_assets_tests.tuning.backends.jobs import cloud_config, job_request
from finetune_assets_tests.tuning.backends.memory import START, MemoryBackend, Time

CLOUD = cloud_config(polling={"first_s": 1.0, "longest_s": 8.0, "visibility_s": 5.0, "outage_h": 1.0})
JOB = job_request(cloud=CLOUD)
KEY = JOB.request.request_key
BOOKING = Booking(reservation=Reservation(1, 2, 3, 6, "2026-11-01"), by="run 1", twin_s=0.0)
LOST = AmbiguousError("lost")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


def submit(database: Database, backend: MemoryBackend, time: Time, **more: Any) -> JobStatus:
    job = more.pop("job", JOB)
    return submit_once(database, backend, job, BOOKING, Waiter(clock=time.clock, sleep=time.sleep, **more))


def kinds(database: Database) -> list[str]:
    return [entry.kind for entry in ledger_entries(database)]


def test_a_second_submission_attaches(database: Database, backend: MemoryBackend, time: Time) -> None:
    first = submit(database, backend, time)
    assert backend.calls == ["find", "submit"]
    assert submit(database, backend, time).handle == first.handle
    assert backend.calls == ["find", "submit", "status"]
    intent = find_intent(database, KEY)
    assert intent is not None
    assert (intent.state, intent.handle, intent.run_key) == ("SUBMITTED", first.handle, JOB.run_key)
    assert intent.request["output_uri"] == JOB.output_uri
    assert kinds(database) == ["reserve"]


def test_an_answer_that_got_lost_is_looked_up(database: Database, backend: MemoryBackend, time: Time) -> None:
    backend.lose_answer = True
    backend.failures["submit"] = [LOST]
    status = submit(database, backend, time)
    assert list(backend.jobs) == [status.handle]
    assert backend.calls == ["find", "submit", "find"]
    assert time.now >= 5.0


def test_a_list_that_lags_leaves_one_job_alive(database: Database, backend: MemoryBackend, time: Time) -> None:
    backend.lose_answer = True
    backend.failures["submit"] = [LOST]
    backend.hidden_for = 2
    status = submit(database, backend, time)
    live = [job.handle for job in backend.jobs.values() if not job.has_ended]
    assert live == [status.handle]
    assert status.handle.endswith("/0"), "the older job is kept"


def test_doubt_that_does_not_end_is_an_error_and_the_next_run_looks_first(
    database: Database, backend: MemoryBackend, time: Time
) -> None:
    backend.failures["submit"] = [LOST] * 10_000
    with pytest.raises(AmbiguousError):
        submit(database, backend, time)
    assert 3600 <= time.now <= 3600 + 300
    backend.add(run_key=JOB.run_key, labels=JOB.labels())
    backend.calls.clear()
    submit(database, backend, time)
    assert backend.calls == ["find"]
    assert kinds(database) == ["reserve"]


def test_a_refusal_gives_the_money_back_and_can_be_mended(
    database: Database, backend: MemoryBackend, time: Time
) -> None:
    backend.failures["submit"] = [PermissionDeniedError("no")]
    with pytest.raises(PermissionDeniedError):
        submit(database, backend, time)
    assert kinds(database) == ["reserve", "release"]
    submit(database, backend, time)
    assert kinds(database) == ["reserve", "release", "reserve"]
    assert len(backend.jobs) == 1


def test_quota_is_waited_for(database: Database, backend: MemoryBackend, time: Time) -> None:
    backend.failures["submit"] = [QuotaError("full")] * 5
    submit(database, backend, time)
    assert len(backend.jobs) == 1
    assert time.now >= 0.8 * (60 + 120 + 240 + 480 + 900)
    assert kinds(database) == ["reserve"]


def test_an_outage_of_looks_is_waited_out(database: Database, backend: MemoryBackend, time: Time) -> None:
    backend.failures["find"] = [UnavailableError("down")] * 20
    submit(database, backend, time)
    backend.failures["status"] = [UnavailableError("down")] * 20
    submit(database, backend, time)
    backend.failures["status"] = [UnavailableError("down")] * 10_000
    with pytest.raises(UnavailableError):
        submit(database, backend, time)
    assert len(backend.jobs) == 1


def test_without_credentials_or_service_nothing_is_waited_for_long(
    database: Database, backend: MemoryBackend, time: Time
) -> None:
    backend.failures["find"] = [NoCredentialsError("none")]
    with pytest.raises(NoCredentialsError):
        submit(database, backend, time)
    assert time.now == 0.0
    backend.failures["find"] = [UnavailableError("down")] * 10_000
    with pytest.raises(UnavailableError):
        submit(database, backend, time)
    assert time.now <= 660.0


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "EXPIRED"])
def test_another_attempt_is_a_persons_decision(
    database: Database, backend: MemoryBackend, time: Time, state: Any
) -> None:
    first = submit(database, backend, time)
    mark(database, KEY, state, error="it broke")
    backend.set(first.handle, state=state.lower(), started=START)
    with pytest.raises(JobFailedError) as caught:
        submit(database, backend, time)
    assert f"finetune jobs retry {KEY}" in caught.value.mend
    retry_intent(database, KEY, by="ann", reason="mended")
    assert attempt_of(database, KEY) == 2
    with pytest.raises(RejectedError, match="another attempt"):
        submit(database, backend, time)
    second = submit(database, backend, time, job=job_request(cloud=CLOUD, attempt=2))
    assert second.run_key != first.run_key
    assert len(backend.jobs) == 2


def test_a_job_that_failed_unseen_is_told_not_repeated(database: Database, backend: MemoryBackend, time: Time) -> None:
    backend.add(run_key=JOB.run_key, labels=JOB.labels(), state="failed", error="bad rows", started=START)
    assert submit(database, backend, time).state == "failed"
    assert len(backend.jobs) == 1
    intent = find_intent(database, KEY)
    assert intent is not None
    assert (intent.state, intent.error) == ("FAILED", "bad rows")


def test_a_success_whose_result_was_lost_is_read_again(database: Database, backend: MemoryBackend, time: Time) -> None:
    first = submit(database, backend, time)
    mark(database, KEY, "SUCCEEDED")
    backend.set(first.handle, state="succeeded")
    assert submit(database, backend, time).state == "succeeded"
    assert len(backend.jobs) == 1


def test_the_budget_is_asked_before_the_provider(database: Database, backend: MemoryBackend, time: Time) -> None:
    booking = Booking(reservation=Reservation(1, 2, 30, 5, "2026-11-01"))
    with pytest.raises(BudgetExceededError):
        submit_once(database, backend, JOB, booking, Waiter(clock=time.clock, sleep=time.sleep))
    assert backend.calls == []
    assert find_intent(database, KEY) is None


def test_one_submitter_at_a_time(database: Database, backend: MemoryBackend, time: Time) -> None:
    with lease(database, f"submit/{KEY}"), pytest.raises(StorageError, match="another process is at it"):
        submit(database, backend, time)
    assert backend.calls == []


def test_another_place_is_refused_while_a_job_is_under_way(
    database: Database, backend: MemoryBackend, time: Time
) -> None:
    submit(database, backend, time)
    elsewhere = job_request(cloud=cloud_config(location="europe-west4"))
    with pytest.raises(StorageError, match="another place"):
        submit(database, backend, time, job=elsewhere)
    assert len(backend.jobs) == 1


def test_a_cancel_before_the_create_creates_nothing(database: Database, backend: MemoryBackend, time: Time) -> None:
    def point(name: str) -> None:
        if name == "after find":
            request_cancel(database, KEY, by="ann")

    with pytest.raises(JobFailedError):
        submit(database, backend, time, on_point=point)
    assert backend.jobs == {}
    assert kinds(database) == ["reserve", "release"]


def test_a_stop_while_waiting_for_quota_leaves_the_intent(
    database: Database, backend: MemoryBackend, time: Time
) -> None:
    wishes: list[Any] = [""]
    time.at.append((30.0, lambda: wishes.append("leave")))
    backend.failures["submit"] = [QuotaError("full")] * 5
    with pytest.raises(LeftRunningError):
        submit(database, backend, time, should_stop=lambda: wishes[-1])
    backend.failures.clear()
    submit(database, backend, time)
    assert len(backend.jobs) == 1
    assert [event.phase for event in events_of(database, KEY)][-1] == "queued"


def test_the_oldest_that_lives_or_succeeded_is_kept() -> None:
    backend = MemoryBackend()
    failed = backend.add(state="failed")
    kept = backend.add(state="succeeded")
    live = backend.add(state="running")
    assert choose([failed, kept, live]) == (kept, [live])
    assert choose([failed]) == (failed, [])
    assert choose([]) == (None, [])
