"""Feedback: what a person says about an answer, kept once for each content, and what it does to error cases.

`wrong` opens or confirms a case and may correct it; `right` closes a case that only the detector reported; a
demonstration is an input with its right answer, a corrected case from the start that is no error of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from finetune_assets.feedback.case_moves import Method, move, text_row
from finetune_assets.feedback.cases import CaseBook, latest_of
from finetune_assets.feedback.error_report import ErrorReport
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.feedback.predictions import Prediction
from finetune_assets.feedback.redaction import person_in
from finetune_assets.records.digests import canonical_json
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.feedback_models import CaseEventRow, ErrorCaseRow, FeedbackRow

Verdict = Literal["right", "wrong", "demonstration"]
VERDICTS: tuple[Verdict, ...] = ("right", "wrong", "demonstration")
STEP_ITEMS = 30
"""Pieces of feedback in one transaction: each may write 30 rows."""


class FeedbackRefusedError(FinetuneError):
    """A piece of feedback cannot be taken.

    Attributes:
        reason: a code in snake_case.
    """

    def __init__(self, reason: str, what: str, **more: str) -> None:
        self.reason = reason
        super().__init__(what, **more)


@dataclass(frozen=True, slots=True)
class FeedbackItem:
    """What a person says about one answer.

    Attributes:
        task: the task.
        verdict: right, wrong, or a demonstration of the right answer.
        request_id: the request that was answered; "" where the input is given instead.
        fields: the input, where there is no request id.
        answer: what was answered, where there is no request id.
        correction: the right answer; a demonstration needs one.
        comment: free words.
        rater: who says so.
        key: another name of the case, such as its id in an imported file.
        method: how the correction was made.
        said_at: when it was said, as written; part of the content, so that a new opinion is not taken for the old one.
        score: how sure an imported detector was, from 0 to 1.
    """

    task: str
    verdict: Verdict
    request_id: str = ""
    fields: Mapping[str, Any] | None = None
    answer: str | None = None
    correction: str | None = None
    comment: str = ""
    rater: str = ""
    key: str = ""
    method: Method = "feedback"
    said_at: str = ""
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Given:
    """What became of a piece of feedback.

    Attributes:
        feedback_id: its number.
        case_id: the case that it opened, confirmed, corrected or closed; None where it did nothing to one.
        repeated: whether the same content was given before; nothing was changed then.
    """

    feedback_id: int
    case_id: int | None
    repeated: bool


class FeedbackDesk:
    """Takes feedback.

    Args:
        book: the error cases.
        store: the predictions that feedback speaks of.
        judge: says what is wrong with a correction that the task can never read, "" for one that it may.
    """

    def __init__(self, book: CaseBook, store: PredictionStore, judge: Callable[[str], str] | None = None) -> None:
        self._book = book
        self._store = store
        self._judge = judge

    def give(self, item: FeedbackItem, *, origin: str = "api", at: datetime | None = None) -> Given:
        """Take one piece of feedback in one transaction.

        Args:
            item: what is said.
            origin: `api`, or the imported file's name.
            at: now, for tests.

        Raises:
            FeedbackRefusedError: when it contradicts itself or speaks of nothing that is known.
        """
        prediction = self.check(item)
        with self._book.db.session() as session:
            return self._give(session, item, prediction, origin, at or utc_now())

    def give_all(
        self, items: Sequence[FeedbackItem], *, origin: str, at: datetime | None = None
    ) -> list[Given | FeedbackRefusedError]:
        """Take many, `STEP_ITEMS` in a transaction; those that cannot be taken are returned and hold nobody up."""
        done: list[Given | FeedbackRefusedError] = []
        for start in range(0, len(items), STEP_ITEMS):
            step = [(item, self._checked(item)) for item in items[start : start + STEP_ITEMS]]
            with self._book.db.session() as session:
                for item, found in step:
                    done.append(
                        found
                        if isinstance(found, FeedbackRefusedError)
                        else self._tried(session, item, found, origin, at or utc_now())
                    )
        return done

    def check(self, item: FeedbackItem) -> Prediction | None:
        """Return the prediction that a piece of feedback speaks of, None where it brings its own input.

        Raises:
            FeedbackRefusedError: when it cannot be taken.
        """
        _check_content(item)
        if self._judge is not None and item.correction is not None and (fault := self._judge(item.correction)):
            raise FeedbackRefusedError("unreadable_correction", f"the correction cannot be read: {fault}")
        if not item.request_id:
            return None
        prediction = self._store.find(item.request_id)
        if prediction is None:
            raise FeedbackRefusedError(
                "unknown_request", "the request is unknown or no longer kept", found=item.request_id
            )
        if prediction.task != item.task:
            raise FeedbackRefusedError(
                "other_task", "the request was another task's", found=prediction.task, expected=item.task
            )
        said = self._book.pseudonyms.of(item.correction or "", kind="answer")
        if item.verdict == "wrong" and said and said == prediction.answer_digest:
            raise FeedbackRefusedError(
                "correction_equals_answer",
                "the correction equals the answer that is called wrong",
                where=item.request_id,
            )
        return prediction

    def _checked(self, item: FeedbackItem) -> Prediction | FeedbackRefusedError | None:
        try:
            return self.check(item)
        except FeedbackRefusedError as error:
            return error

    def _tried(
        self, session: Session, item: FeedbackItem, prediction: Prediction | None, origin: str, at: datetime
    ) -> Given | FeedbackRefusedError:
        """Take one; what is refused has written nothing."""
        try:
            return self._give(session, item, prediction, origin, at)
        except FeedbackRefusedError as error:
            return error

    def _give(
        self, session: Session, item: FeedbackItem, prediction: Prediction | None, origin: str, at: datetime
    ) -> Given:
        digest = self._digest(item)
        same = select(FeedbackRow).where(FeedbackRow.task == item.task, FeedbackRow.content_digest == digest)
        known = session.scalars(same).one_or_none()
        if known is not None:
            return Given(known.id, known.case_id, repeated=True)
        case_id = self._case(session, item, prediction, at)
        rater = self._book.pseudonyms.subject(item.rater)
        row = FeedbackRow(
            task=item.task,
            content_digest=digest,
            request_id=item.request_id,
            verdict=item.verdict,
            rater=rater,
            origin=origin,
            case_id=case_id,
            at=at,
        )
        session.add(row)
        session.flush()
        self._keep_texts(session, item, prediction, row, rater)
        return Given(row.id, case_id, repeated=False)

    def _case(self, session: Session, item: FeedbackItem, prediction: Prediction | None, at: datetime) -> int | None:
        if item.verdict == "right":
            return None if prediction is None else self._acquit(session, item, prediction, at)
        if prediction is None and not item.fields:
            return self._correct_named(session, item, at)
        report = self._report(item, prediction)
        return self._book.report_in(session, report, at)

    def _correct_named(self, session: Session, item: FeedbackItem, at: datetime) -> int:
        """Correct a case that is known by name only."""
        row = latest_of(session, item.task, f"named:{item.key}".replace("#", "%23"))
        if row is None:
            raise FeedbackRefusedError("unknown_case", "no case has this name", found=item.key)
        if item.correction is None:
            raise FeedbackRefusedError("no_correction", "a case that is named needs a correction", where=item.key)
        return self._book.correct_in(session, row, item.correction, item.rater, item.method, at)

    def _report(self, item: FeedbackItem, prediction: Prediction | None) -> ErrorReport:
        source: Any = "demonstration" if item.verdict == "demonstration" else "feedback"
        said: dict[str, Any] = {"correction": item.correction, "method": item.method, "by": item.rater}
        if prediction is not None:
            return ErrorReport.of_prediction(prediction, source, score=1.0, **said)
        return ErrorReport(
            task=item.task, source=source, key=item.key, input=item.fields, answer=item.answer, score=item.score, **said
        )

    def _acquit(self, session: Session, item: FeedbackItem, prediction: Prediction, at: datetime) -> int | None:
        """Close a case that a program reported, when a person says that the answer is right."""
        row = latest_of(session, item.task, f"prediction:{prediction.request_id}".replace("#", "%23"))
        if row is None or row.state != "new" or _said_by_people(session, row):
            return None if row is None else row.id
        by = self._book.pseudonyms.subject(item.rater)
        move(session, row, "dismissed", source="feedback right", by=by, at=at, reason="not_an_error")
        return row.id

    def _keep_texts(
        self, session: Session, item: FeedbackItem, prediction: Prediction | None, row: FeedbackRow, rater: str
    ) -> None:
        config, names = self._book.config, self._book.pseudonyms
        subject = (
            prediction.subject
            if prediction is not None
            else names.subject(person_in(item.fields or {}, config.subject_field))
        )
        if item.comment:
            body = self._book.redactor.text(item.comment)
            session.add(text_row("comment", body, feedback_id=row.id, subject=subject, author=rater))
        if item.rater:
            session.add(text_row("rater", item.rater, feedback_id=row.id, author=rater))

    def _digest(self, item: FeedbackItem) -> str:
        said = {
            "task": item.task,
            "verdict": item.verdict,
            "request": item.request_id,
            "key": item.key,
            "fields": None if item.fields is None else dict(item.fields),
            "answer": item.answer,
            "correction": item.correction,
            "comment": item.comment,
            "rater": item.rater,
            "method": item.method,
            "said_at": item.said_at,
        }
        return self._book.pseudonyms.of(canonical_json(said), kind="feedback")


def _check_content(item: FeedbackItem) -> None:
    refused = next((found for found in _PROBLEMS if found[2](item)), None)
    if refused is not None:
        raise FeedbackRefusedError(refused[0], refused[1], where=item.request_id or item.key)


def _blank(text: str | None) -> bool:
    return text is None or not text.strip()


_PROBLEMS: tuple[tuple[str, str, Any], ...] = (
    (
        "unknown_verdict",
        "the verdict is none of right, wrong, demonstration",
        lambda item: item.verdict not in VERDICTS,
    ),
    (
        "nothing_named",
        "feedback needs the request's id, or the input",
        lambda item: not (item.request_id or item.fields or item.key),
    ),
    (
        "two_things_named",
        "feedback needs either the request's id or the input",
        lambda item: bool(item.request_id and item.fields),
    ),
    (
        "right_with_correction",
        "a right answer needs no correction",
        lambda item: item.verdict == "right" and item.correction is not None,
    ),
    (
        "blank_correction",
        "the correction is blank",
        lambda item: item.correction is not None and not item.correction.strip(),
    ),
    (
        "no_demonstration",
        "a demonstration needs the right answer as its correction",
        lambda item: item.verdict == "demonstration" and _blank(item.correction),
    ),
    (
        "correction_equals_answer",
        "the correction equals the answer that is called wrong",
        lambda item: item.verdict == "wrong" and item.correction is not None and item.correction == item.answer,
    ),
)


def _said_by_people(session: Session, row: ErrorCaseRow) -> bool:
    query = select(CaseEventRow.id).where(
        CaseEventRow.case_id == row.id, CaseEventRow.source.in_(("feedback", "demonstration", "manual"))
    )
    return session.scalars(query.limit(1)).first() is not None
