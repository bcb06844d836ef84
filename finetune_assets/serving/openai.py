"""The OpenAI-compatible door: chat completions whose model is a task.

The last user message is the input text. It goes through the task's own prompt, so that the model reads exactly what it
was trained on; whatever system prompt or history a client adds is not shown to it. Decoding is greedy, whatever
`temperature` or `max_tokens` say.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from finetune_assets.serving.answering import Answer
from finetune_assets.serving.problems import ApiProblem


class ContentPart(BaseModel):
    """A part of a message's content."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: str = Field(description="Kind of part; only `text` can be read.")
    text: str = Field(default="", description="The part's text.")


class ChatMessage(BaseModel):
    """One message of the conversation."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    role: str = Field(description="Who speaks; the last message of `user` is the input.")
    content: str | list[ContentPart] | None = Field(default=None, description="The text, whole or in parts.")


class StreamOptions(BaseModel):
    """Options of a streamed answer."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    include_usage: bool = Field(default=False, description="True adds a last chunk with the token counts.")


class ChatRequest(BaseModel):
    """A request for a chat completion; fields that a greedy classifier has no use for are accepted and ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str = Field(min_length=1, description="The task's name.")
    messages: list[ChatMessage] = Field(min_length=1, description="The conversation.")
    stream: bool = Field(default=False, description="True for server-sent events.")
    stream_options: StreamOptions | None = Field(default=None, description="Options of a streamed answer.")
    n: int | None = Field(default=None, description="Number of answers; only 1.")

    def input_text(self) -> str:
        """Return the text of the last user message.

        Raises:
            ApiProblem: 400 when there is none, a part of it is no text, or more than one answer is asked for.
        """
        if self.n not in (None, 1):
            raise ApiProblem(
                400, "unsupported_value", "The answer is always the same, so n must be 1.", "Leave n out.", field="n"
            )
        spoken = [message.content for message in self.messages if message.role == "user"]
        if not spoken or spoken[-1] is None:
            raise ApiProblem(
                400, "missing_user_message", "There is no message of the user.", "Add one.", field="messages"
            )
        content = spoken[-1]
        if isinstance(content, str):
            return content
        if any(part.type != "text" for part in content):
            raise ApiProblem(
                400, "unsupported_content", "This model reads text only.", "Leave other parts out.", field="messages"
            )
        return "\n".join(part.text for part in content)


def completion_body(answer: Answer, request_id: str) -> dict[str, Any]:
    """Return a chat completion in OpenAI's shape, with the id that feedback names."""
    message = {"role": "assistant", "content": answer.completion.text, "refusal": None}
    return {
        **_head(answer, "chat.completion", request_id),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _usage(answer),
    }


def completion_events(answer: Answer, request_id: str, *, include_usage: bool) -> Iterator[str]:
    """Yield a chat completion as server-sent events; the text comes in one piece."""
    head = _head(answer, "chat.completion.chunk", request_id)
    role: dict[str, Any] = {"role": "assistant", "content": answer.completion.text}
    for delta, reason in ((role, None), ({}, "stop")):
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]})
    if include_usage:
        yield _event({**head, "choices": [], "usage": _usage(answer)})
    yield "data: [DONE]\n\n"


def model_entry(task: str, *, created: int = 0, owned_by: Literal["finetune"] = "finetune") -> dict[str, Any]:
    """Return one entry of the list of models."""
    return {"id": task, "object": "model", "created": created, "owned_by": owned_by}


def _head(answer: Answer, kind: str, request_id: str) -> dict[str, Any]:
    ref = answer.release.ref
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": ref.task,
        "system_fingerprint": f"v{ref.version}-{ref.candidate[:12]}",
        "request_id": request_id,
    }


def _usage(answer: Answer) -> dict[str, int]:
    read, written = answer.completion.prompt_tokens, answer.completion.completion_tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"
