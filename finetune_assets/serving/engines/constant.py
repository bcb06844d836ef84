"""ConstantEngine: one answer to every question. What a model must beat where its own base cannot be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.digests import digest_of_text
from finetune_assets.records.example import Message


class ConstantEngine:
    """Answers with a text that is known beforehand; an `evaluation.engine.Engine`.

    Args:
        text: the answer.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def identity(self) -> dict[str, Any]:
        """The answer's digest."""
        return {"engine": "constant", "answer": digest_of_text(self._text)}

    def complete(self, batch: Sequence[Sequence[Message]]) -> list[Completion]:
        """Give the answer to each conversation."""
        return [Completion(text=self._text, finish="stop") for _ in batch]

    def close(self) -> None:
        """Nothing is open."""
