"""Tuning intents: a job is written down before it is submitted, so that no crash makes it twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.models import TuningIntentRow

IntentState = Literal["INTENDED", "SUBMITTED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"]
INTENT_STATES: tuple[str, ...] = get_args(IntentState)

# Where a job may go from each state. One that failed or was cancelled is opened again by `record_intent` only, which
# counts a new attempt. A success is worked on again only where its result was lost; a backend that pays looks at the
# handle first.
INTENT_TRANSITIONS: dict[str, frozenset[str]] = {
    "INTENDED": frozenset({"SUBMITTED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"}),
    "SUBMITTED": frozenset({"RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"}),
    "RUNNING": frozenset({"SUCCEEDED", "FAILED", "CANCELLED"}),
    "SUCCEEDED": frozenset({"RUNNING"}),
    "FAILED": frozenset(),
    "CANCELLED": frozenset(),
}


@dataclass(frozen=True, slots=True)
class Intent:
    """A tuning job, from before its submission on.

    Attributes:
        request_key: identity of the request; one job at most per key.
        task: the task.
        backend: who tunes, for instance `local`.
        state: one of INTENT_STATES.
        handle: the provider's name for the job, or the work folder; "" before it is known.
        attempt: 1, 2, …
        error: why the last attempt failed, else "".
        created_at: when it was first intended.
        updated_at: when it last changed.
    """

    request_key: str
    task: str
    backend: str
    state: str
    handle: str
    attempt: int
    error: str
    created_at: datetime
    updated_at: datetime


def record_intent(db: Database, request_key: str, *, task: str, backend: str) -> Intent:
    """Write down that a job is to be; the row is committed when this returns.

    A job that is under way or has succeeded is returned as it is, to be attached to. One that failed or was cancelled
    is opened again as the next attempt.

    Args:
        db: the database.
        request_key: identity of the request.
        task: the task.
        backend: who tunes.
    """
    while True:
        try:
            with db.session() as session:
                return _intend(session, request_key, task, backend)
        except IntegrityError:
            continue  # two wrote the same key at once; the next round finds the row


def mark(
    db: Database, request_key: str, state: IntentState, *, handle: str | None = None, error: str | None = None
) -> Intent:
    """Record how a job stands.

    Args:
        db: the database.
        request_key: identity of the request.
        state: where it stands now; its present state again only updates handle and error.
        handle: the provider's name for it; None leaves what is known.
        error: why it failed; None leaves what is known.

    Raises:
        StorageError: for an unknown request, or a step back, for instance from `RUNNING` to `INTENDED`.
    """
    with db.session() as session:
        row = session.get(TuningIntentRow, request_key, with_for_update=True)
        if row is None:
            raise StorageError("no such tuning intent", where=f"request {request_key}", mend="record the intent first")
        if state != row.state and state not in INTENT_TRANSITIONS[row.state]:
            raise StorageError(
                f"a tuning job that is {row.state} cannot become {state}",
                where=f"request {request_key}",
                expected=" or ".join(sorted(INTENT_TRANSITIONS[row.state])) or "no further change",
            )
        if row.state == "SUCCEEDED" and state == "RUNNING":
            row.attempt += 1
        row.state = state
        row.handle = row.handle if handle is None else handle
        row.error = row.error if error is None else error
        row.updated_at = utc_now()
        return _intent(row)


def find_intent(db: Database, request_key: str) -> Intent | None:
    """Return the job of a request, or None."""
    with db.reading() as session:
        row = session.get(TuningIntentRow, request_key)
        return None if row is None else _intent(row)


def open_intents(db: Database, task: str | None = None) -> list[Intent]:
    """Return the jobs that have not ended, oldest first, of one task or of all."""
    query = select(TuningIntentRow).where(TuningIntentRow.state.in_(("INTENDED", "SUBMITTED", "RUNNING")))
    if task is not None:
        query = query.where(TuningIntentRow.task == task)
    with db.reading() as session:
        rows = session.scalars(query.order_by(TuningIntentRow.created_at, TuningIntentRow.request_key))
        return [_intent(row) for row in rows]


def _intend(session: Session, request_key: str, task: str, backend: str) -> Intent:
    row = session.get(TuningIntentRow, request_key, with_for_update=True)
    now = utc_now()
    if row is None:
        row = TuningIntentRow(
            request_key=request_key,
            task=task,
            backend=backend,
            state="INTENDED",
            handle="",
            attempt=1,
            error="",
            created_at=now,
            updated_at=now,
        )
        session.add(row)
        session.flush()
    elif row.state in ("FAILED", "CANCELLED"):
        row.state, row.handle, row.error = "INTENDED", "", ""
        row.attempt += 1
        row.updated_at = now
    return _intent(row)


def _intent(row: TuningIntentRow) -> Intent:
    return Intent(
        request_key=row.request_key,
        task=row.task,
        backend=row.backend,
        state=row.state,
        handle=row.handle,
        attempt=row.attempt,
        error=row.error,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
