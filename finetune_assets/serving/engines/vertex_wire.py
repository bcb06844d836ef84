"""The wire of Model Garden's vLLM container behind a Vertex AI endpoint: one instance out, one prediction back.

Online, questions go out as chat turns (`"@requestFormat": "chatCompletions"`), which the container renders by the
template that lies beside the weights and encodes without adding a start token. That template is the one that training
used: it is exported with the weights, and the model is asked as it was taught.

Batch prediction cannot read such an answer: it takes the completion for a list and keeps `"prediction": "id"`
(github.com/Google-Health/medgemma/issues/80, August 2026). There the prompt is rendered here by that very template and
sent as text, without the start token, which the container adds itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from finetune_assets.datasets.render import render_text
from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import Completion, Finish
from finetune_assets.records.example import Message

Form = Literal["chat", "prompt"]

CHAT_FORMAT = "chatCompletions"
_FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length"}
_TOO_LONG = ("maximum context length", "context length", "max_model_len", "prompt is too long", "too many tokens")


def instance_of(
    messages: Sequence[Message],
    config: EndpointConfig,
    *,
    form: Form = "chat",
    chat_template: str = "",
    special_tokens: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the instance that asks one question.

    Args:
        messages: the conversation, without the answer to write.
        config: decoding.
        form: `chat` for turns that the container renders, `prompt` for text that is rendered here.
        chat_template: renders the text of `prompt`; Jinja.
        special_tokens: what the template calls `eos_token` and so on; its start token is left to the container.

    Raises:
        FinetuneError: when the template cannot render the messages.
    """
    settings: dict[str, Any] = {"max_tokens": config.max_tokens, "temperature": config.temperature}
    if config.seed is not None:
        settings["seed"] = config.seed
    if config.stop:
        settings["stop"] = list(config.stop)
    if form == "chat":
        turns = [{"role": turn["role"], "content": turn["content"]} for turn in messages]
        return {"@requestFormat": CHAT_FORMAT, "messages": turns, **settings}
    spoken = {name: token for name, token in (special_tokens or {}).items() if name != "bos_token"}
    text = render_text(messages, chat_template, add_generation_prompt=True, special_tokens={**spoken, "bos_token": ""})
    start = (special_tokens or {}).get("bos_token", "")
    text = text.removeprefix(start) if start else text
    # Without raw_response the container answers with the prompt in front.
    return {"prompt": text, "raw_response": True, **settings}


def completion_of(prediction: object) -> Completion:
    """Read a prediction: a chat completion, or plain text. What is neither is a `bad_answer`."""
    if isinstance(prediction, str):
        return Completion(_after_echo(prediction))
    if not isinstance(prediction, Mapping):
        return Completion.failed("bad_answer")
    if "error" in prediction:
        return Completion.failed(_refusal(str(prediction["error"])))
    choices = prediction.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else None
    if choice is None:
        return Completion.failed("bad_answer")
    message = choice.get("message")
    text = message.get("content") if isinstance(message, Mapping) else choice.get("text")
    if text is not None and not isinstance(text, str):
        return Completion.failed("bad_answer")
    usage = prediction.get("usage")
    return Completion(
        text or "",
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        finish=_FINISHES.get(str(choice.get("finish_reason")), ""),
    )


def one_prediction(body: object) -> object:
    """Return the prediction of a `predict` answer with one instance.

    A chat request comes back as an object where other requests come back as a list of one (seen 2025 and 2026).
    """
    found = body.get("predictions") if isinstance(body, Mapping) else None
    if isinstance(found, list):
        return found[0] if len(found) == 1 else None
    return found


def refusal_of(message: str) -> str:
    """Return the problem code of a 400: whether the question was too long, or refused for another reason."""
    return _refusal(message)


def _refusal(message: str) -> str:
    low = message.lower()
    return "prompt_too_long" if any(words in low for words in _TOO_LONG) else "refused"


def _after_echo(text: str) -> str:
    """Leave out the prompt that an older container repeats under the heading `Prompt:`, before `Output:`."""
    mark = "\nOutput:\n"
    return text.split(mark, 1)[1] if text.startswith("Prompt:\n") and mark in text else text


def _count(usage: object, name: str) -> int:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    # A protobuf Struct knows no whole numbers, so that they may come as floats.
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else 0
