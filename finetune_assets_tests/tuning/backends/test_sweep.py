from __future__ import annotations

import pytest

from finetune_assets.storage.database import Database
from finetune_assets.storage.intents import find_intent, mark, record_intent, request_cancel, retry_intent
from finetune_assets.storage.leases import lease
from finetune_assets.tuning.backends.protocol import JobStatus
from finetune_assets.tuning.backends.recording import record_status
from finetune_assets.tuning.backends.sweep import sweep
from finetune_assets.tuning.cloud.errors import UnavailableError
from finetune_assets_tests.tuning.backends.jobs import job_request
from finetune_assets_tests.tuning.backends.memory import START, MemoryBackend

JOB = job_request()
KEY = JOB.request.request_key


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


def intend(database: Database) -> None:
    record_intent(database, KEY, task="router", backend="gemini", run_key_of=lambda _: JOB.run_key)


def add(backend: MemoryBackend, **more: object) -> JobStatus:
    return backend.add(**{"run_key": JOB.run_key, "labels": JOB.labels(), **more})


def test_a_quiet_day(database: Database, backend: MemoryBackend) -> None:
    intend(database)
    job = add(backend)
    record_status(database, KEY, job)
    assert sweep(database, {"gemini": backend}).is_quiet


def test_orphans_are_adopted_and_second_jobs_cancelled(database: Database, backend: MemoryBackend) -> None:
    intend(database)
    older, younger = add(backend), add(backend)
    report = sweep(database, {"gemini": backend})
    assert report.adopted == {KEY: older.handle}
    assert list(report.cancelled) == [younger.handle]
    intent = find_intent(database, KEY)
    assert intent is not None
    assert (intent.state, intent.handle) == ("SUBMITTED", older.handle)


def test_a_watcher_that_died_is_stood_in_for(database: Database, backend: MemoryBackend) -> None:
    intend(database)
    job = add(backend)
    record_status(database, KEY, job)
    backend.set(job.handle, state="failed", error="bad rows", started=START)
    assert sweep(database, {"gemini": backend}).finished == {KEY: "failed"}
    intent = find_intent(database, KEY)
    assert intent is not None
    assert (intent.state, intent.error) == ("FAILED", "bad rows")


def test_nobodys_jobs_are_told_and_left_alone(database: Database, backend: MemoryBackend) -> None:
    strange = backend.add(run_key="f" * 40, labels={"managed_by": "finetune_assets", "request_key": "f" * 20})
    backend.add(run_key="e" * 40, state="succeeded")
    report = sweep(database, {"gemini": backend})
    assert report.unclaimed == [strange]
    assert "cancel" not in backend.calls


def test_a_job_of_an_attempt_that_is_over_is_cancelled(database: Database, backend: MemoryBackend) -> None:
    second = job_request(attempt=2)
    old = add(backend)
    intend(database)
    mark(database, KEY, "CANCELLED")
    retry_intent(database, KEY, by="ann", reason="mended")
    record_intent(database, KEY, task="router", backend="gemini", run_key_of=lambda _: second.run_key)
    report = sweep(database, {"gemini": backend})
    assert list(report.cancelled) == [old.handle]
    assert report.adopted == {}


def test_a_wish_to_cancel_outlives_a_crash(database: Database, backend: MemoryBackend) -> None:
    intend(database)
    job = add(backend)
    record_status(database, KEY, job)
    request_cancel(database, KEY, by="ann")
    assert list(sweep(database, {"gemini": backend}).cancelled) == [job.handle]
    assert sweep(database, {"gemini": backend}).finished == {KEY: "cancelled"}


def test_a_job_that_is_gone_is_told(database: Database, backend: MemoryBackend) -> None:
    intend(database)
    job = add(backend)
    record_status(database, KEY, job)
    backend.jobs.clear()
    assert sweep(database, {"gemini": backend}).lost == [KEY]


def test_a_submitter_at_work_is_not_disturbed(database: Database, backend: MemoryBackend) -> None:
    intend(database)
    add(backend)
    with lease(database, f"submit/{KEY}"):
        report = sweep(database, {"gemini": backend})
    assert (report.busy, report.adopted) == ([KEY], {})


def test_one_backends_outage_does_not_stop_the_others(database: Database, backend: MemoryBackend) -> None:
    intend(database)
    add(backend)
    down = MemoryBackend(name="custom_job", failures={"owned": [UnavailableError("down")]})
    report = sweep(database, {"gemini": backend, "custom_job": down})
    assert list(report.adopted) == [KEY]
    assert report.problems == ["custom_job: down"]


def test_jobs_at_another_place_are_not_looked_for_here(database: Database, backend: MemoryBackend) -> None:
    for number, place in enumerate([("p1", "us-central1"), ("p1", "europe-west4"), ("p2", "us-central1")]):
        job = job_request(rows=str(number))
        project, location = place
        record_intent(
            database,
            job.request.request_key,
            task="router",
            backend="gemini",
            run_key_of=lambda _, run_key=job.run_key: run_key,  # type: ignore[misc]
            request={"project": project, "location": location},
        )
        handle = f"projects/{project}/locations/{location}/tuningJobs/{number}"
        mark(database, job.request.request_key, "SUBMITTED", handle=handle)
    report = sweep(database, {"gemini": backend}, place=("p1", "us-central1"))
    assert report.lost == [job_request(rows="0").request.request_key]
    assert backend.calls.count("status") == 1


def test_an_attempt_is_over_wherever_the_next_one_runs(database: Database, backend: MemoryBackend) -> None:
    old = add(backend)
    intend(database)
    mark(database, KEY, "CANCELLED")
    retry_intent(database, KEY, by="ann", reason="moved")
    second = job_request(attempt=2)
    elsewhere = {"project": "p2", "location": "us-central1"}
    record_intent(
        database, KEY, task="router", backend="gemini", run_key_of=lambda _: second.run_key, request=elsewhere
    )
    report = sweep(database, {"gemini": backend}, place=("p1", "us-central1"))
    assert list(report.cancelled) == [old.handle]
