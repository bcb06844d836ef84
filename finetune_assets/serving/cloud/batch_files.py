"""What batch prediction reads and writes: a line of JSON for each question, and answers in an order of their own.

Equal conversations are one question. A question's key is the digest of its conversation: it goes along, and where the
service does not give it back, the question that it repeats beside the answer gives it again. Order is never trusted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.digests import digest_of, digest_of_text
from finetune_assets.records.example import Message
from finetune_assets.serving.engines.vertex import reply_of
from finetune_assets.serving.engines.vertex_wire import completion_of, instance_of

MISSING_ROW = "missing_row"
_KEY_DIGITS = 40
_KEY_LABEL = "question"
_PASSING_WORDS = ("resource_exhausted", "429", "quota", "too many requests")
_LATE_WORDS = ("deadline", "timeout", "timed out", "504")
_REFUSED_WORDS = ("invalid_argument", "bad request", "400")
_LONG_WORDS = ("token count", "maximum context length", "context length", "too long")


def question_key(messages: Sequence[Message]) -> str:
    """Return the key of a conversation (40 hex digits, a legal label)."""
    return digest_of([[turn["role"], turn["content"]] for turn in messages])[:_KEY_DIGITS]


class Lines(Protocol):
    """How one kind of model is asked and answers, line by line."""

    def line(self, key: str, messages: Sequence[Message]) -> dict[str, Any]:
        """Return the line that asks a question."""

    def read(self, row: Mapping[str, Any]) -> tuple[str, Completion]:
        """Return an output line's key and completion; "" for a line that names no question."""


class GeminiLines:
    """Lines of Gemini models: `{"request": …}` in, `{"request", "status", "response"}` out.

    Args:
        config: decoding.
    """

    def __init__(self, config: EndpointConfig) -> None:
        self._config = config

    def line(self, key: str, messages: Sequence[Message]) -> dict[str, Any]:
        """Return a GenerateContentRequest; its labels come back with the answer."""
        config = self._config
        system = [turn["content"] for turn in messages if turn["role"] == "system"]
        settings: dict[str, Any] = {"temperature": config.temperature, "maxOutputTokens": config.max_tokens}
        if config.seed is not None:
            settings["seed"] = config.seed
        if config.stop:
            settings["stopSequences"] = list(config.stop)
        if config.thinking_budget is not None:
            settings["thinkingConfig"] = {"thinkingBudget": config.thinking_budget}
        request: dict[str, Any] = {
            "contents": [
                {"role": "model" if turn["role"] == "assistant" else "user", "parts": [{"text": turn["content"]}]}
                for turn in messages
                if turn["role"] != "system"
            ],
            "generationConfig": settings,
            "labels": {_KEY_LABEL: key},
        }
        if system:
            request["systemInstruction"] = {"parts": [{"text": "\n\n".join(system)}]}
        return {"request": request}

    def read(self, row: Mapping[str, Any]) -> tuple[str, Completion]:
        """Read one line of `predictions.jsonl`."""
        from google.genai import types
        from pydantic import ValidationError

        request = row.get("request")
        labels = request.get("labels") if isinstance(request, Mapping) else None
        key = str(labels.get(_KEY_LABEL, "")) if isinstance(labels, Mapping) else ""
        status = str(row.get("status") or "")
        if status:
            return key, Completion.failed(problem_of(status))
        try:
            return key, reply_of(types.GenerateContentResponse.model_validate(row.get("response") or {})).completion
        except (ValidationError, ValueError, AttributeError):
            return key, Completion.failed("bad_answer")


class ContainerLines:
    """Lines of weights of one's own behind the vLLM container: an instance in, key or instance and prediction out.

    Args:
        config: decoding.
        chat_template: renders the prompts; Jinja.
        special_tokens: the template's own tokens.
    """

    def __init__(self, config: EndpointConfig, chat_template: str, special_tokens: Mapping[str, str]) -> None:
        self._config = config
        self._template = chat_template
        self._tokens = special_tokens
        self._by_prompt: dict[str, str] = {}

    def line(self, key: str, messages: Sequence[Message]) -> dict[str, Any]:
        """Return an instance with its key, which is not sent to the model (`keyField`)."""
        instance = instance_of(
            messages, self._config, form="prompt", chat_template=self._template, special_tokens=self._tokens
        )
        self._by_prompt[digest_of_text(instance["prompt"])] = key
        return {"key": key, **instance}

    def read(self, row: Mapping[str, Any]) -> tuple[str, Completion]:
        """Read one line of a results or an errors file."""
        instance = row.get("instance")
        key = str(row.get("key") or "")
        if not key and isinstance(instance, Mapping):
            prompt = instance.get("prompt")
            key = str(instance.get("key") or self._by_prompt.get(digest_of_text(str(prompt)), ""))
        if "error" in row:
            return key, Completion.failed(problem_of(json.dumps(row["error"])))
        prediction = row.get("prediction")
        if isinstance(prediction, list) and len(prediction) == 1:
            prediction = prediction[0]
        return key, completion_of(prediction)


def problem_of(status: str) -> str:
    """Return the problem code of a row that was not answered, from the service's words."""
    low = status.lower()
    if any(word in low for word in _PASSING_WORDS):
        return "rate_limited"
    if any(word in low for word in _LONG_WORDS):
        return "prompt_too_long"
    if any(word in low for word in _LATE_WORDS):
        return "timeout"
    return "refused" if any(word in low for word in _REFUSED_WORDS) else "provider_error"


def questions_file(questions: Mapping[str, Sequence[Message]], lines: Lines) -> bytes:
    """Return the file that asks questions, one line each, by key."""
    rows = (json.dumps(lines.line(key, questions[key]), ensure_ascii=False) for key in sorted(questions))
    return "".join(f"{row}\n" for row in rows).encode()


def read_answers(texts: Iterable[str], lines: Lines) -> dict[str, Completion]:
    """Return the completions that output files hold, by key.

    A line that is no JSON, or names no question, says nothing. Of two lines for one question an answer wins over a
    failure, and else the first.
    """
    found: dict[str, Completion] = {}
    for text in texts:
        for raw in text.splitlines():
            try:
                row = json.loads(raw)
            except ValueError:
                continue
            key, completion = lines.read(row) if isinstance(row, Mapping) else ("", Completion.failed(""))
            if key and (key not in found or (completion.ok and not found[key].ok)):
                found[key] = completion
    return found
