"""A dataset version takes corrected cases: in steps of at most 1,000 rows, each one transaction, resumed after a kill.

A version names the very corrections that it was made of. A case that was corrected again meanwhile, dismissed, or taken
by another version stays as it is and is told; cases that arrive meanwhile are not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from finetune_assets.feedback.case_moves import move
from finetune_assets.records.digests import digest_of
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import ConsumptionRow, ErrorCaseRow

STEP_CASES: Final = 499
"""Cases of one transaction: each has its row and an event written, and the consumption its own."""

BY = "dataset"


@dataclass(frozen=True, slots=True)
class Consumed:
    """What a dataset version took.

    Attributes:
        cases: cases that are consumed by this version, those of an earlier attempt included.
        left: cases that stayed as they are: the number and why (`corrected_again`, `dismissed`, `consumed_by_another`,
            `not_corrected`, `missing`).
        copies: uncorrected cases of an equal input that were there before, dismissed as duplicates now.
    """

    cases: int
    left: Mapping[int, str]
    copies: int


def consume(
    db: Database, task: str, dataset_version: str, cases: Mapping[int, int], *, at: datetime | None = None
) -> Consumed:
    """Mark corrected cases as taken by a dataset version; calling it again goes on where a killed call stopped.

    Args:
        db: the main database.
        task: the task.
        dataset_version: the version's digest or name, not blank.
        cases: number of each case to the number of the correction that its row was made of.
        at: now, for tests.

    Returns:
        What was taken and what was left; of a finished consumption the same once more.

    Raises:
        FinetuneError: when the version took other cases before, or is blank.
    """
    if not dataset_version:
        raise FinetuneError("a consumption needs its dataset version", where=task)
    now = at or utc_now()
    newest = _begin(db, task, dataset_version, cases, now)
    wanted = sorted(cases)
    for start in range(0, len(wanted), STEP_CASES):
        _take(db, task, dataset_version, {number: cases[number] for number in wanted[start : start + STEP_CASES]}, now)
    copies = _close_copies(db, task, dataset_version, newest, now)
    left = _finish(db, task, dataset_version, wanted, cases, now)
    return Consumed(len(wanted) - len(left), left, copies)


def unfinished(db: Database, task: str) -> list[str]:
    """Return the dataset versions whose taking was stopped half-way, oldest first."""
    query = select(ConsumptionRow.dataset_version).where(
        ConsumptionRow.task == task, ConsumptionRow.finished_at.is_(None)
    )
    with db.reading() as session:
        return list(session.scalars(query.order_by(ConsumptionRow.id)))


def finished(db: Database, task: str) -> set[str]:
    """Return the dataset versions whose taking came to its end."""
    query = select(ConsumptionRow.dataset_version).where(
        ConsumptionRow.task == task, ConsumptionRow.finished_at.is_not(None)
    )
    with db.reading() as session:
        return set(session.scalars(query))


def _begin(db: Database, task: str, version: str, cases: Mapping[int, int], now: datetime) -> int:
    """Write down what is to be taken, once; return the newest case of the task at that moment."""
    digest = digest_of(sorted(cases.items()))
    with db.session() as session:
        row = _row(session, task, version)
        if row is None:
            newest = session.scalar(select(func.max(ErrorCaseRow.id)).where(ErrorCaseRow.task == task)) or 0
            row = ConsumptionRow(
                task=task,
                dataset_version=version,
                cases_digest=digest,
                wanted=len(cases),
                newest_case_id=newest,
                started_at=now,
                finished_at=None,
            )
            session.add(row)
            session.flush()
        if row.cases_digest != digest:
            raise FinetuneError(
                "the dataset version took other cases before",
                where=f"{task}, version {version}",
                found=f"{len(cases)} cases",
                expected=f"the {row.wanted} cases of the first attempt",
                mend="give another dataset another version",
            )
        return row.newest_case_id


def _take(db: Database, task: str, version: str, cases: Mapping[int, int], now: datetime) -> None:
    with db.session() as session:
        for row in _rows(session, task, sorted(cases)):
            if row.state == "corrected" and row.correction_id == cases[row.id]:
                move(session, row, "consumed", source=BY, by=BY, at=now, detail=version, version=version)


def _close_copies(db: Database, task: str, version: str, newest: int, now: datetime) -> int:
    """Dismiss the uncorrected cases of an equal input that were there when the taking began."""
    taken = select(ErrorCaseRow.input_digest).where(
        ErrorCaseRow.task == task, ErrorCaseRow.dataset_version == version, ErrorCaseRow.state == "consumed"
    )
    copies = (
        select(ErrorCaseRow)
        .where(
            ErrorCaseRow.task == task,
            ErrorCaseRow.state == "new",
            ErrorCaseRow.id <= newest,
            ErrorCaseRow.input_digest.in_(taken),
        )
        .order_by(ErrorCaseRow.id)
        .limit(STEP_CASES)
        .with_for_update()
    )
    closed = 0
    while True:
        with db.session() as session:
            rows = session.scalars(copies).all()
            for row in rows:
                move(session, row, "dismissed", source=BY, by=BY, at=now, detail=version, reason="duplicate")
        closed += len(rows)
        if len(rows) < STEP_CASES:
            return closed


def _finish(
    db: Database, task: str, version: str, wanted: Sequence[int], cases: Mapping[int, int], now: datetime
) -> dict[int, str]:
    """Say which cases were left and why, and close the consumption."""
    left: dict[int, str] = {}
    with db.session() as session:
        for start in range(0, len(wanted), STEP_CASES):
            numbers = wanted[start : start + STEP_CASES]
            found = {row.id: row for row in _rows(session, task, numbers)}
            reasons = {number: _why_left(found.get(number), version, cases[number]) for number in numbers}
            left.update({number: why for number, why in reasons.items() if why})
        row = _row(session, task, version)
        if row is not None and row.finished_at is None:
            row.finished_at = now
    return left


def _why_left(row: ErrorCaseRow | None, version: str, correction_id: int) -> str:
    if row is None:
        return "missing"
    if row.state == "consumed":
        return "" if row.dataset_version == version else "consumed_by_another"
    if row.state == "corrected":
        return "corrected_again" if row.correction_id != correction_id else "not_corrected"
    return "dismissed" if row.state == "dismissed" else "not_corrected"


def _row(session: Session, task: str, version: str) -> ConsumptionRow | None:
    query = select(ConsumptionRow).where(ConsumptionRow.task == task, ConsumptionRow.dataset_version == version)
    return session.scalars(query.with_for_update()).one_or_none()


def _rows(session: Session, task: str, numbers: Sequence[int]) -> Sequence[ErrorCaseRow]:
    query = select(ErrorCaseRow).where(ErrorCaseRow.task == task, ErrorCaseRow.id.in_(numbers))
    return session.scalars(query.order_by(ErrorCaseRow.id).with_for_update()).all()
