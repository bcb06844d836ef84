"""What a person has seen on a bill, taken into the ledger in place of what was reserved.

A job that failed or was cancelled keeps its reservation, for it may be billed: only somebody who has seen the bill
knows. The entry, the job's figure and an event that names the person are written in one transaction.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from finetune_assets.storage import ledger
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.intent_states import OPEN
from finetune_assets.storage.models import BudgetEntryRow, TuningEventRow, TuningIntentRow


def settle_by_hand(db: Database, key: str, actual: int, *, by: str, note: str) -> str:
    """Put what a job was billed in the place of its reservation; a later call corrects an earlier one.

    Args:
        db: the database.
        key: the job's request key, or the run key of one of its attempts.
        actual: what was billed, in millionths of a US dollar.
        by: who has seen the bill; must not be empty.
        note: where it was seen; must not be empty.

    Returns:
        The run key that was settled.

    Raises:
        StorageError: for an unknown key, a job that has not ended, one without a reservation, or no name or note.
    """
    if not by.strip() or not note.strip():
        raise StorageError("a bill needs who has seen it and where", where=f"job {key}", mend="say it with --note")
    with db.session() as session:
        row, run_key = _found(session, key)
        if row.run_key == run_key and row.state in OPEN:
            raise StorageError(
                "the job has not ended",
                where=f"job {key}",
                found=row.state,
                mend="wait for its end, or cancel it first: `finetune jobs cancel`",
            )
        ledger.settle(session, run_key, actual, at=utc_now(), by=by, note=note)
        if row.run_key == run_key:
            row.actual_cost, row.updated_at = actual, utc_now()
        told = f"settled at ${ledger.to_usd(actual):,.2f}: {note}"
        session.add(_event(row, run_key, _attempt(session, row, run_key), by, told))
        return run_key


def _found(session: Session, key: str) -> tuple[TuningIntentRow, str]:
    """Return the job that a key names, and the run key that is meant."""
    row = session.get(TuningIntentRow, key, with_for_update=True)
    if row is not None:
        run_key = row.run_key or _last_run_key(session, key)
        if run_key:
            return row, run_key
    present = select(TuningIntentRow.request_key).where(TuningIntentRow.run_key == key)
    earlier = select(TuningEventRow.request_key).where(TuningEventRow.run_key == key).limit(1)
    request_key = (session.scalar(present) or session.scalar(earlier)) if key else None
    owner = session.get(TuningIntentRow, request_key, with_for_update=True) if request_key else None
    if owner is None:
        raise StorageError(
            "no such paid job", found=key, mend="`finetune budget` and `finetune jobs list` show the keys"
        )
    return owner, key


def _last_run_key(session: Session, request_key: str) -> str:
    """Return the run key of the last attempt that reserved something; a retried job has none of its own yet."""
    keys = select(TuningEventRow.run_key).where(TuningEventRow.request_key == request_key, TuningEventRow.run_key != "")
    query = select(BudgetEntryRow.run_key).where(BudgetEntryRow.run_key.in_(keys)).order_by(BudgetEntryRow.id.desc())
    return session.scalar(query.limit(1)) or ""


def _attempt(session: Session, row: TuningIntentRow, run_key: str) -> int:
    """Return which attempt a run key was given to."""
    query = select(TuningEventRow.attempt).where(TuningEventRow.run_key == run_key).order_by(TuningEventRow.id)
    return session.scalar(query.limit(1)) or row.attempt


def _event(row: TuningIntentRow, run_key: str, attempt: int, by: str, note: str) -> TuningEventRow:
    return TuningEventRow(
        request_key=row.request_key,
        attempt=attempt,
        run_key=run_key,
        from_state=row.state,
        to_state=row.state,
        phase=row.phase,
        provider_state=row.provider_state,
        handle=row.handle,
        at=utc_now(),
        by=by,
        note=note,
    )


def request_keys(db: Database) -> dict[str, tuple[str, int]]:
    """Return request key and attempt of every run key that was ever given out."""
    present = select(TuningIntentRow.run_key, TuningIntentRow.request_key, TuningIntentRow.attempt)
    earlier = select(TuningEventRow.run_key, TuningEventRow.request_key, TuningEventRow.attempt)
    found: dict[str, tuple[str, int]] = {}
    with db.reading() as session:
        # A job that was only written down so far has no event of its run key yet.
        for query in (earlier.order_by(TuningEventRow.id), present.order_by(TuningIntentRow.created_at)):
            for run_key, request_key, attempt in session.execute(query):
                if run_key:
                    found.setdefault(run_key, (request_key, attempt))
    return found
