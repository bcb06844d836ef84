"""How an error case moves: new → corrected → consumed | dismissed, each move written down, within one transaction.

Here belong the legal moves and the rows that each writes. `cases.py` says when they are made.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.feedback_models import (
    CASE_MOVES,
    CaseCorrectionRow,
    CaseEventRow,
    ErrorCaseRow,
    FeedbackTextRow,
)

CaseState = Literal["new", "corrected", "consumed", "dismissed"]
Source = Literal["detector", "feedback", "regression", "demonstration"]
Method = Literal["manual", "auto", "feedback"]
DismissalReason = Literal["not_an_error", "unusable", "duplicate", "forgotten"]
REASONS: tuple[DismissalReason, ...] = ("not_an_error", "unusable", "duplicate", "forgotten")
TextKind = Literal["input", "answer", "correction", "comment", "rater"]
OPEN: tuple[CaseState, ...] = ("new", "corrected")


class CaseStateError(FinetuneError):
    """A case does not stand where the move begins."""


def move(
    session: Session,
    row: ErrorCaseRow,
    to_state: CaseState,
    *,
    source: str,
    by: str,
    at: datetime,
    detail: str = "",
    version: str = "",
    reason: str = "",
) -> None:
    """Move a case and write the event, in the caller's transaction.

    Args:
        session: a writing transaction that holds the row.
        row: the case.
        to_state: where it goes; the state it is in notes that it was reported or corrected once more.
        source: what moves it.
        by: pseudonym of who did, or the part of the platform.
        at: now.
        detail: a code or an id; never a text of a person.
        version: the dataset version that consumes it.
        reason: why it is dismissed.

    Raises:
        CaseStateError: when the move is not a legal one.
    """
    if (row.state, to_state) not in CASE_MOVES:
        raise CaseStateError(
            "an error case cannot be moved so", where=f"case {row.id}", found=row.state, expected=_before(to_state)
        )
    _note(session, row, row.state, to_state, source, detail, by, at)
    if row.state == to_state:
        return
    row.state = to_state
    row.dataset_version = version
    row.dismissed_for = reason
    row.updated_at = at


def open_case(session: Session, row: ErrorCaseRow, *, source: str, by: str, at: datetime) -> None:
    """Add a new case and write its first event."""
    session.add(row)
    session.flush()
    _note(session, row, "", row.state, source, "", by, at)


def add_correction(
    session: Session,
    row: ErrorCaseRow,
    *,
    body: str,
    content_digest: str,
    method: Method,
    rater: str,
    subject: str,
    at: datetime,
) -> CaseCorrectionRow:
    """Write a correction down; which one counts is `correction_id` of the case.

    Args:
        session: a writing transaction.
        row: the case.
        body: the redacted correction.
        content_digest: its pseudonym.
        method: how it was made.
        rater: pseudonym of who made it.
        subject: pseudonym of the person whom the input is about.
        at: now.
    """
    made = CaseCorrectionRow(case_id=row.id, content_digest=content_digest, method=method, rater=rater, at=at)
    session.add(made)
    session.flush()
    session.add(text_row("correction", body, case_id=row.id, correction_id=made.id, subject=subject, author=rater))
    return made


def text_row(
    kind: TextKind,
    body: str,
    *,
    case_id: int | None = None,
    correction_id: int | None = None,
    feedback_id: int | None = None,
    subject: str = "",
    author: str = "",
) -> FeedbackTextRow:
    """Return a text that can be deleted."""
    return FeedbackTextRow(
        kind=kind,
        case_id=case_id,
        correction_id=correction_id,
        feedback_id=feedback_id,
        subject=subject,
        author=author,
        body=body,
    )


def _note(
    session: Session, row: ErrorCaseRow, before: str, after: str, source: str, detail: str, by: str, at: datetime
) -> None:
    session.add(
        CaseEventRow(case_id=row.id, from_state=before, to_state=after, source=source, detail=detail, by=by, at=at)
    )


def _before(state: str) -> str:
    return " or ".join(sorted({one for one, other in CASE_MOVES if other == state and one not in ("", state)}))
