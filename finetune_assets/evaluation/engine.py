"""What judging and the gateway ask of anything that answers: the `Engine` protocol and its `Completion`.

Here belongs the shape alone; engines themselves live in `serving/engines`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from finetune_assets.records.example import Message


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
    """

    text: str
    ok: bool = True
    problem: str = ""
    latency_s: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0

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
