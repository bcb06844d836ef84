"""The door of feedback: what a person says about an answer, over HTTP.

It needs a key with the role `feedback`; the key's name is the rater.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from finetune_assets.feedback.giving import FeedbackItem, Verdict
from finetune_assets.serving.doors import needs
from finetune_assets.serving.problems import ApiProblem
from finetune_assets.serving.release import ServedRelease
from finetune_assets.serving.request_ids import PATTERN
from finetune_assets.serving.witness import GatewayWitness
from finetune_assets.storage.api_keys import Caller
from finetune_assets.task_types.corrections import correction_fault

PATH = "/v1/feedback"


class FeedbackRequest(BaseModel):
    """What a person says about one answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(min_length=1, description="The task that was asked.")
    request_id: str = Field(pattern=PATTERN, description="The answer's `request_id`.")
    verdict: Literal["right", "wrong"] = Field(description="Whether the answer was right.")
    correction: str | None = Field(default=None, description="The right answer, where this one was wrong.")
    comment: str = Field(default="", max_length=10_000, description="Free words; kept redacted.")
    demonstration: bool = Field(
        default=False,
        description="True takes `correction` as an example to learn from without counting the answer as an error; the "
        "verdict is `right` then.",
    )


class FeedbackResponse(BaseModel):
    """What became of it."""

    feedback_id: int = Field(description="Its number.")
    case_id: int | None = Field(description="The error case that it opened, corrected or closed; null for none.")
    repeated: bool = Field(description="Whether the same was said before; nothing was changed then.")


def add_feedback(app: FastAPI, witness: GatewayWitness | None, release_of: Callable[[str], ServedRelease]) -> None:
    """Add the door to a gateway.

    Args:
        app: the gateway's application.
        witness: takes the feedback; None for a gateway that records nothing.
        release_of: finds the release that answers for a task; raises ApiProblem where none does.
    """

    @app.post(PATH)
    async def feedback(
        body: FeedbackRequest, request: Request, caller: Annotated[Caller, Depends(needs("feedback"))]
    ) -> FeedbackResponse:
        if witness is None:
            raise ApiProblem(
                404, "no_feedback", "This gateway records no answers.", "Send feedback to the gateway that answered."
            )
        release = release_of(body.task)
        request.state.task = body.task
        _refuse_unreadable(release, body.correction)
        given = await asyncio.to_thread(witness.give, _item(body, caller.name), release.feedback)
        return FeedbackResponse(feedback_id=given.feedback_id, case_id=given.case_id, repeated=given.repeated)


def _refuse_unreadable(release: ServedRelease, correction: str | None) -> None:
    """Refuse a correction that no dataset could ever learn from, while somebody is there who can mend it."""
    fault = correction_fault(release.task_type, correction) if correction is not None and correction.strip() else None
    if fault is not None:
        raise ApiProblem(
            422,
            fault.reason,
            f"The correction is no answer of this task: {fault.found}.",
            f"Send {fault.expected}.",
            field="correction",
        )


def _item(body: FeedbackRequest, rater: str) -> FeedbackItem:
    if body.demonstration and body.verdict == "wrong":
        raise ApiProblem(
            422,
            "wrong_with_demonstration",
            "A demonstration counts no error, and the verdict says that there is one.",
            "Leave `demonstration` out, or say `right`.",
            field="demonstration",
        )
    verdict: Verdict = "demonstration" if body.demonstration else body.verdict
    return FeedbackItem(
        task=body.task,
        verdict=verdict,
        request_id=body.request_id,
        correction=body.correction,
        comment=body.comment,
        rater=rater,
    )
