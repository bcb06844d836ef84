"""The states of a tuning intent, the steps between them, and how intents and their events are looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import select

from finetune_assets.storage.database import Database
from finetune_assets.storage.models import TuningEventRow, TuningIntentRow

IntentState = Literal["INTENDED", "SUBMITTED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"]
INTENT_STATES: tuple[str, ...] = get_args(IntentState)
OPEN: tuple[str, ...] = ("INTENDED", "SUBMITTED", "RUNNING")
ENDED_BADLY: frozenset[str] = frozenset({"FAILED", "CANCELLED", "EXPIRED"})

# Where a job may go from each state. One that ended badly is opened again by `record_intent` (local) or `retry_intent`
# (paid) only, which count a new attempt. A success is worked on again only where its result was lost; a backend that
# pays looks at the handle first.
INTENT_TRANSITIONS: dict[str, frozenset[str]] = {
    "INTENDED": frozenset({"SUBMITTED", "RUNNING", "SUCCEEDED", *ENDED_BADLY}),
    "SUBMITTED": frozenset({"RUNNING", "SUCCEEDED", *ENDED_BADLY}),
    "RUNNING": frozenset({"SUCCEEDED", *ENDED_BADLY}),
    "SUCCEEDED": frozenset({"RUNNING"}),
    "FAILED": frozenset(),
    "CANCELLED": frozenset(),
    "EXPIRED": frozenset(),
}


@dataclass(frozen=True, slots=True)
class Intent:
    """A tuning job, from before its submission on. Amounts are millionths of a US dollar.

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
        run_key: the label under which the provider knows this attempt; "" for a local job.
        namespace: the run's namespace.
        variant: the tuning variant, "" where there are none.
        phase: what it waits for or does, as a backend says.
        phase_since: since when it is in this state and phase.
        provider_state: the provider's own word.
        submitted_at: when this attempt was submitted, None before.
        cancel_requested_by: who wants its end, "" for nobody.
        request: what attaching to it needs: settings, URIs, location, project.
        estimate_low: the low estimate, None where nothing was reserved.
        estimate_mid: the middle estimate.
        estimate_high: the high estimate, which is what was reserved.
        currency: of the estimate.
        prices_as_of: date of the oldest price in the estimate.
        billable_tokens: tokens that were billed, None before that is known.
        actual_cost: what it cost, None before that is known.
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
    run_key: str = ""
    namespace: str = ""
    variant: str = ""
    phase: str = ""
    phase_since: datetime | None = None
    provider_state: str = ""
    submitted_at: datetime | None = None
    cancel_requested_by: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    estimate_low: int | None = None
    estimate_mid: int | None = None
    estimate_high: int | None = None
    currency: str = ""
    prices_as_of: str = ""
    billable_tokens: int | None = None
    actual_cost: int | None = None

    @property
    def is_paid(self) -> bool:
        """Whether a provider is paid for it."""
        return bool(self.run_key)

    @property
    def is_open(self) -> bool:
        """Whether it has not ended, as far as we know."""
        return self.state in OPEN

    @property
    def ended_badly(self) -> bool:
        """Whether it failed, was cancelled or expired."""
        return self.state in ENDED_BADLY


@dataclass(frozen=True, slots=True)
class IntentEvent:
    """One change of a tuning job: from and to which state, in whose words, and who said so."""

    attempt: int
    run_key: str
    from_state: str
    to_state: str
    phase: str
    provider_state: str
    handle: str
    at: datetime
    by: str
    note: str


def find_intent(db: Database, request_key: str) -> Intent | None:
    """Return the job of a request, or None."""
    with db.reading() as session:
        row = session.get(TuningIntentRow, request_key)
        return None if row is None else intent_of(row)


def find_run(db: Database, run_key: str) -> Intent | None:
    """Return the job whose present attempt has this run key, or None."""
    with db.reading() as session:
        row = session.scalar(select(TuningIntentRow).where(TuningIntentRow.run_key == run_key))
        return None if row is None else intent_of(row)


def open_intents(db: Database, task: str | None = None) -> list[Intent]:
    """Return the jobs that have not ended, oldest first, of one task or of all."""
    return [intent for intent in list_intents(db, task) if intent.state in OPEN]


def list_intents(db: Database, task: str | None = None) -> list[Intent]:
    """Return all jobs, oldest first, of one task or of all."""
    query = select(TuningIntentRow).order_by(TuningIntentRow.created_at, TuningIntentRow.request_key)
    if task is not None:
        query = query.where(TuningIntentRow.task == task)
    with db.reading() as session:
        return [intent_of(row) for row in session.scalars(query)]


def events_of(db: Database, request_key: str) -> list[IntentEvent]:
    """Return every change of a job, in order."""
    query = select(TuningEventRow).where(TuningEventRow.request_key == request_key).order_by(TuningEventRow.id)
    with db.reading() as session:
        return [event_of(row) for row in session.scalars(query)]


def intent_of(row: TuningIntentRow) -> Intent:
    """Return what callers see of a row."""
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
        run_key=row.run_key or "",
        namespace=row.namespace,
        variant=row.variant,
        phase=row.phase,
        phase_since=row.phase_since,
        provider_state=row.provider_state,
        submitted_at=row.submitted_at,
        cancel_requested_by=row.cancel_requested_by,
        request=row.request,
        estimate_low=row.estimate_low,
        estimate_mid=row.estimate_mid,
        estimate_high=row.estimate_high,
        currency=row.currency,
        prices_as_of=row.prices_as_of,
        billable_tokens=row.billable_tokens,
        actual_cost=row.actual_cost,
    )


def event_of(row: TuningEventRow) -> IntentEvent:
    """Return what callers see of an event's row."""
    return IntentEvent(
        attempt=row.attempt,
        run_key=row.run_key,
        from_state=row.from_state,
        to_state=row.to_state,
        phase=row.phase,
        provider_state=row.provider_state,
        handle=row.handle,
        at=row.at,
        by=row.by,
        note=row.note,
    )
