"""Notes the corrections that can teach nothing: they stay on record, and ask for no run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import CaseAsideRow, ErrorCaseRow

STEP_CASES = 499
"""Cases of one transaction, one row each."""


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
        step = numbers[start : start + STEP_CASES]
        cases = select(ErrorCaseRow).where(
            ErrorCaseRow.task == task, ErrorCaseRow.state == "corrected", ErrorCaseRow.id.in_(step)
        )
        with db.session() as session:
            known = {
                (row.case_id, row.correction_id)
                for row in session.scalars(select(CaseAsideRow).where(CaseAsideRow.case_id.in_(step)))
            }
            for row in session.scalars(cases.order_by(ErrorCaseRow.id).with_for_update()).all():
                correction, reason = reasons[row.id]
                if row.correction_id == correction and (row.id, correction) not in known:
                    session.add(CaseAsideRow(case_id=row.id, correction_id=correction, reason=reason, at=now))
                    noted += 1
    return noted
