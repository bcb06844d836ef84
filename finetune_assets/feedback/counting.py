"""The figures of error cases: how many stand where, and the error rate of a window with its interval.

Copies of one error count once, so errors are clusters; predictions are the answers that were witnessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, exists, func, or_, select

from finetune_assets.evaluation.statistics.exact import wilson_interval
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import CASE_STATES, CaseAsideRow, CaseEventRow, ErrorCaseRow

ONE_SIDED_95 = 0.90
"""Confidence of the two-sided interval whose lower bound holds with 95 %."""


@dataclass(frozen=True, slots=True)
class CaseCounts:
    """How many error cases of a task stand where.

    Attributes:
        states: cases by state; every state is named.
        opened: cases that were ever opened; the sum of `states`, for no case is ever deleted.
        open_clusters: clusters with a case that is new, or corrected and not set aside.
        corrected_clusters: clusters with a corrected case whose correction a dataset version can take.
        sources: cases by who reported them first.
    """

    states: Mapping[str, int]
    opened: int
    open_clusters: int
    corrected_clusters: int
    sources: Mapping[str, int]

    @property
    def correction_rate(self) -> float | None:
        """Share of the open clusters with a correction; None when none is open."""
        return self.corrected_clusters / self.open_clusters if self.open_clusters else None


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Errors among the predictions of a window.

    Attributes:
        errors: wrong answers, copies of one error counted once.
        predictions: all answers.
        rate: their share; None without predictions.
        lower: its lower bound, which holds with 95 % (Wilson); 0 without predictions.
        upper: its upper bound likewise; 1 without predictions.
    """

    errors: int
    predictions: int
    rate: float | None
    lower: float
    upper: float


_CAN_TEACH = and_(
    ErrorCaseRow.state == "corrected",
    ~exists().where(CaseAsideRow.case_id == ErrorCaseRow.id, CaseAsideRow.correction_id == ErrorCaseRow.correction_id),
)


def case_counts(db: Database, task: str) -> CaseCounts:
    """Count a task's cases."""
    of_task = ErrorCaseRow.task == task
    clusters = func.count(ErrorCaseRow.cluster_id.distinct())
    with db.reading() as session:
        by_state = dict(
            (state, count)
            for state, count in session.execute(
                select(ErrorCaseRow.state, func.count()).where(of_task).group_by(ErrorCaseRow.state)
            )
        )
        by_source = dict(
            (source, count)
            for source, count in session.execute(
                select(ErrorCaseRow.source, func.count()).where(of_task).group_by(ErrorCaseRow.source)
            )
        )
        opened = session.scalar(
            select(func.count())
            .select_from(CaseEventRow)
            .join(ErrorCaseRow, ErrorCaseRow.id == CaseEventRow.case_id)
            .where(of_task, CaseEventRow.from_state == "")
        )
        open_clusters = session.scalar(select(clusters).where(of_task, or_(ErrorCaseRow.state == "new", _CAN_TEACH)))
        corrected = session.scalar(select(clusters).where(of_task, _CAN_TEACH))
    return CaseCounts(
        states={state: by_state.get(state, 0) for state in CASE_STATES},
        opened=opened or 0,
        open_clusters=open_clusters or 0,
        corrected_clusters=corrected or 0,
        sources=dict(sorted(by_source.items())),
    )


def errors_in(db: Database, task: str, since: datetime, until: datetime) -> int:
    """Count the clusters of wrong answers that were given in a window.

    Cases that were dismissed as `not_an_error` do not count, nor does what people showed without an error.
    """
    query = select(func.count(ErrorCaseRow.cluster_id.distinct())).where(
        ErrorCaseRow.task == task,
        ErrorCaseRow.predicted_at >= since,
        ErrorCaseRow.predicted_at < until,
        ErrorCaseRow.dismissed_for != "not_an_error",
        ErrorCaseRow.source != "demonstration",
    )
    with db.reading() as session:
        return session.scalar(query) or 0


def error_rate(errors: int, predictions: int, *, confidence: float = ONE_SIDED_95) -> ErrorRate:
    """Return the rate with its interval (Wilson's).

    Args:
        errors: at most `predictions`.
        predictions: 0 or more.
        confidence: of the two-sided interval; 0.90 makes a lower bound that holds with 95 %.
    """
    lower, upper = wilson_interval(errors, predictions, confidence=confidence)
    return ErrorRate(errors, predictions, errors / predictions if predictions else None, lower, upper)


def rate_in(db: Database, store: PredictionStore, task: str, since: datetime, until: datetime) -> ErrorRate:
    """Return the error rate of a window; it begins no earlier than the predictions that are still kept."""
    begin = kept_since(store, task, since, until)
    return error_rate(errors_in(db, task, begin, until), store.count(task, begin, until))


def kept_since(store: PredictionStore, task: str, since: datetime, until: datetime) -> datetime:
    """Return where a window may begin: errors of answers that were pruned have no denominator left."""
    horizon = store.horizon(task)
    return since if horizon is None else min(max(since, horizon), until)
