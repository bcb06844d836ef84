"""A prediction as it is kept: redacted, with digests that stay when its texts are forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from finetune_assets.feedback.config import FeedbackConfig
from finetune_assets.feedback.pseudonyms import Pseudonyms
from finetune_assets.feedback.redaction import Redactor, person_in
from finetune_assets.records.digests import canonical_json
from finetune_assets.records.doubts import Signal
from finetune_assets.records.errors import FinetuneError

Outcome = Literal["complete", "broken_off"]
LABEL_JOINT = " / "


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer of a live release; what it holds may be stored as it is.

    Attributes:
        request_id: the gateway's id of the request, unique.
        task: the task asked.
        version: number of the release that answered.
        candidate: digest of the adapter that answered.
        at: when it was answered; aware.
        prompt_digest: pseudonym of the rendered prompt.
        input_digest: pseudonym of the input's fields, as asked.
        input: the redacted fields; None where only the digest is kept.
        answer_digest: pseudonym of the answer, as given.
        answer: the redacted answer; None where only the digest is kept.
        label_path: the label's parts, outermost first; empty when not valid and for free text.
        valid: whether the answer is a legal one of the task.
        latency_ms: milliseconds from question to answer.
        signals: what the error detector noticed.
        score: the detector's score, from 0 to 1.
        subject: pseudonym of the person whom the input is about, "" where it names none.
        outcome: `broken_off` for a streamed answer whose reader went away before its end.
        features: numbers of the input, for drift; see `input_features`.
    """

    request_id: str
    task: str
    version: int
    candidate: str
    at: datetime
    prompt_digest: str
    input_digest: str
    input: Mapping[str, Any] | None
    answer_digest: str
    answer: str | None
    label_path: tuple[str, ...]
    valid: bool
    latency_ms: float
    signals: tuple[Signal, ...] = ()
    score: float = 0.0
    subject: str = ""
    outcome: Outcome = "complete"
    features: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        """Refuse a time whose moment nobody knows, and a request without an id.

        Raises:
            FinetuneError: for either.
        """
        if self.at.tzinfo is None:
            raise FinetuneError("a prediction needs an aware time", where=self.task, found=self.at.isoformat())
        if not self.request_id:
            raise FinetuneError("a prediction needs a request id", where=self.task)

    @property
    def label(self) -> str:
        """The label as one text, as `Example.label` spells it; "" when there is none."""
        return LABEL_JOINT.join(self.label_path)


class Witness:
    """Makes predictions that may be kept out of what was asked and answered.

    Args:
        config: the task's section `feedback:`.
        pseudonyms: the installation's.
    """

    def __init__(self, config: FeedbackConfig, pseudonyms: Pseudonyms) -> None:
        self._config = config
        self._pseudonyms = pseudonyms
        self._redactor = Redactor(config.redaction, pseudonyms)

    def prediction(
        self,
        *,
        request_id: str,
        task: str,
        version: int,
        candidate: str,
        at: datetime,
        prompt: str,
        fields: Mapping[str, Any],
        answer: str,
        label_path: Sequence[str],
        valid: bool,
        latency_ms: float,
        signals: Sequence[Signal] = (),
        score: float = 0.0,
        outcome: Outcome = "complete",
    ) -> Prediction:
        """Return the record of one answer, redacted as the task's YAML asks.

        Args:
            request_id: the gateway's id of the request.
            task: the task asked.
            version: number of the release that answered.
            candidate: digest of the adapter that answered.
            at: when it was answered; aware.
            prompt: the rendered prompt; only its pseudonym is kept.
            fields: the input as it was asked.
            answer: the whole text that the model wrote.
            label_path: the label's parts; empty where there is none.
            valid: whether the answer is a legal one.
            latency_ms: milliseconds from question to answer.
            signals: what the error detector noticed.
            score: the detector's score.
            outcome: whether a streamed answer came to its end.
        """
        config, names = self._config, self._pseudonyms
        return Prediction(
            request_id=request_id,
            task=task,
            version=version,
            candidate=candidate,
            at=at,
            prompt_digest=names.of(prompt, kind="prompt"),
            input_digest=input_digest(names, fields),
            input=self._redactor.fields(fields) if config.inputs == "text" else None,
            answer_digest=names.of(answer, kind="answer"),
            answer=self._redactor.text(answer) if config.answers == "text" else None,
            label_path=tuple(label_path),
            valid=valid,
            latency_ms=latency_ms,
            signals=tuple(signals),
            score=score,
            subject=names.subject(person_in(fields, config.subject_field)),
            outcome=outcome,
            features=input_features(fields),
        )


def input_text(fields: Mapping[str, Any]) -> str:
    """Return the texts of an input, at any depth, one a line."""
    return "\n".join(_texts(fields))


def input_digest(pseudonyms: Pseudonyms, fields: Mapping[str, Any]) -> str:
    """Return the pseudonym under which two inputs are equal."""
    return pseudonyms.of(canonical_json(fields), kind="input")


def input_features(fields: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of an input whose distribution is watched for drift.

    Args:
        fields: an input; for a reference, the fields of a row that the release was judged on.

    Returns:
        `characters` and `words` of all its texts together.
    """
    text = input_text(fields)
    return {"characters": float(len(text)), "words": float(len(text.split()))}


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item)]
    return []
