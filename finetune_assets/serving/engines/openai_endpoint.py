"""OpenAIAsker: one question to any OpenAI-compatible chat endpoint (vLLM, Ollama, OpenAI, this project's gateway)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.datasets.generation.wire import ChatWire, WireReply
from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import Completion, Finish
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.serving.engines.patient import Reply

_FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length"}
# Statuses by which an endpoint says that it takes no question at all: the key, the model, the address, a redirect.
_NEVER = frozenset({300, 301, 302, 303, 307, 308, 401, 403, 404, 405})
_TOO_LONG = ("context_length_exceeded", "maximum context length", "context length", "prompt is too long")


class OpenAIAsker:
    """Asks one model of one endpoint; an `engines.patient.Asker`.

    Args:
        config: where and how to ask; its `kind` is `openai`.
        api_key: sent as a bearer token, "" for none; shown and stored nowhere.
    """

    def __init__(self, config: EndpointConfig, api_key: str) -> None:
        self._config = config
        self._wire = ChatWire(config.base_url, api_key, max_bytes=config.max_response_bytes)

    @property
    def identity(self) -> dict[str, Any]:
        """Model, place and decoding; no key."""
        return {
            "engine": "openai",
            "model": self._config.model,
            "place": self._config.place,
            "context_length": self._config.context_length,
            **self._config.decoding(),
        }

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def ask(self, messages: Sequence[Message], *, timeout_s: float) -> Reply:
        """Ask once; see `engines.patient.Asker`.

        A question without an answer has one of these problems: `timeout`, `unreachable`, `rate_limited`,
        `provider_error`, `bad_answer`, `answer_too_large`, `prompt_too_long`, `filtered`, `refused`.
        """
        reply = self._wire.post(self._body(messages), timeout_s=timeout_s)
        if reply.error:
            return _broken(reply)
        if reply.status in _NEVER:
            raise FinetuneError(
                "the endpoint refuses",
                where=self._wire.url,
                found=reply.shown(),
                expected="a chat completion",
                mend=f"check base_url, model and the key in {self._config.key_env or 'key_env (none is named)'}",
            )
        if reply.status != 200:
            return _refused(reply)
        return _answer(reply)

    def _body(self, messages: Sequence[Message]) -> dict[str, Any]:
        config = self._config
        body: dict[str, Any] = {
            "model": config.model,
            "messages": [{"role": turn["role"], "content": turn["content"]} for turn in messages],
            "temperature": config.temperature,
            config.max_tokens_field: config.max_tokens,
        }
        if config.seed is not None:
            body["seed"] = config.seed
        if config.stop:
            body["stop"] = list(config.stop)
        return body


def _broken(reply: WireReply) -> Reply:
    if reply.error == "too_large":
        return Reply(Completion.failed("answer_too_large"))
    if not reply.reached:
        problem = "unreachable"
    elif reply.error == "too_late" or reply.error.endswith("Timeout"):
        problem = "timeout"
    else:
        # A connection that ends in the midst may be a server that died of this very question.
        problem = "provider_error"
    return Reply(Completion.failed(problem), passing=True, wait_s=reply.wait_s)


def _refused(reply: WireReply) -> Reply:
    if reply.passing:
        problem = "rate_limited" if reply.status == 429 else "timeout" if reply.status == 408 else "provider_error"
        return Reply(Completion.failed(problem), passing=True, wait_s=reply.wait_s)
    said = reply.body[:10_000].decode(errors="replace").lower()
    if reply.status == 413 or any(words in said for words in _TOO_LONG):
        problem = "prompt_too_long"
    else:
        problem = "filtered" if "content_filter" in said else "refused"
    return Reply(Completion.failed(problem), detail=reply.shown())


def _answer(reply: WireReply) -> Reply:
    """Read a completion; what is none may be a passing fault of a proxy."""
    body = reply.json()
    try:
        choice = body["choices"][0]
        text, finish = choice["message"].get("content"), choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        return Reply(Completion.failed("bad_answer"), passing=True)
    if finish == "content_filter" or (text is None and choice["message"].get("refusal")):
        return Reply(Completion.failed("filtered"))
    if text is not None and not isinstance(text, str):
        return Reply(Completion.failed("bad_answer"), passing=True)
    usage = body.get("usage")
    return Reply(
        Completion(
            # A model that spent its tokens on thinking says null: an empty answer, cut off.
            text=text or "",
            prompt_tokens=_count(usage, "prompt_tokens"),
            completion_tokens=_count(usage, "completion_tokens"),
            finish=_FINISHES.get(finish, "") if isinstance(finish, str) else "",
        )
    )


def _count(usage: object, name: str) -> int:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
