"""One question on its way: find the release, ask it, read the answer, and name the mend when that fails."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.records.task_type import ParsedAnswer
from finetune_assets.serving.batching import EngineFailedError, MicroBatcher, OverloadedError
from finetune_assets.serving.live import LiveReleases
from finetune_assets.serving.problems import ApiProblem, line_without_mend
from finetune_assets.serving.release import ServedRelease

_TASK_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
# Codes of an engine for a text that no retry will help.
_UNFIT_TEXTS = {
    "not_unicode": ("The text holds a lone surrogate, which is no character.", "Send valid Unicode."),
    "prompt_too_long": (
        "The text is longer than the model can read.",
        "Shorten the text, or send it in parts.",
    ),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A release's answer to one question.

    Attributes:
        release: who answered.
        completion: what the model wrote.
        parsed: the answer as the task type reads it.
        latency_s: seconds from the question's arrival to its answer, waiting included.
        fields: the input as it was asked.
        messages: the prompt that the model read.
    """

    release: ServedRelease
    completion: Completion
    parsed: ParsedAnswer
    latency_s: float
    fields: Mapping[str, Any]
    messages: Sequence[Message]


class Answering:
    """Answers questions with the release that is live as they come.

    Args:
        live: the releases.
        batcher: asks their engines.
        timeout_s: seconds that an answer may take.
    """

    def __init__(self, live: LiveReleases, batcher: MicroBatcher, timeout_s: float) -> None:
        self._live = live
        self._batcher = batcher
        self._timeout_s = timeout_s

    def release(self, task: str) -> ServedRelease:
        """Return the release that answers for a task.

        Raises:
            ApiProblem: 404 for an unknown task, 503 while its release is loading.
        """
        release = self._live.get(task)
        if release is not None:
            return release
        if self._live.expects(task):
            raise ApiProblem(
                503,
                "loading",
                f"No release of task {task!r} answers yet.",  # a task's own name, for it is expected
                "Try again in a few seconds; GET /readyz says what is loading.",
                retry_after_s=1,
            )
        known = ", ".join(sorted(self._live.serving)) or "none"
        raise ApiProblem(
            404,
            "unknown_task",
            f"{_named(task)} has no live release; tasks with one: {known}.",
            "Correct the task's name, or deploy a release of it.",
        )

    async def fields(self, release: ServedRelease, fields: Mapping[str, Any]) -> Answer:
        """Answer one input given by its fields.

        Raises:
            ApiProblem: 422 for a missing field or an unfit text, 429, 500 or 504.
        """
        began = time.perf_counter()
        try:
            messages = release.task_type.input_messages(fields)
        except FinetuneError as error:
            raise ApiProblem(
                422,
                "unusable_input",
                line_without_mend(error),
                error.mend or "Send the field named above.",
                field=error.where,
            ) from error
        try:
            completion = await self._batcher.ask(release.engine, messages, timeout_s=self._timeout_s)
        except OverloadedError:
            raise ApiProblem(
                429,
                "overloaded",
                "More questions are waiting than this gateway takes on.",
                "Try again after the time in Retry-After, or run more gateways.",
                retry_after_s=1,
            ) from None
        except TimeoutError:
            raise ApiProblem(
                504,
                "timeout",
                f"No answer within {self._timeout_s:g} s.",
                "Try again; if it happens often, run more gateways or raise timeout_s.",
            ) from None
        except EngineFailedError:
            raise ApiProblem(
                500,
                "engine_failed",
                "The model broke down over this question or one beside it.",
                "Look at the gateway's log; roll back if the release is at fault.",
            ) from None
        _refuse_failed(completion)
        parsed = release.task_type.parse(completion.text)
        return Answer(release, completion, parsed, time.perf_counter() - began, fields, messages)


def _named(task: str) -> str:
    """Return the task that was asked for as an answer may repeat it: only what looks like a task's name."""
    return f"Task {task!r}" if _TASK_NAME.fullmatch(task) else "The task that was asked for"


def _refuse_failed(completion: Completion) -> None:
    if completion.ok:
        return
    detail, mend = _UNFIT_TEXTS.get(completion.problem, ("", ""))
    if detail:
        raise ApiProblem(422, completion.problem, detail, mend)
    raise ApiProblem(
        500,
        completion.problem or "no_answer",
        f"The model gave no answer ({completion.problem}).",
        "Look at the gateway's log; roll back if the release is at fault.",
    )
