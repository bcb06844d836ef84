"""What a backend says of a job, written into the job's intent: state, phase, handle and what is booked."""

from __future__ import annotations

from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.intents import INTENT_TRANSITIONS, Intent, IntentState, find_intent, mark
from finetune_assets.tuning.backends.protocol import JobState, JobStatus

# Phases of an intent that a backend does not know: before its job has a handle.
SUBMITTING = "submitting"
REFUSED = "refused"
_STATES: dict[JobState, IntentState] = {
    "waiting": "SUBMITTED",
    "running": "RUNNING",
    "cancelling": "RUNNING",
    "unknown": "SUBMITTED",
    "succeeded": "SUCCEEDED",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
    "expired": "EXPIRED",
}


def record_status(db: Database, request_key: str, status: JobStatus, *, by: str = "", note: str = "") -> Intent:
    """Write down how a job stands.

    A job that never started has cost nothing: its reservation is given back. One that failed later may be billed, so
    that its reservation stays until somebody settles it.

    Args:
        db: the database.
        request_key: the job's intent.
        status: what the backend says.
        by: who or which run says so.
        note: a word for the event.

    Raises:
        StorageError: for an unknown request.
    """
    intent = find_intent(db, request_key)
    if intent is None:
        raise StorageError("no such tuning intent", where=f"request {request_key}", mend="record the intent first")
    if _is_settled(intent, status):
        return intent
    never_started = status.has_ended and status.state != "succeeded" and status.started is None
    return mark(
        db,
        request_key,
        _state_after(intent, status),
        handle=status.handle,
        phase="cancelling" if status.state == "cancelling" else status.phase,
        provider_state=status.provider_state,
        error=status.error or (f"the service says {status.provider_state}" if _ended_badly(status) else ""),
        by=by,
        note=note,
        release=never_started and intent.actual_cost is None,
    )


def _state_after(intent: Intent, status: JobStatus) -> IntentState:
    """Return the intent's next state; a job that waits again after it ran stays RUNNING, its phase says the rest."""
    wanted = _STATES[status.state]
    if wanted != intent.state and wanted not in INTENT_TRANSITIONS[intent.state]:
        return "RUNNING"
    return wanted


def _is_settled(intent: Intent, status: JobStatus) -> bool:
    """Whether the intent has ended already, in whatever way: what ended does not change again."""
    ended = intent.state in ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")
    return ended and (intent.handle == status.handle or intent.state != "SUCCEEDED")


def _ended_badly(status: JobStatus) -> bool:
    return status.has_ended and status.state != "succeeded"
