"""Tuning intents: a job is written down before it is submitted, so that no crash makes it twice.

A paid job has a run key, the label under which its provider knows it; a local one has none. Signatures:

    record_intent(db, request_key, *, task, backend, run_key_of=None, namespace="", variant="", request=None,
                  reservation=None, by="") -> Intent
        Commits the row before anything is submitted. `run_key_of(attempt)` makes the job a paid one: when it FAILED,
        was CANCELLED or EXPIRED it is returned as it is; only `retry_intent` opens it again. `reservation` goes into
        the budget's ledger in the same transaction (BudgetExceededError: neither is written).
    retry_intent(db, request_key, *, by, reason) -> Intent
        A person's decision: the next attempt, INTENDED, without handle, run key and reservation. The next
        `record_intent` gives it the new run key and reserves again.
    mark(db, request_key, state, *, handle=None, error=None, phase=None, provider_state=None, by="", note="",
         billable_tokens=None, actual_cost=None, release=False) -> Intent
        `actual_cost` (micros) settles the reservation, `release=True` gives it back: both in the same transaction.
        Appends to `tuning_events` when state, phase, provider_state or handle changed.
    request_cancel(db, request_key, *, by) -> Intent      written down before the provider is asked
    find_intent(db, request_key), find_run(db, run_key), open_intents(db, task=None), list_intents(db, task=None)
    events_of(db, request_key) -> list[IntentEvent]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.intent_states import (
    ENDED_BADLY,
    INTENT_STATES,
    INTENT_TRANSITIONS,
    OPEN,
    Intent,
    IntentEvent,
    IntentState,
    events_of,
    find_intent,
    find_run,
    intent_of,
    list_intents,
    open_intents,
)
from finetune_assets.storage.ledger import Reservation, release, reserve, settle
from finetune_assets.storage.models import TuningEventRow, TuningIntentRow

__all__ = [
    "INTENT_STATES",
    "INTENT_TRANSITIONS",
    "Intent",
    "IntentEvent",
    "IntentState",
    "events_of",
    "find_intent",
    "find_run",
    "list_intents",
    "mark",
    "open_intents",
    "record_intent",
    "request_cancel",
    "retry_intent",
]


def record_intent(
    db: Database,
    request_key: str,
    *,
    task: str,
    backend: str,
    run_key_of: Callable[[int], str] | None = None,
    namespace: str = "",
    variant: str = "",
    request: Mapping[str, Any] | None = None,
    reservation: Reservation | None = None,
    by: str = "",
) -> Intent:
    """Write down that a job is to be; the row is committed when this returns.

    A job that is under way or has succeeded is returned as it is, to be attached to. A local one that ended badly is
    opened again as the next attempt; a paid one is returned as it ended.

    Args:
        db: the database.
        request_key: identity of the request.
        task: the task.
        backend: who tunes.
        run_key_of: for a paid job, the run key of an attempt (1, 2, …); None for a local one.
        namespace: the run's namespace.
        variant: the tuning variant, "" where there are none.
        request: settings, URIs, location and project: what attaching needs after the host died. No row texts.
        reservation: what the job may cost and the limit it has to fit; asked for once for each attempt.
        by: who or which run asks.

    Raises:
        BudgetExceededError: when the reservation does not fit; nothing was written.
        StorageError: when a job of this request is under way with another run key, that is at another place.
    """
    about: dict[str, Any] = {
        "task": task,
        "backend": backend,
        "namespace": namespace,
        "variant": variant,
        "request": dict(request or {}),
    }
    while True:
        try:
            with db.session() as session:
                row = _intend(session, request_key, about, is_paid=run_key_of is not None, by=by)
                if run_key_of is not None and row.state == "INTENDED":
                    _make_ready(session, row, run_key_of(row.attempt), about["request"], reservation, by)
                elif run_key_of is not None and row.state in OPEN:
                    _require_same_run(row, run_key_of(row.attempt))
                return intent_of(row)
        except IntegrityError:
            continue  # two wrote the same key or month at once; the next round finds the row


def retry_intent(db: Database, request_key: str, *, by: str, reason: str) -> Intent:
    """Open a job that ended badly as its next attempt, because a person says so.

    Args:
        db: the database.
        request_key: identity of the request.
        by: who decides; must not be empty.
        reason: why another attempt may be paid for.

    Raises:
        StorageError: for an unknown request, a job that did not end badly, or no name.
    """
    if not by.strip():
        raise StorageError("a new attempt needs the name of who asks for it", where=f"request {request_key}")
    with db.session() as session:
        row = _row(session, request_key)
        if row.state not in ENDED_BADLY:
            raise StorageError(
                f"a tuning job that is {row.state} gets no new attempt",
                where=f"request {request_key}",
                expected=" or ".join(sorted(ENDED_BADLY)),
                mend="cancel it first" if row.state in OPEN else "its result is there; change the request to tune anew",
            )
        _reopen(session, row, by=by, note=reason)
        return intent_of(row)


def mark(
    db: Database,
    request_key: str,
    state: IntentState,
    *,
    handle: str | None = None,
    error: str | None = None,
    phase: str | None = None,
    provider_state: str | None = None,
    by: str = "",
    note: str = "",
    billable_tokens: int | None = None,
    actual_cost: int | None = None,
    release: bool = False,
) -> Intent:
    """Record how a job stands; None leaves what is known.

    Args:
        db: the database.
        request_key: identity of the request.
        state: where it stands now; its present state again only updates the rest.
        handle: the provider's name for it.
        error: why it failed.
        phase: what it waits for or does.
        provider_state: the provider's own word for it.
        by: who or which run says so.
        note: a word for the event.
        billable_tokens: tokens that are paid for.
        actual_cost: what it cost, in micros; takes the reservation's place.
        release: give the reservation back, for nothing was billed.

    Raises:
        StorageError: for an unknown request, or a step back, for instance from `RUNNING` to `INTENDED`.
    """
    with db.session() as session:
        row = _row(session, request_key)
        _require_step(row, state)
        before = (row.state, row.phase, row.provider_state, row.handle)
        if row.state == "SUCCEEDED" and state == "RUNNING":
            row.attempt += 1
        now = utc_now()
        _set(row, now, state=state, phase=phase, handle=handle, error=error, provider_state=provider_state)
        row.billable_tokens = row.billable_tokens if billable_tokens is None else billable_tokens
        _book(session, row, actual_cost, give_back=release, now=now, by=by)
        if before != (row.state, row.phase, row.provider_state, row.handle):
            _append_event(session, row, before[0], by, note or (error or ""))
        return intent_of(row)


def request_cancel(db: Database, request_key: str, *, by: str) -> Intent:
    """Write down that somebody wants a job's end, before its provider is asked: a crash then does not forget it.

    Raises:
        StorageError: for an unknown request, or a job that has ended.
    """
    with db.session() as session:
        row = _row(session, request_key)
        if row.state not in OPEN:
            raise StorageError(f"a tuning job that is {row.state} cannot be cancelled", where=f"request {request_key}")
        row.cancel_requested_by = by
        row.updated_at = utc_now()
        _append_event(session, row, row.state, by, "cancel requested")
        return intent_of(row)


def _intend(session: Session, request_key: str, about: Mapping[str, Any], *, is_paid: bool, by: str) -> TuningIntentRow:
    row = session.get(TuningIntentRow, request_key, with_for_update=True)
    if row is None:
        now = utc_now()
        row = TuningIntentRow(
            request_key=request_key,
            **about,
            state="INTENDED",
            handle="",
            attempt=1,
            error="",
            created_at=now,
            updated_at=now,
            phase="",
            phase_since=now,
            provider_state="",
            cancel_requested_by="",
            currency="",
            prices_as_of="",
        )
        session.add(row)
        session.flush()
        _append_event(session, row, "", by, "")
    elif row.state in ENDED_BADLY and not is_paid and row.run_key is None:
        _reopen(session, row, by=by, note="the last attempt ended badly")
    return row


def _reopen(session: Session, row: TuningIntentRow, *, by: str, note: str) -> None:
    before, now = row.state, utc_now()
    row.state, row.handle, row.error = "INTENDED", "", ""
    row.attempt += 1
    row.run_key = None
    row.phase, row.provider_state, row.cancel_requested_by = "", "", ""
    row.submitted_at, row.phase_since, row.updated_at = None, now, now
    row.billable_tokens = row.actual_cost = None
    row.estimate_low = row.estimate_mid = row.estimate_high = None
    row.currency = row.prices_as_of = ""
    _append_event(session, row, before, by, note)


def _make_ready(
    session: Session,
    row: TuningIntentRow,
    run_key: str,
    request: dict[str, Any],
    reservation: Reservation | None,
    by: str,
) -> None:
    """Give an attempt that was not submitted yet its run key, its request and its place in the budget."""
    if row.run_key is None:
        row.run_key, row.request = run_key, request
    _require_same_run(row, run_key)
    if reservation is None:
        return
    now = utc_now()
    session.flush()
    amount, limit = reservation.high, reservation.limit
    if reserve(session, task=row.task, run_key=run_key, amount=amount, limit=limit, at=now, by=by):
        row.estimate_low, row.estimate_mid, row.estimate_high = reservation.low, reservation.mid, amount
        row.currency, row.prices_as_of = reservation.currency, reservation.prices_as_of


def _require_same_run(row: TuningIntentRow, run_key: str) -> None:
    if row.run_key != run_key:
        raise StorageError(
            "a job of this very request is under way at another place",
            where=f"request {row.request_key}",
            found=f"run key {row.run_key}",
            expected=run_key,
            mend="go back to its project and location, or cancel it and ask for a new attempt",
        )


def _row(session: Session, request_key: str) -> TuningIntentRow:
    row = session.get(TuningIntentRow, request_key, with_for_update=True)
    if row is None:
        raise StorageError("no such tuning intent", where=f"request {request_key}", mend="record the intent first")
    return row


def _require_step(row: TuningIntentRow, state: str) -> None:
    if state != row.state and state not in INTENT_TRANSITIONS[row.state]:
        raise StorageError(
            f"a tuning job that is {row.state} cannot become {state}",
            where=f"request {row.request_key}",
            expected=" or ".join(sorted(INTENT_TRANSITIONS[row.state])) or "no further change",
        )


def _set(row: TuningIntentRow, now: datetime, *, state: str, phase: str | None, **texts: str | None) -> None:
    if (row.state, row.phase) != (state, row.phase if phase is None else phase):
        row.phase_since = now
    if row.submitted_at is None and state not in ("INTENDED", *ENDED_BADLY):
        row.submitted_at = now
    row.state = state
    for name, value in {"phase": phase, **texts}.items():
        if value is not None:
            setattr(row, name, value)
    row.updated_at = now


def _book(
    session: Session, row: TuningIntentRow, actual_cost: int | None, *, give_back: bool, now: datetime, by: str
) -> None:
    if row.run_key is None or row.estimate_high is None:
        if actual_cost is not None:
            row.actual_cost = actual_cost
        return
    if actual_cost is not None:
        row.actual_cost = actual_cost
        settle(session, row.run_key, actual_cost, at=now, by=by)
    elif give_back:
        release(session, row.run_key, at=now, by=by)


def _append_event(session: Session, row: TuningIntentRow, before: str, by: str, note: str) -> None:
    session.add(
        TuningEventRow(
            request_key=row.request_key,
            attempt=row.attempt,
            run_key=row.run_key or "",
            from_state=before,
            to_state=row.state,
            phase=row.phase,
            provider_state=row.provider_state,
            handle=row.handle,
            at=utc_now(),
            by=by,
            note=note,
        )
    )
    session.flush()
