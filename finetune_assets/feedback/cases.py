"""Error cases: reported by the detector, by people and by regression suites; corrected, dismissed, read.

A case is one wrong answer, told apart by its prediction, or by input and answer where there is none; reporting it again
adds an event. What a dataset version takes is in `consuming.py`, the figures are in `counting.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from finetune_assets.feedback.case_moves import (
    REASONS,
    CaseState,
    CaseStateError,
    DismissalReason,
    Method,
    add_correction,
    move,
    open_case,
    text_row,
)
from finetune_assets.feedback.case_reading import ErrorCase, read_cases, state_of
from finetune_assets.feedback.clusters import Sketcher, cluster_of
from finetune_assets.feedback.config import FeedbackConfig
from finetune_assets.feedback.error_report import ErrorReport, case_key
from finetune_assets.feedback.predictions import input_digest, input_text
from finetune_assets.feedback.pseudonyms import Pseudonyms
from finetune_assets.feedback.redaction import Redactor, person_in
from finetune_assets.records.digests import canonical_json
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import (
    CaseCorrectionRow,
    CaseEventRow,
    ErrorCaseRow,
    FeedbackTextRow,
)

STEP_REPORTS = 40
"""Reports in one transaction: each may write 25 rows, its cluster's bands included."""


class CaseBook:
    """The error cases of the tasks that share one section `feedback:`.

    Args:
        db: the main database.
        config: what is kept, and what counts as one error.
        pseudonyms: the installation's.
    """

    def __init__(self, db: Database, config: FeedbackConfig, pseudonyms: Pseudonyms) -> None:
        self.db = db
        self.config = config
        self.pseudonyms = pseudonyms
        self.redactor = Redactor(config.redaction, pseudonyms)
        self._sketcher = Sketcher(pseudonyms.derived("sketch"))

    def report(self, reports: Sequence[ErrorReport], *, at: datetime | None = None) -> list[int]:
        """Write errors down, `STEP_REPORTS` in a transaction; what is known already gets an event at most.

        Args:
            reports: any number; those of equal content are one case.
            at: now, for tests.

        Returns:
            The case of each report, in their order. A kill leaves the first ones written; reporting all of them again
            writes the rest.
        """
        cases: list[int] = []
        for start in range(0, len(reports), STEP_REPORTS):
            with self.db.session() as session:
                step = reports[start : start + STEP_REPORTS]
                cases += [self.report_in(session, report, at or utc_now()) for report in step]
        return cases

    def correct(
        self, case_id: int, correction: str, *, rater: str, method: Method = "manual", at: datetime | None = None
    ) -> int:
        """Give a case its right answer; an earlier correction stays on record.

        A case that a dataset version has taken, or that was dismissed, stays so; the correction then opens a case that
        follows it. What a program corrected never replaces what a person did.

        Args:
            case_id: the case.
            correction: the right answer, not blank.
            rater: who says so; kept as a pseudonym, and by name where it can be deleted.
            method: how it was made.
            at: now, for tests.

        Returns:
            The case that holds the correction: this one, or the one that follows it.

        Raises:
            FinetuneError: when there is no such case, or the correction is blank.
        """
        with self.db.session() as session:
            row = _required(session, case_id)
            return self.correct_in(session, row, correction, rater, method, at or utc_now())

    def dismiss(self, case_id: int, reason: DismissalReason, *, by: str, at: datetime | None = None) -> None:
        """Close a case without using it; a second time with the same reason does nothing.

        Args:
            case_id: the case.
            reason: one of `REASONS`; only `not_an_error` takes it out of the error rate.
            by: who says so.
            at: now, for tests.

        Raises:
            CaseStateError: when it is consumed, or dismissed for another reason.
            FinetuneError: when there is no such case or reason.
        """
        if reason not in REASONS:
            raise FinetuneError("reason is unknown", found=reason, expected=", ".join(REASONS))
        with self.db.session() as session:
            row = _required(session, case_id)
            if row.state == "dismissed" and row.dismissed_for == reason:
                return
            if row.state == "dismissed":
                raise CaseStateError("case is dismissed already", where=f"case {case_id}", found=row.dismissed_for)
            move(session, row, "dismissed", source="person", by=self._who(by), at=at or utc_now(), reason=reason)

    def find(self, case_id: int) -> ErrorCase | None:
        """Return a case, None when there is none of this number."""
        return next(self.cases(case_ids=[case_id]), None)

    def cases(
        self,
        task: str | None = None,
        states: Sequence[CaseState] | None = None,
        *,
        case_ids: Sequence[int] | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> Iterator[ErrorCase]:
        """Yield cases by rising number.

        Args:
            task: of this task only.
            states: in these states only.
            case_ids: of these numbers only, at most 500.
            after: above this number only, for paging.
            limit: at most so many.
        """
        return read_cases(self.db, task, states, case_ids=case_ids, after=after, limit=limit)

    def report_in(self, session: Session, report: ErrorReport, at: datetime) -> int:
        """Write one error down in the caller's transaction and return its case."""
        digest, answer_digest = self._digests(report)
        key = case_key(report, digest, answer_digest)
        row = latest_of(session, report.task, key)
        by = self._who(report.by)
        if row is None:
            row = self._open(session, report, key, digest, answer_digest, at)
        elif row.dismissed_for == "not_an_error" and report.source == "feedback" and report.correction is None:
            # A person contradicts whoever took it out of the error rate, so it is an error again.
            row = row if _has_reported(session, row, "feedback", by) else self._follow(session, row, at)
        elif not _has_reported(session, row, report.source, by):
            move(session, row, state_of(row), source=report.source, by=by, at=at, detail="reported")
        if report.correction is not None:
            return self.correct_in(session, row, report.correction, report.by, report.method, at)
        return row.id

    def correct_in(
        self, session: Session, row: ErrorCaseRow, correction: str, rater: str, method: Method, at: datetime
    ) -> int:
        """Give a case its right answer in the caller's transaction and return the case that holds it."""
        if not correction.strip():
            raise FinetuneError("correction is blank", where=f"case {row.id}", mend="say what would have been right")
        row = latest_of(session, row.task, row.case_key.partition("#")[0]) or row
        digest = self.pseudonyms.of(correction, kind="answer")
        current = None if row.correction_id is None else session.get_one(CaseCorrectionRow, row.correction_id)
        if current is not None and current.content_digest == digest:
            return row.id
        if row.state in ("consumed", "dismissed"):
            row = self._follow(session, row, at)
            current = None
        who = self.pseudonyms.subject(rater)
        made = add_correction(
            session,
            row,
            body=self.redactor.text(correction),
            content_digest=digest,
            method=method,
            rater=who,
            subject=_subject_of(session, row),
            at=at,
        )
        if current is None or method != "auto" or current.method == "auto":
            row.correction_id = made.id
        move(session, row, "corrected", source=method, by=who, at=at, detail=f"correction {made.id}")
        session.flush()
        return row.id

    def _digests(self, report: ErrorReport) -> tuple[str, str]:
        digest = report.input_digest or (input_digest(self.pseudonyms, report.input) if report.input else "")
        if not digest:
            raise FinetuneError("an error needs its input", where=report.task, mend="name a request or give the input")
        return digest, report.answer_digest or self.pseudonyms.of(report.answer or "", kind="answer")

    def _open(
        self, session: Session, report: ErrorReport, key: str, digest: str, answer_digest: str, at: datetime
    ) -> ErrorCaseRow:
        fields = self.redactor.fields(report.input) if report.input is not None else None
        sketch = self._sketcher.sketch(input_text(fields)) if fields is not None else ()
        cluster = cluster_of(
            session,
            task=report.task,
            input_digest=digest,
            sketch=sketch,
            similarity=self.config.similarity,
            at=at,
        )
        row = ErrorCaseRow(
            task=report.task,
            case_key=key,
            cluster_id=cluster.id,
            state="new",
            source=report.source,
            prediction_id=report.request_id,
            predicted_at=report.predicted_at,
            input_digest=digest,
            answer_digest=answer_digest,
            label=report.label,
            signals=[[signal.kind, signal.score] for signal in report.signals],
            score=report.score,
            groups=self._groups(report.input or {}),
            correction_id=None,
            dataset_version="",
            dismissed_for="",
            follows_id=None,
            reported_at=at,
            updated_at=at,
        )
        open_case(session, row, source=report.source, by=self._who(report.by), at=at)
        self._keep_texts(session, row, report, fields)
        session.flush()
        return row

    def _keep_texts(
        self, session: Session, row: ErrorCaseRow, report: ErrorReport, fields: Mapping[str, Any] | None
    ) -> None:
        subject = report.subject or self.pseudonyms.subject(person_in(report.input or {}, self.config.subject_field))
        if fields is not None and self.config.inputs == "text":
            session.add(text_row("input", canonical_json(fields), case_id=row.id, subject=subject))
        if report.answer is not None and self.config.answers == "text":
            session.add(text_row("answer", self.redactor.text(report.answer), case_id=row.id, subject=subject))

    def _follow(self, session: Session, row: ErrorCaseRow, at: datetime) -> ErrorCaseRow:
        """Open a case after one that is closed, with its input and answer."""
        key, _, number = row.case_key.partition("#")
        copied = {name: getattr(row, name) for name in _COPIED}
        made = ErrorCaseRow(
            **copied,
            case_key=f"{key}#{int(number or 1) + 1}",
            state="new",
            correction_id=None,
            dataset_version="",
            dismissed_for="",
            follows_id=row.id,
            reported_at=at,
            updated_at=at,
        )
        open_case(session, made, source=f"after case {row.id}", by="", at=at)
        query = select(FeedbackTextRow).where(
            FeedbackTextRow.case_id == row.id, FeedbackTextRow.kind.in_(("input", "answer"))
        )
        for text in session.scalars(query).all():
            kind: Any = text.kind
            session.add(text_row(kind, text.body, case_id=made.id, subject=text.subject))
        return made

    def _groups(self, fields: Mapping[str, Any]) -> list[str]:
        named = ((name, person_in(fields, name)) for name in self.config.group_fields)
        return [self.pseudonyms.of(f"{name}={value}", kind="group") for name, value in named if value]

    def _who(self, name: str) -> str:
        return self.pseudonyms.subject(name)


_COPIED = (
    *("task", "cluster_id", "source", "prediction_id", "predicted_at", "input_digest", "answer_digest", "label"),
    *("signals", "score", "groups"),
)


def latest_of(session: Session, task: str, key: str) -> ErrorCaseRow | None:
    """Return the last case under a key: the first one, or the one that follows all others."""
    row: ErrorCaseRow | None = None
    number = 1
    while True:
        name = key if number == 1 else f"{key}#{number}"
        query = select(ErrorCaseRow).where(ErrorCaseRow.task == task, ErrorCaseRow.case_key == name).with_for_update()
        found = session.scalars(query).one_or_none()
        if found is None:
            return row
        row, number = found, number + 1


def _required(session: Session, case_id: int) -> ErrorCaseRow:
    row = session.get(ErrorCaseRow, case_id, with_for_update=True)
    if row is None:
        raise FinetuneError("there is no such error case", where=f"case {case_id}", mend="list the cases of the task")
    return row


def _has_reported(session: Session, row: ErrorCaseRow, source: str, by: str) -> bool:
    query = select(CaseEventRow.id).where(
        CaseEventRow.case_id == row.id, CaseEventRow.source == source, CaseEventRow.by == by
    )
    return session.scalars(query.limit(1)).first() is not None


def _subject_of(session: Session, row: ErrorCaseRow) -> str:
    query = select(FeedbackTextRow.subject).where(FeedbackTextRow.case_id == row.id, FeedbackTextRow.subject != "")
    return session.scalars(query.limit(1)).first() or ""
