"""The gateway's witness: every answer of a live release is on the disk before it is sent.

Here belong the record of answers, and the way of a person's feedback to the room that keeps it. A gateway that
rehearses a candidate has no witness.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from functools import lru_cache

from sqlalchemy.exc import SQLAlchemyError

from finetune_assets.feedback.cases import CaseBook
from finetune_assets.feedback.config import FeedbackConfig
from finetune_assets.feedback.giving import FeedbackDesk, FeedbackItem, FeedbackRefusedError, Given
from finetune_assets.feedback.prediction_rows import row_of
from finetune_assets.feedback.prediction_store import FILE_NAME, PredictionStore
from finetune_assets.feedback.predictions import Outcome, Prediction, Witness
from finetune_assets.feedback.pseudonyms import Pseudonyms
from finetune_assets.feedback.recorder import (
    DuplicateRequestError,
    OverloadedError,
    PredictionRecorder,
    RecorderClosedError,
)
from finetune_assets.records.digests import canonical_json
from finetune_assets.records.doubts import doubt_score
from finetune_assets.serving.answering import Answer
from finetune_assets.serving.config import GatewaySettings
from finetune_assets.serving.problems import ApiProblem
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.home import Home

log = logging.getLogger(__name__)

_WRITERS = 64
"""Ways of keeping that are held ready: one for each section `feedback:` among the live releases."""


class GatewayWitness:
    """Records answers, and takes feedback on them.

    Args:
        home: the installation's home; answers go to its `predictions.db`, feedback to its database.
        settings: the gateway's limits.

    Raises:
        FinetuneError: when the key of pseudonyms is damaged.
        StorageError: when the file of predictions cannot be opened.
    """

    def __init__(self, home: Home, settings: GatewaySettings) -> None:
        self._url = home.database_url
        self._store = PredictionStore(home.path / FILE_NAME)
        self._names = Pseudonyms.load(home.path)
        self._limits = {"max_wait_ms": settings.record_wait_ms, "max_waiting": settings.max_unrecorded}
        self._recorder: PredictionRecorder | None = None
        self._database: Database | None = None
        self._opening = threading.Lock()
        self._writer = lru_cache(_WRITERS)(self._new_writer)

    def start(self) -> None:
        """Take answers from now on."""
        self._recorder = PredictionRecorder(self._store, **self._limits)  # type: ignore[arg-type]

    def close(self) -> None:
        """Write what waits, and take no more."""
        if self._recorder is not None:
            self._recorder.close()
        with self._opening:
            if self._database is not None:
                self._database.close()
                self._database = None

    @property
    def alive(self) -> bool:
        """Whether answers can be recorded."""
        return self._recorder is not None and self._recorder.alive

    def refuse_unless_alive(self) -> None:
        """Refuse a question whose answer could not be recorded, before the model is asked.

        Raises:
            ApiProblem: 503.
        """
        if not self.alive:
            raise _closed()

    async def record(self, answer: Answer, request_id: str, *, outcome: Outcome = "complete") -> None:
        """Record an answer and return when it is on the disk.

        Args:
            answer: the answer.
            request_id: the id of its request.
            outcome: whether a streamed answer came to its end.

        Raises:
            ApiProblem: 409 when the id is another request's, 422 for an input that no record can hold, 503 when it
                cannot be recorded now.
        """
        prediction = self._prediction(answer, request_id, outcome, utc_now())
        if self._recorder is None:
            raise _closed()
        try:
            await self._recorder.recorded(prediction)
        except OverloadedError:
            raise ApiProblem(
                503,
                "recording_overloaded",
                "More answers wait to be recorded than this gateway takes on.",
                "Try again after the time in Retry-After, or run more gateways.",
                retry_after_s=1,
            ) from None
        except RecorderClosedError:
            raise _closed() from None
        except DuplicateRequestError:
            self._refuse_other(prediction)
        except StorageError as error:
            log.error("an answer could not be recorded: %s", error)
            raise ApiProblem(
                503,
                "not_recorded",
                "The answer could not be recorded, so it is not given.",
                "Try again; if it happens often, look at the gateway's log and its disk.",
                retry_after_s=5,
            ) from error

    def prune(self, task: str, config: FeedbackConfig) -> int:
        """Delete the records that are older than a task keeps them; for a thread, not for the event loop.

        Args:
            task: the task.
            config: the section `feedback:` of the release that answers for it.

        Returns:
            How many were deleted; 0 when the file cannot be used now, which the log says.
        """
        try:
            pruned = self._store.prune(task, utc_now(), config.retention_days)
        except StorageError as error:
            log.error("records of %s that are too old were not deleted: %s", task, error)
            return 0
        if pruned:
            log.info("%d records of %s were older than %d days and are deleted", pruned, task, config.retention_days)
        return pruned

    def give(self, item: FeedbackItem, config: FeedbackConfig) -> Given:
        """Take a person's feedback; for a thread, not for the event loop.

        Args:
            item: what is said.
            config: the section `feedback:` of the release that answers for the task.

        Raises:
            ApiProblem: 404 for a request that is not known, 422 with the reason for what contradicts itself, 503 when
                the database cannot be used.
        """
        desk = FeedbackDesk(CaseBook(self._opened(), config, self._names), self._store)
        try:
            return desk.give(item, origin="api")
        except FeedbackRefusedError as error:
            status = 404 if error.reason == "unknown_request" else 422
            # The id and the correction were sent by the caller, who knows them; the answer does not repeat them.
            mend = _MENDS.get(error.reason, "Correct the body; /openapi.json describes it.")
            raise ApiProblem(status, error.reason, f"{error.what[:1].upper()}{error.what[1:]}.", mend) from error
        except (StorageError, SQLAlchemyError) as error:
            log.error("feedback could not be kept: %s", type(error).__name__)
            raise ApiProblem(
                503,
                "feedback_not_kept",
                "The feedback could not be kept.",
                "Try again; if it happens often, look at the gateway's log and its database.",
                retry_after_s=5,
            ) from error

    def _opened(self) -> Database:
        with self._opening:
            if self._database is None:
                self._database = Database.open(self._url)
            return self._database

    def _new_writer(self, config: FeedbackConfig) -> Witness:
        return Witness(config, self._names)

    def _prediction(self, answer: Answer, request_id: str, outcome: Outcome, at: datetime) -> Prediction:
        ref, task_type = answer.release.ref, answer.release.task_type
        try:
            doubts = task_type.doubts(answer.fields, answer.completion.text, answer.parsed)
            prediction = self._writer(answer.release.feedback).prediction(
                request_id=request_id,
                task=ref.task,
                version=ref.version,
                candidate=ref.candidate,
                at=at,
                prompt=canonical_json(answer.messages),
                fields=answer.fields,
                answer=answer.completion.text,
                label_path=answer.parsed.label_path,
                valid=answer.parsed.valid,
                latency_ms=answer.latency_s * 1000,
                signals=doubts,
                score=doubt_score(doubts),
                outcome=outcome,
            )
            # What the file cannot hold must be refused here: in the recorder's thread it would end the recorder.
            row_of(prediction)
        except (ValueError, TypeError, RecursionError) as error:
            raise ApiProblem(
                422,
                "unrecordable_input",
                "The input holds what no record can hold: NaN, Infinity, half of a character or too many levels.",
                "Send plain JSON.",
            ) from error
        return prediction

    def _refuse_other(self, prediction: Prediction) -> None:
        """Let a question that is asked again under its own id pass; refuse another one under the same id."""
        known = self._store.find(prediction.request_id)
        if known is not None and _said(known) == _said(prediction):
            return
        raise ApiProblem(
            409,
            "request_id_taken",
            "Another request had this X-Request-Id.",
            "Send an id of its own with each request, or none: the gateway makes one.",
        )


_MENDS = {
    "unknown_request": "Send the `request_id` of an answer of this gateway; records are kept for a limited time.",
    "other_task": "Name the task that was asked.",
    "right_with_correction": "Leave `correction` out, or say that the answer is wrong.",
    "blank_correction": "Send the right answer as `correction`, or leave it out.",
    "no_demonstration": "Send the right answer as `correction`.",
    "correction_equals_answer": "Say `right`, or send another correction.",
}


def _said(prediction: Prediction) -> tuple[str, str, int, str, str]:
    return (
        prediction.task,
        prediction.candidate,
        prediction.version,
        prediction.input_digest,
        prediction.answer_digest,
    )


def _closed() -> ApiProblem:
    return ApiProblem(
        503,
        "recorder_ended",
        "Answers cannot be recorded any more, so none are given.",
        "Restart the gateway; its log says why the recorder ended.",
        retry_after_s=5,
    )
