"""An error report: that an answer is wrong, by whom, and which case it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from finetune_assets.feedback.case_moves import Method, Source
from finetune_assets.feedback.predictions import Prediction
from finetune_assets.records.doubts import Signal


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """That an answer is wrong, or what the right one would have been.

    Attributes:
        task: the task.
        source: who says so.
        request_id: the prediction's request id; "" where there is none.
        key: another name under which the case is known, such as its id in an imported file.
        predicted_at: when it was answered; None where nobody knows.
        input: the input's fields; None where only a digest was kept.
        input_digest: its pseudonym; "" to make it of `input`.
        answer: what was answered; None where only a digest was kept.
        answer_digest: its pseudonym; "" to make it of `answer`.
        label: the label answered, as one text.
        signals: what the detector noticed.
        score: how sure the source is, from 0 to 1.
        subject: pseudonym of the person whom the input is about; "" to read it from `input`.
        correction: the right answer, where it is known.
        method: how the correction was made.
        by: who says so: an account's name, or the part of the platform.
    """

    task: str
    source: Source
    request_id: str = ""
    key: str = ""
    predicted_at: datetime | None = None
    input: Mapping[str, Any] | None = None
    input_digest: str = ""
    answer: str | None = None
    answer_digest: str = ""
    label: str = ""
    signals: tuple[Signal, ...] = ()
    score: float = 1.0
    subject: str = ""
    correction: str | None = None
    method: Method = "feedback"
    by: str = ""

    @classmethod
    def of_prediction(cls, prediction: Prediction, source: Source, **more: Any) -> ErrorReport:
        """Return the report that a prediction is wrong.

        Args:
            prediction: what was witnessed.
            source: who says so.
            more: further fields, which come before the prediction's.
        """
        given: dict[str, Any] = {
            "request_id": prediction.request_id,
            "predicted_at": prediction.at,
            "input": prediction.input,
            "input_digest": prediction.input_digest,
            "answer": prediction.answer,
            "answer_digest": prediction.answer_digest,
            "label": prediction.label,
            "signals": prediction.signals,
            "score": prediction.score,
            "subject": prediction.subject,
        }
        return cls(task=prediction.task, source=source, **(given | more))


def case_key(report: ErrorReport, digest: str, answer_digest: str) -> str:
    """Return the key of the case that a report speaks of: its prediction, its given name, or input and answer."""
    if report.request_id:
        name = f"prediction:{report.request_id}"
    elif report.key:
        name = f"named:{report.key}"
    else:
        name = f"content:{digest}:{answer_digest}"
    return name.replace("#", "%23")  # "#" begins the number of a case that follows
