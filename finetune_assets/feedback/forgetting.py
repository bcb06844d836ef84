"""Deletes one person's texts everywhere in this room; counts, digests and the evidence stay.

What a dataset version or a release holds of them is not here: the caller is told which versions took their cases.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from finetune_assets.feedback.case_moves import OPEN, move
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import ErrorCaseRow, FeedbackTextRow, ForgetRow

_STEP_TEXTS = 300
"""Texts of one transaction; each may have its case dismissed, which writes two rows more."""

BY = "forget"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was deleted now; all zero the second time.

    Attributes:
        predictions: records whose texts were deleted.
        cases: error cases that had texts of the person.
        texts: inputs and answers of error cases.
        corrections: corrections of answers about the person.
        comments: comments by or about the person.
        names: places where the person's name as a rater was written.
        dataset_versions: versions that took cases of the person; their artifacts are not touched.
    """

    predictions: int
    cases: int
    texts: int
    corrections: int
    comments: int
    names: int
    dataset_versions: tuple[str, ...]

    @property
    def total(self) -> int:
        """Everything that was deleted."""
        return self.predictions + self.texts + self.corrections + self.comments + self.names


def forget(
    db: Database, store: PredictionStore, subject: str, *, by: str = "", at: datetime | None = None
) -> Forgotten:
    """Delete a person's texts: as the one whom inputs are about, and as the author of comments.

    Open cases whose texts are gone can teach nothing any more and are dismissed as `forgotten`. A killed call is
    finished by the next one. Feedback that arrives later is kept again.

    Args:
        db: the main database.
        store: the file of predictions.
        subject: the person's pseudonym (`Pseudonyms.subject`), not blank.
        by: who asked, for the log.
        at: now, for tests.

    Returns:
        What was deleted now.
    """
    if not subject:
        return Forgotten(0, 0, 0, 0, 0, 0, ())
    now = at or utc_now()
    predictions = store.forget(subject)
    counts = dict.fromkeys(("input", "answer", "correction", "comment", "rater"), 0)
    cases: set[int] = set()
    versions: set[str] = set()
    while _step(db, subject, now, counts, cases, versions):
        pass
    done = Forgotten(
        predictions=predictions,
        cases=len(cases),
        texts=counts["input"] + counts["answer"],
        corrections=counts["correction"],
        comments=counts["comment"],
        names=counts["rater"],
        dataset_versions=tuple(sorted(versions)),
    )
    if done.total:
        with db.session() as session:
            session.add(ForgetRow(subject=subject, counts=asdict(done), by=by, at=now))
    _overwrite(db)
    return done


def _step(
    db: Database, subject: str, now: datetime, counts: dict[str, int], cases: set[int], versions: set[str]
) -> bool:
    """Delete some texts in one transaction and add to the counts; False when none was left."""
    theirs = or_(
        FeedbackTextRow.subject == subject,
        (FeedbackTextRow.author == subject) & FeedbackTextRow.kind.in_(("comment", "rater")),
    )
    with db.session() as session:
        if db.engine.dialect.name == "sqlite":
            session.connection().exec_driver_sql("PRAGMA secure_delete=ON")
        rows = session.scalars(select(FeedbackTextRow).where(theirs).order_by(FeedbackTextRow.id).limit(_STEP_TEXTS))
        found = [(row.id, row.kind, row.case_id) for row in rows]
        spoken = sorted({case_id for _, kind, case_id in found if case_id is not None and kind != "comment"})
        for row in _cases(session, spoken):
            if row.dataset_version:
                versions.add(row.dataset_version)
            if row.state in OPEN:
                move(session, row, "dismissed", source=BY, by=BY, at=now, reason="forgotten")
        session.execute(delete(FeedbackTextRow).where(FeedbackTextRow.id.in_([number for number, _, _ in found])))
    for _, kind, _ in found:
        counts[kind] += 1
    cases.update(spoken)
    return bool(found)


def _cases(session: Session, numbers: list[int]) -> list[ErrorCaseRow]:
    query = select(ErrorCaseRow).where(ErrorCaseRow.id.in_(numbers)).order_by(ErrorCaseRow.id).with_for_update()
    return list(session.scalars(query))


def _overwrite(db: Database) -> None:
    """Cut SQLite's write-ahead log, in which deleted texts would live on; a reader may hold up a part of it."""
    if db.engine.dialect.name != "sqlite":
        return
    raw: Any = db.engine.raw_connection()
    try:
        raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        raw.close()
