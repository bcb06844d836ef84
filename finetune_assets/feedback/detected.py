"""Turns predictions that the error detector doubts into error cases, beside the answering and not in its way."""

from __future__ import annotations

from datetime import datetime

from finetune_assets.feedback.cases import CaseBook
from finetune_assets.feedback.error_report import ErrorReport
from finetune_assets.feedback.prediction_store import PredictionStore

BY = "detector"
_PAGE = 500


def ingest_detected(
    book: CaseBook, store: PredictionStore, task: str, *, limit: int = 10_000, at: datetime | None = None
) -> int:
    """Report what the detector doubts and is no case yet; a killed call is finished by the next one.

    Args:
        book: the error cases; its config says from which score on an answer is doubted.
        store: the predictions; it remembers how far this got.
        task: the task.
        limit: predictions of one call, so that a storm does not keep its caller for long.
        at: now, for tests.

    Returns:
        How many predictions were reported; `limit` when there may be more.
    """
    reported = 0
    while reported < limit:
        page = store.doubted(task, book.config.min_error_score, min(_PAGE, limit - reported))
        if not page:
            break
        reports = [ErrorReport.of_prediction(prediction, "detector", by=BY) for _, prediction in page]
        book.report(reports, at=at)
        # Only now: a kill before this line has the same predictions reported again, which changes nothing.
        store.remember_doubted(task, page[-1][0])
        reported += len(page)
    return reported
