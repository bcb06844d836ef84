"""PatientEngine: many questions to a model behind a wire, with retries, deadlines and several under way at once.

Here belongs all waiting; how one question goes over a wire is the business of an `Asker`. A deadline or a failure gives
a completion that says so, never an exception; only what concerns every question (a wrong key, no such model) raises.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import NOT_FINAL, Completion
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message

Clock = Callable[[], float]
Sleep = Callable[[float], object]


@dataclass(frozen=True, slots=True)
class Reply:
    """What one try brought.

    Attributes:
        completion: the answer or the failure.
        passing: True when the same question may succeed later.
        wait_s: seconds that the endpoint asks to wait, None when it does not say.
        detail: the endpoint's own words of a refusal, for an error message; no key, no answer.
    """

    completion: Completion
    passing: bool = False
    wait_s: float | None = None
    detail: str = ""


class Asker(Protocol):
    """One question over one wire, one try. Safe to be used by several threads."""

    @property
    def identity(self) -> dict[str, Any]:
        """As `Engine.identity`."""

    def ask(self, messages: Sequence[Message], *, timeout_s: float) -> Reply:
        """Ask once.

        Raises:
            FinetuneError: when no question can be answered: wrong key, no such model, a redirect.
        """

    def close(self) -> None:
        """Let go of connections."""


class PatientEngine:
    """An `evaluation.engine.Engine` that asks patiently.

    Problems of its own: `deadline` when a question's time is over, `run_deadline` when the run's time is over,
    `interrupted` when the run was stopped. When all tries are spent a failure keeps the problem of the last one:
    `timeout`, `provider_error`, `bad_answer`, `rate_limited`, `unreachable`; the latter two also when they use up the
    question's time. Which of these are stored is said by `evaluation.engine.NOT_FINAL`.

    Args:
        asker: how one question is asked.
        config: retries, deadlines, concurrency.
        clock: seconds that only grow.
        sleep: waits; by default a wait that a stop cuts short.
    """

    def __init__(
        self, asker: Asker, config: EndpointConfig, *, clock: Clock = time.monotonic, sleep: Sleep | None = None
    ) -> None:
        self._asker = asker
        self._config = config
        self._clock = clock
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._run_ends: float | None = None
        self._has_answered = False

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the answers; patience does not."""
        return self._asker.identity

    @property
    def context_length(self) -> int | None:
        """Longest conversation in tokens, as the configuration says; None when unknown."""
        return self._config.context_length

    def close(self) -> None:
        """Let go of connections; questions under way end as `interrupted`."""
        self._stopped.set()
        self._asker.close()

    def complete(self, batch: Sequence[Sequence[Message]]) -> list[Completion]:
        """Answer a batch of conversations; see `evaluation.engine.Engine`.

        Raises:
            FinetuneError: when the endpoint refuses every question: wrong key, no such model, a redirect, or each
                question of the first batch refused as malformed.
        """
        if not batch:
            return []
        if self._run_ends is None and self._config.run_deadline_s is not None:
            self._run_ends = self._clock() + self._config.run_deadline_s
        self._stopped.clear()
        pool = ThreadPoolExecutor(max_workers=min(self._config.concurrency, len(batch)), thread_name_prefix="ask")
        try:
            replies = list(pool.map(self._answer, range(len(batch)), batch))
        except BaseException:
            self._stopped.set()  # wakes those who wait, so that the others' errors and interrupts are heard at once
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        self._check_not_all_refused(replies)
        self._has_answered = True
        return [reply.completion for reply in replies]

    def _check_not_all_refused(self, replies: Sequence[Reply]) -> None:
        """Tell a request that the endpoint cannot take from a question that the model does not take."""
        if self._has_answered or len(replies) < 2 or any(reply.completion.problem != "refused" for reply in replies):
            return
        raise FinetuneError(
            "the endpoint refuses every question",
            where=self._config.place,
            found=replies[0].detail,
            expected="an answer to at least one of the first questions",
            mend="correct model, max_tokens_field, seed or stop of this contender in the YAML",
        )

    def _answer(self, number: int, messages: Sequence[Message]) -> Reply:
        began = self._clock()
        ends = began + self._config.question_deadline_s
        # Seeded by the place in the batch: spread over the workers, and the same in every run.
        jitter = random.Random(f"wait:{number}")  # noqa: S311 -- spreads requests, guards nothing
        reply = self._out_of_time(ends, None)
        attempt = 0
        while reply is None:
            last = self._asker.ask(messages, timeout_s=min(self._config.timeout_s, self._left(ends)))
            if not last.passing:
                reply = last
            elif attempt >= self._config.retries:
                # A try that the run's end cut short is no late answer.
                reply = self._out_of_time(math.inf, last) or last
            else:
                reply = self._rest(self._pause(attempt, last.wait_s, jitter), ends, last)
            attempt += 1
        return replace(reply, completion=replace(reply.completion, latency_s=max(0.0, self._clock() - began)))

    def _rest(self, pause: float, ends: float, last: Reply) -> Reply | None:
        """Wait before the next try; return the failure when no time for one is left."""
        late = self._out_of_time(ends, last, after=pause)
        if late is None:
            self._sleep(pause)
            late = self._out_of_time(ends, last)
        return late

    def _left(self, ends: float) -> float:
        return min(ends, self._run_ends if self._run_ends is not None else ends) - self._clock()

    def _out_of_time(self, ends: float, last: Reply | None, *, after: float = 0.0) -> Reply | None:
        """Return the failure when, `after` seconds from now, there is no time for a further try; None when there is."""
        if self._stopped.is_set():
            return Reply(Completion.failed("interrupted"))
        then = self._clock() + after
        if self._run_ends is not None and then >= self._run_ends:
            return Reply(Completion.failed("run_deadline"))
        if then < ends:
            return None
        blameless = last is not None and last.completion.problem in NOT_FINAL
        return last if blameless else Reply(Completion.failed("deadline"))

    def _pause(self, attempt: int, wanted: float | None, jitter: random.Random) -> float:
        """Return the seconds to wait: what the endpoint asks for, else base x 2^attempt, and up to half more."""
        spread = 1 + jitter.random() / 2
        pause = wanted if wanted is not None else self._config.backoff_s * 2**attempt * spread
        return min(pause, self._config.longest_wait_s)
