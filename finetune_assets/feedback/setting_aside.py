"""Notes the corrections that can teach nothing: they stay on record, and ask for no run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from finetune_assets.feedback.case_moves import move
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import ErrorCaseRow

STEP_CASES = 499
"""Cases of one transaction: each has its row and an event written."""

BY = "dataset"


def set_aside(db: Database, task: str, reasons: Mapping[int, tuple[int, str]], *, at: datetime | None = None) -> int:
    """Note corrections that no dataset version can take; calling it again changes nothing.

    A case that is corrected anew counts again by itself: what is noted is the correction.

    Args:
        db: the main database.
        task: the task.
        reasons: number of each case to the number of the correction that was looked at, and a code that says why.
        at: now, for tests.

    Returns:
        How many were noted now; cases that were corrected again or closed meanwhile are left.
    """
    now, noted, numbers = at or utc_now(), 0, sorted(reasons)
    for start in range(0, len(numbers), STEP_CASES):
        query = select(ErrorCaseRow).where(
            ErrorCaseRow.task == task,
            ErrorCaseRow.state == "corrected",
            ErrorCaseRow.id.in_(numbers[start : start + STEP_CASES]),
        )
        with db.session() as session:
            for row in session.scalars(query.order_by(ErrorCaseRow.id).with_for_update()).all():
                correction, reason = reasons[row.id]
                if row.correction_id == correction and row.aside_correction_id != correction:
                    row.aside_correction_id = correction
                    move(session, row, "corrected", source=BY, by=BY, at=now, detail=f"set aside: {reason}")
                    noted += 1
    return noted
