"""An OpenAI-compatible chat endpoint, asked patiently: timeouts, retries with back-off, and no key in any message."""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from finetune_assets.datasets.generation.config import GenerationConfig
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message

if TYPE_CHECKING:
    import httpx

# Answers after which the same request may succeed: time-outs, conflicts, too many requests, failing servers.
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_SHOWN = 160


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
        import httpx

        if not config.endpoint.startswith(("http://", "https://")) or not config.model:
            raise FinetuneError(
                "endpoint or model is not named",
                where="dataset.generation",
                found=f"endpoint {config.endpoint!r}, model {config.model!r}",
                expected="a URL such as http://localhost:8000/v1, and a model",
                mend="give --endpoint and --model, or use --template",
            )
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._config = config
        self._key = api_key
        self._sleep = sleep
        self._url = config.endpoint.rstrip("/") + "/chat/completions"
        self._client = httpx.Client(headers=headers, timeout=config.timeout_s, follow_redirects=False)
        self._lock = threading.Lock()
        self.retried = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

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
        import httpx

        try:
            response = self._client.post(self._url, json=body)
        except (httpx.TimeoutException, httpx.TransportError) as error:
            return _Tried(None, type(error).__name__)
        if response.status_code in PASSING:
            wait_s = retry_after(response.headers.get("Retry-After", ""))
            return _Tried(None, f"status {response.status_code}", wait_s)
        if response.status_code != 200:
            raise self._refusal(
                "the endpoint refuses",
                f"status {response.status_code}: {response.text}",
                f"check the URL, the model and the key in {self._config.api_key_variable}",
            )
        return _Tried(self._text_of(response))

    def _text_of(self, response: httpx.Response) -> str:
        try:
            text = response.json()["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError):
            text = None
        if not isinstance(text, str):
            raise self._refusal(
                "the endpoint answers something else", response.text, "name the base URL of an OpenAI-compatible API"
            )
        return text

    def _pause(self, attempt: int, wanted: float | None, jitter: random.Random) -> float:
        """Return the seconds to wait: what the endpoint asks for, else base x 2^attempt and up to half more."""
        spread = 1 + jitter.random() / 2
        pause = wanted if wanted is not None else self._config.backoff_s * 2**attempt * spread
        return min(pause, self._config.longest_wait_s)

    def _refusal(self, what: str, found: str, mend: str) -> FinetuneError:
        shown = found.replace(self._key, "[key]") if self._key else found
        return FinetuneError(what, where=self._url, found=shown[:_SHOWN], expected="a chat completion", mend=mend)


def retry_after(value: str, *, now: datetime | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (a number or an HTTP date), None for none or nonsense."""
    text = value.strip()
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
