"""The door of feedback: what a person says about an answer, over HTTP.

The gateway knows no users, so feedback is taken from the machine that it runs on and from nowhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from finetune_assets.feedback.giving import FeedbackItem, Verdict
from finetune_assets.serving.problems import ApiProblem
from finetune_assets.serving.release import ServedRelease
from finetune_assets.serving.request_ids import PATTERN
from finetune_assets.serving.witness import GatewayWitness

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
    async def feedback(body: FeedbackRequest, request: Request) -> FeedbackResponse:
        if witness is None:
            raise ApiProblem(
                404, "no_feedback", "This gateway records no answers.", "Send feedback to the gateway that answered."
            )
        _refuse_strangers(request)
        release = release_of(body.task)
        request.state.task = body.task
        given = await asyncio.to_thread(witness.give, _item(body), release.feedback)
        return FeedbackResponse(feedback_id=given.feedback_id, case_id=given.case_id, repeated=given.repeated)


def _item(body: FeedbackRequest) -> FeedbackItem:
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
    )


def _refuse_strangers(request: Request) -> None:
    if request.client is not None and _is_loopback(request.client.host):
        return
    raise ApiProblem(
        403,
        "feedback_from_elsewhere",
        "Feedback is taken from the gateway's own machine only.",
        "Send it from there, or import it with `finetune feedback import`.",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
