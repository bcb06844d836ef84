"""`chat` and `vertex_open_messages`: one list of messages, the answer last.

The first is what local training reads; the second is Vertex AI's row for open models (roles system, user, assistant;
no empty content). They are equal today and have a name each, because one of them is a provider's to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune_assets.datasets.formats.parsed import ParsedRow, message, messages_of
from finetune_assets.records.example import Example


def to_chat(example: Example) -> dict[str, Any]:
    """Return the example as a `chat` row: `{"messages": […, {"role": "assistant", "content": target}]}`.

    Photos stay out: the format is that of text models.
    """
    return {"messages": [*example.messages, message("assistant", example.target)]}


def from_chat(row: Mapping[str, Any]) -> ParsedRow:
    """Read a `chat` row.

    Raises:
        ValueError: when the last turn is no answer.
        KeyError: when a part is missing.
    """
    *asked, answer = messages_of(row["messages"])
    if answer["role"] != "assistant":
        raise ValueError("the last turn is not the assistant's")
    return ParsedRow(tuple(asked), answer["content"])


def to_vertex_open_messages(example: Example) -> dict[str, Any] | None:
    """Return the example as a row of messages for Vertex AI's open models; None when a turn or the answer is empty."""
    row = to_chat(example)
    return row if all(turn["content"] for turn in row["messages"]) else None
