"""What judging and the gateway ask of anything that answers: the `Engine` protocol and its `Completion`.

Here belong the shapes alone, `LikelihoodEngine` among them; engines themselves live in `serving/engines`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from finetune_assets.records.example import Message

Finish = Literal["stop", "length", ""]

NOT_FINAL = frozenset({"run_deadline", "interrupted", "unreachable", "rate_limited"})
"""Problems that say nothing of the model: we stopped the run, no line could be had, or others filled the endpoint.

They are never stored: a run that is started again asks these questions again. Every other problem may be the model's
own making, stays in the store, and is no reason for a second chance.
"""


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of an engine, or the reason why there is none.

    Attributes:
        text: what the model wrote, without the prompt and without special tokens; "" when `ok` is False.
        ok: True when the model answered, be the answer right or wrong; False when it did not (timeout, refusal,
            prompt too long, provider error).
        problem: a code in snake_case that says why `ok` is False, for instance `timeout`; "" when `ok`.
        latency_s: seconds from asking to the last token; for a batch, the batch's time. Never negative.
        prompt_tokens: tokens of the rendered prompt, 0 when unknown.
        completion_tokens: tokens generated, 0 when unknown.
        finish: why the writing ended: `stop` at the end of the answer, `length` when the limit cut it off, "" when
            unknown or not answered.
        served_by: which of several models behind one endpoint answered, where the endpoint says so; never stored.
    """

    text: str
    ok: bool = True
    problem: str = ""
    latency_s: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish: Finish = ""
    served_by: str = ""

    @classmethod
    def failed(cls, problem: str, *, latency_s: float = 0.0) -> Completion:
        """Return the completion of a question that got no answer."""
        return cls(text="", ok=False, problem=problem, latency_s=latency_s)


class Engine(Protocol):
    """A model that answers conversations, whatever runs it."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the answers: digests of weights and template, decoding settings. JSON; no paths, no times."""

    def complete(self, batch: Sequence[Sequence[Message]]) -> list[Completion]:
        """Answer a batch of conversations.

        Args:
            batch: one conversation an item, without the answer to write.

        Returns:
            One completion for each item, in the order of the items. One item that cannot be answered gives
            `ok=False` and does not disturb the others.

        Raises:
            FinetuneError: when no item can be answered at all, for instance because the model is gone.
        """


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How probable a model holds a given answer.

    Attributes:
        nats: natural logarithm of the answer's probability given the question, its end mark included; at most 0, and
            minus infinity when the model's scores are no numbers.
        tokens: tokens of the answer with its end mark; 0 when it was not scored.
        bytes: UTF-8 bytes of the answer; 0 when it was not scored. Nats over bytes compare across tokenizers.
        problem: why it was not scored: `prompt_too_long`, `not_unicode`, `template_refused`, or "".
    """

    nats: float
    tokens: int
    bytes: int
    problem: str = ""


class LikelihoodEngine(Protocol):
    """A model that tells how probable it holds an answer, which an endpoint seldom does."""

    @property
    def identity(self) -> dict[str, Any]:
        """As `Engine.identity`."""

    def log_likelihood(self, batch: Sequence[tuple[Sequence[Message], str]]) -> list[Likelihood]:
        """Score given answers.

        Args:
            batch: conversations, each with the answer to score.

        Returns:
            One likelihood for each item, in the order of the items, whatever else is in the batch.

        Raises:
            FinetuneError: when no item can be scored at all.
        """
