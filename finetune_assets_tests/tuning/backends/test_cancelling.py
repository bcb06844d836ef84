from __future__ import annotations

import pytest

from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.intents import mark, record_intent
from finetune_assets.tuning.backends.cancelling import cancel_job
from finetune_assets.tuning.backends.recording import SUBMITTING, record_status
from finetune_assets.tuning.backends.sweep import sweep
from finetune_assets_tests.tuning.backends.jobs import job_request
from finetune_assets_tests.tuning.backends.memory import MemoryBackend

JOB = job_request()
KEY = JOB.request.request_key


@pytest.fixture
def backend(database: Database) -> MemoryBackend:
    record_intent(database, KEY, task="router", backend="gemini", run_key_of=lambda _: JOB.run_key)
    return MemoryBackend()


def test_a_running_job(database: Database, backend: MemoryBackend) -> None:
    job = backend.add(run_key=JOB.run_key, labels=JOB.labels())
    record_status(database, KEY, job)
    assert cancel_job(database, backend, KEY, by="ann").state == "CANCELLED"
    assert backend.jobs[job.handle].state == "cancelled"
    with pytest.raises(StorageError):
        cancel_job(database, backend, KEY, by="ann")


def test_a_job_without_handle(database: Database, backend: MemoryBackend) -> None:
    job = backend.add(run_key=JOB.run_key, labels=JOB.labels())
    intent = cancel_job(database, backend, KEY, by="ann")
    assert (intent.state, intent.handle) == ("CANCELLED", job.handle)


def test_a_job_that_was_never_submitted(database: Database, backend: MemoryBackend) -> None:
    assert cancel_job(database, backend, KEY, by="ann").state == "CANCELLED"
    assert "cancel" not in backend.calls


def test_a_job_in_doubt_is_left_to_who_finds_it(database: Database, backend: MemoryBackend) -> None:
    mark(database, KEY, "INTENDED", phase=SUBMITTING)
    assert cancel_job(database, backend, KEY, by="ann").state == "INTENDED"
    job = backend.add(run_key=JOB.run_key, labels=JOB.labels())
    assert list(sweep(database, {"gemini": backend}).cancelled) == [job.handle]
    assert sweep(database, {"gemini": backend}).finished == {KEY: "cancelled"}


def test_a_job_that_is_gone(database: Database, backend: MemoryBackend) -> None:
    job = backend.add(run_key=JOB.run_key, labels=JOB.labels())
    record_status(database, KEY, job)
    backend.jobs.clear()
    intent = cancel_job(database, backend, KEY, by="ann")
    assert intent.state == "CANCELLED"
