"""An OpenAI-compatible chat endpoint, asked patiently: timeouts, retries with back-off, and no key in any message."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from finetune_assets.datasets.generation.config import GenerationConfig
from finetune_assets.datasets.generation.wire import ChatWire, WireReply
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message


class _Tried(NamedTuple):
    """One try: the answer, or what went wrong for the moment and how long the endpoint asks to wait."""

    text: str | None
    problem: str = ""
    wait_s: float | None = None


class ChatEndpoint:
    """Asks one model at one endpoint. Safe to be used by several threads.

    Args:
        config: where and how to ask.
        api_key: sent as a bearer token, "" for none; shown nowhere.
        sleep: waits; a test may pass one that does not.
    """

    def __init__(
        self, config: GenerationConfig, api_key: str, *, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        if not config.endpoint.startswith(("http://", "https://")) or not config.model:
            raise FinetuneError(
                "endpoint or model is not named",
                where="dataset.generation",
                found=f"endpoint {config.endpoint!r}, model {config.model!r}",
                expected="a URL such as http://localhost:8000/v1, and a model",
                mend="give --endpoint and --model, or use --template",
            )
        self._config = config
        self._sleep = sleep
        self._wire = ChatWire(config.endpoint, api_key)
        self._lock = threading.Lock()
        self.retried = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.close()

    def complete(self, messages: Sequence[Message], *, seed: int) -> str:
        """Return the model's answer.

        Args:
            messages: the conversation so far.
            seed: passed to the model, and decides how long this request waits between tries.

        Returns:
            The text.

        Raises:
            FinetuneError: when the endpoint refuses, cannot be reached, or still fails after all tries.
        """
        body = {
            "model": self._config.model,
            "messages": list(messages),
            "temperature": self._config.temperature,
            "max_tokens": self._config.max_tokens,
            "seed": seed % (1 << 31),
        }
        jitter = random.Random(f"wait:{seed}")  # noqa: S311 -- spreads requests, guards nothing
        tried = self._try(body)
        for attempt in range(self._config.retries):
            if tried.text is not None:
                break
            with self._lock:
                self.retried += 1
            self._sleep(self._pause(attempt, tried.wait_s, jitter))
            tried = self._try(body)
        if tried.text is not None:
            return tried.text
        raise self._refusal(
            "the endpoint still fails after all tries",
            tried.problem,
            "start it or wait, then run the same command again: rows that are there are not asked for again",
        )

    def _try(self, body: Mapping[str, Any]) -> _Tried:
        reply = self._wire.post(body, timeout_s=self._config.timeout_s)
        if reply.passing:
            return _Tried(None, reply.error or f"status {reply.status}", reply.wait_s)
        if reply.status != 200:
            raise self._refusal(
                "the endpoint refuses",
                reply.shown(),
                f"check the URL, the model and the key in {self._config.api_key_variable}",
            )
        return _Tried(self._text_of(reply))

    def _text_of(self, reply: WireReply) -> str:
        try:
            text = reply.json()["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            text = None
        if not isinstance(text, str) or reply.error:
            raise self._refusal(
                "the endpoint answers something else", reply.shown(), "name the base URL of an OpenAI-compatible API"
            )
        return text

    def _pause(self, attempt: int, wanted: float | None, jitter: random.Random) -> float:
        """Return the seconds to wait: what the endpoint asks for, else base x 2^attempt and up to half more."""
        spread = 1 + jitter.random() / 2
        pause = wanted if wanted is not None else self._config.backoff_s * 2**attempt * spread
        return min(pause, self._config.longest_wait_s)

    def _refusal(self, what: str, found: str, mend: str) -> FinetuneError:
        return FinetuneError(what, where=self._wire.url, found=found, expected="a chat completion", mend=mend)
