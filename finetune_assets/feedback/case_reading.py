"""Error cases as they stand, with the texts that are left of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from finetune_assets.feedback.case_moves import CaseState, Source
from finetune_assets.records.doubts import Signal
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import ErrorCaseRow, FeedbackTextRow

_PAGE = 500


@dataclass(frozen=True, slots=True)
class ErrorCase:
    """One error case as it stands.

    Attributes:
        case_id: its number.
        task: the task.
        state: where it stands.
        source: who reported it first.
        cluster: number of its cluster; equal and near-equal errors share one.
        request_id: the prediction's request id, "" where there is none.
        input_digest: pseudonym of the input.
        input: the redacted input; None when it was never kept or is forgotten.
        answer: the redacted answer; None likewise.
        correction_id: number of the correction that counts; None where there is none.
        correction: its text; None likewise.
        label: the label answered.
        score: how sure the first source was.
        signals: what the detector noticed.
        groups: pseudonyms of the declared leak groups.
        dataset_version: which version consumed it, else "".
        dismissed_for: why it was dismissed, else "".
        follows: the consumed or dismissed case that this one was opened after; None for a first one.
        reported_at: when it was reported first.
    """

    case_id: int
    task: str
    state: CaseState
    source: Source
    cluster: int
    request_id: str
    input_digest: str
    input: Mapping[str, Any] | None
    answer: str | None
    correction_id: int | None
    correction: str | None
    label: str
    score: float
    signals: tuple[Signal, ...]
    groups: tuple[str, ...]
    dataset_version: str
    dismissed_for: str
    follows: int | None
    reported_at: datetime


def read_cases(
    db: Database,
    task: str | None = None,
    states: Sequence[CaseState] | None = None,
    *,
    case_ids: Sequence[int] | None = None,
    after: int = 0,
    limit: int | None = None,
) -> Iterator[ErrorCase]:
    """Yield cases by rising number, of one state of the database; see `CaseBook.cases`."""
    query = select(ErrorCaseRow).where(ErrorCaseRow.id > after).order_by(ErrorCaseRow.id).limit(limit)
    if task is not None:
        query = query.where(ErrorCaseRow.task == task)
    if states is not None:
        query = query.where(ErrorCaseRow.state.in_(states))
    if case_ids is not None:
        query = query.where(ErrorCaseRow.id.in_(case_ids))
    with db.reading() as session:
        rows = list(session.scalars(query))
        for start in range(0, len(rows), _PAGE):
            part = rows[start : start + _PAGE]
            texts = _texts(session, part)
            yield from (_case(row, texts) for row in part)


def state_of(row: ErrorCaseRow) -> CaseState:
    """Return where a case stands."""
    state: Any = row.state
    found: CaseState = state
    return found


def _texts(session: Session, rows: Sequence[ErrorCaseRow]) -> dict[tuple[str, int], str]:
    """Return the texts of cases: inputs and answers by case, corrections by their own number."""
    query = select(FeedbackTextRow).where(FeedbackTextRow.case_id.in_([row.id for row in rows]))
    found: dict[tuple[str, int], str] = {}
    for text in session.scalars(query):
        number = text.correction_id if text.kind == "correction" else text.case_id
        if number is not None:
            found[(text.kind, number)] = text.body
    return found


def _case(row: ErrorCaseRow, texts: Mapping[tuple[str, int], str]) -> ErrorCase:
    written = texts.get(("input", row.id))
    source: Any = row.source
    return ErrorCase(
        case_id=row.id,
        task=row.task,
        state=state_of(row),
        source=source,
        cluster=row.cluster_id,
        request_id=row.prediction_id,
        input_digest=row.input_digest,
        input=None if written is None else json.loads(written),
        answer=texts.get(("answer", row.id)),
        correction_id=row.correction_id,
        correction=None if row.correction_id is None else texts.get(("correction", row.correction_id)),
        label=row.label,
        score=row.score,
        signals=tuple(Signal(kind, score) for kind, score in row.signals),
        groups=tuple(row.groups),
        dataset_version=row.dataset_version,
        dismissed_for=row.dismissed_for,
        follows=row.follows_id,
        reported_at=row.reported_at,
    )
