"""What a rendered row says, read back: the counterpart of an `Example` in every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.records.example import Attachment, Example, Message, Role


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """A rendered row, read.

    Attributes:
        messages: the input turns.
        target: the answer to learn.
        attachments: files; empty in formats of text alone (`formats.WITH_ATTACHMENTS` names the others).
    """

    messages: tuple[Message, ...]
    target: str
    attachments: tuple[Attachment, ...] = ()


def of_example(example: Example, *, with_attachments: bool) -> ParsedRow:
    """Return what a row of this example must say."""
    return ParsedRow(example.messages, example.target, example.attachments if with_attachments else ())


def message(role: Role, content: str) -> Message:
    """Return one turn."""
    return {"role": role, "content": content}


def messages_of(turns: Sequence[Any]) -> tuple[Message, ...]:
    """Return turns read from JSON or Parquet.

    Raises:
        ValueError: for a turn of an unknown role.
    """
    found: list[Message] = []
    for turn in turns:
        role = turn["role"]
        if role not in ("system", "user", "assistant"):
            raise ValueError("a role is none of system, user and assistant")
        found.append({"role": role, "content": turn["content"]})
    return tuple(found)
