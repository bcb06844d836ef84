from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.intents import events_of, find_intent
from finetune_assets.storage.models import TuningIntentRow
from finetune_assets.tuning.backends.patience import LeftRunningError, Waiter
from finetune_assets.tuning.backends.protocol import JobStatus
from finetune_assets.tuning.backends.submission import submit_once
from finetune_assets.tuning.backends.watching import watch
from finetune_assets.tuning.cloud.errors import DeadlineError, MissingError, NoCredentialsError, UnavailableError
from finetune_assets_tests.tuning.backends.jobs import cloud_config, job_request
from finetune_assets_tests.tuning.backends.memory import START, MemoryBackend, Time

POLLING = {"first_s": 15.0, "longest_s": 60.0, "visibility_s": 5.0, "outage_h": 1.0}
CONFIG = cloud_config(polling=POLLING, deadlines={"quota_h": 2.0, "capacity_h": 3.0, "running_h": 4.0})
KEY = job_request().request.request_key
DOWN = UnavailableError("down")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


def waiter(time: Time, **more: Any) -> Waiter:
    return Waiter(clock=time.clock, sleep=time.sleep, **more)


def submitted(database: Database, backend: MemoryBackend, time: Time) -> str:
    return submit_once(database, backend, job_request(cloud=CONFIG), waiter=waiter(time)).handle


def test_changes_alone_are_told_and_recorded(database: Database, backend: MemoryBackend, time: Time) -> None:
    handle = submitted(database, backend, time)
    backend.script = [
        {},
        {"phase": "quota", "provider_state": "WAITING_FOR_QUOTA"},
        {},
        {"state": "running", "phase": "tuning", "started": START},
        {},
        {},
        {"state": "succeeded", "phase": ""},
    ]
    seen: list[JobStatus] = []
    ended = watch(
        database, backend, handle=handle, request_key=KEY, config=CONFIG, waiter=waiter(time, on_change=seen.append)
    )
    assert ended.state == "succeeded"
    assert [(status.state, status.phase) for status in seen] == [
        ("waiting", "queued"),
        ("waiting", "quota"),
        ("running", "tuning"),
        ("succeeded", ""),
    ]
    states = [event.to_state for event in events_of(database, KEY)]
    assert states == ["INTENDED", "INTENDED", "SUBMITTED", "SUBMITTED", "RUNNING", "SUCCEEDED"]
    assert 6 * 12 <= time.now <= 6 * 72


def test_a_job_that_waits_again_stays_running(database: Database, backend: MemoryBackend, time: Time) -> None:
    handle = submitted(database, backend, time)
    backend.script = [
        {"state": "running", "phase": "tuning"},
        {"state": "waiting", "phase": "capacity"},
        {"state": "failed", "phase": "", "error": "no machine", "started": START},
    ]
    assert watch(database, backend, KEY, handle, CONFIG, waiter(time)).state == "failed"
    intent = find_intent(database, KEY)
    assert intent is not None
    assert (intent.state, intent.error) == ("FAILED", "no machine")


@pytest.mark.parametrize(
    ("state", "phase", "hours"),
    [
        ("waiting", "queued", 2.0),
        ("waiting", "quota", 2.0),
        ("waiting", "capacity", 3.0),
        ("running", "tuning", 4.0),
        ("unknown", "", 4.0),
        ("cancelling", "", 1.0),
    ],
)
def test_each_phase_has_its_deadline(
    database: Database, backend: MemoryBackend, time: Time, state: Any, phase: Any, hours: float
) -> None:
    handle = submitted(database, backend, time)
    backend.set(handle, state=state, phase=phase)
    with pytest.raises(DeadlineError) as caught:
        watch(database, backend, KEY, handle, CONFIG, waiter(time))
    assert hours * 3600 <= time.now <= hours * 3600 + 120
    assert "runs on" in caught.value.what
    assert "cancel" not in backend.calls


def test_a_deadline_counts_over_restarts(database: Database, backend: MemoryBackend, time: Time) -> None:
    handle = submitted(database, backend, time)
    with database.session() as session:
        session.execute(update(TuningIntentRow).values(phase_since=utc_now() - timedelta(hours=1.5)))
    with pytest.raises(DeadlineError):
        watch(database, backend, KEY, handle, CONFIG, waiter(time))
    assert time.now <= 0.5 * 3600 + 120


def test_an_outage_does_not_fail_the_run(database: Database, backend: MemoryBackend, time: Time) -> None:
    handle = submitted(database, backend, time)
    backend.failures["status"] = [DOWN] * 40
    backend.script = [{"state": "succeeded"}]
    notes: list[str] = []
    assert watch(database, backend, KEY, handle, CONFIG, waiter(time, on_note=notes.append)).state == "succeeded"
    assert len(notes) == 1
    backend.failures["status"] = [DOWN] * 400
    with pytest.raises(DeadlineError, match="could not be looked at"):
        watch(database, backend, KEY, handle, CONFIG, waiter(time))


def test_credentials_may_be_renewed_but_have_to_be_there(
    database: Database, backend: MemoryBackend, time: Time
) -> None:
    handle = submitted(database, backend, time)
    backend.failures["status"] = [NoCredentialsError("none")]
    with pytest.raises(NoCredentialsError):
        watch(database, backend, KEY, handle, CONFIG, waiter(time))
    time.at.append((time.now + 1.0, lambda: backend.failures.update(status=[NoCredentialsError("expired")] * 3)))
    backend.script = [{}, {"state": "succeeded"}]
    assert watch(database, backend, KEY, handle, CONFIG, waiter(time)).state == "succeeded"


def test_a_job_that_is_gone_is_missing(database: Database, backend: MemoryBackend, time: Time) -> None:
    with pytest.raises(MissingError):
        watch(database, backend, KEY, "projects/p1/locations/us-central1/tuningJobs/404", CONFIG, waiter(time))


def test_an_unknown_state_is_said_once_and_waited_on(database: Database, backend: MemoryBackend, time: Time) -> None:
    handle = submitted(database, backend, time)
    backend.script = [{"state": "unknown", "provider_state": "JOB_STATE_NEW"}, {}, {}, {"state": "succeeded"}]
    notes: list[str] = []
    assert watch(database, backend, KEY, handle, CONFIG, waiter(time, on_note=notes.append)).state == "succeeded"
    assert len([note for note in notes if "JOB_STATE_NEW" in note]) == 1


def test_a_persons_cancel_ends_the_job(database: Database, backend: MemoryBackend, time: Time) -> None:
    handle = submitted(database, backend, time)
    wishes: list[Any] = [""]
    time.at.append((100.0, lambda: wishes.append("cancel")))
    backend.failures["cancel"] = [DOWN]
    ended = watch(database, backend, KEY, handle, CONFIG, waiter(time, should_stop=lambda: wishes[-1]))
    assert ended.state == "cancelled"
    assert backend.calls.count("cancel") == 2
    intent = find_intent(database, KEY)
    assert intent is not None
    assert intent.state == "CANCELLED"
    # Within seconds, not at the next look.
    assert time.now <= 100.0 + 20.0


def test_an_infrastructures_stop_leaves_the_job(database: Database, backend: MemoryBackend, time: Time) -> None:
    handle = submitted(database, backend, time)
    wishes: list[Any] = [""]
    time.at.append((100.0, lambda: wishes.append("leave")))
    with pytest.raises(LeftRunningError):
        watch(database, backend, KEY, handle, CONFIG, waiter(time, should_stop=lambda: wishes[-1]))
    assert "cancel" not in backend.calls
    assert not backend.jobs[handle].has_ended
    assert time.now <= 102.0
    backend.script = [{"state": "succeeded"}]
    again = submit_once(database, backend, job_request(cloud=CONFIG), waiter=waiter(time))
    assert again.handle == handle
    assert len(backend.jobs) == 1
    assert replace(again, state="succeeded").has_ended
