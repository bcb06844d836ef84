r"""`vertex_open`: a prompt and its completion as two strings, Vertex AI's other row for open models.

A single question is its own prompt. Further turns stand under headings, `### System:`, `### User:`, `### Assistant:`,
each on a line of its own; the prompt then ends with `### Assistant:`. A line of a text that looks like a heading gets a
backslash in front (one that has backslashes already, one more), so that every prompt parses back to its turns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.datasets.formats.parsed import ParsedRow, message
from finetune_assets.records.example import Example, Message, Role

_HEADINGS: Mapping[Role, str] = {"system": "### System:", "user": "### User:", "assistant": "### Assistant:"}
_ROLES: Mapping[str, Role] = {heading: role for role, heading in _HEADINGS.items()}
_HEADING = r"### (?:System|User|Assistant):"
_LOOKS_LIKE_ONE = re.compile(rf"^(?=\\*{_HEADING}$)", re.MULTILINE)
_MASKED = re.compile(rf"^\\(?=\\*{_HEADING}$)", re.MULTILINE)
_TURN = re.compile(rf"(?:\A|\n\n)^({_HEADING})$\n?", re.MULTILINE)


def to_vertex_open(example: Example) -> dict[str, Any] | None:
    """Return `{"prompt", "completion"}`; None when one of the two is empty, which the service refuses."""
    prompt = flatten(example.messages)
    return {"prompt": prompt, "completion": example.target} if prompt and example.target else None


def from_vertex_open(row: Mapping[str, Any]) -> ParsedRow:
    """Read a row of prompt and completion.

    Raises:
        KeyError: when one of the two is missing.
        ValueError: when the prompt has headings and does not end with the assistant's.
    """
    return ParsedRow(tuple(unflatten(row["prompt"])), row["completion"])


def flatten(messages: Sequence[Message]) -> str:
    """Return turns as one text, by the rules of this module."""
    if len(messages) == 1 and messages[0]["role"] == "user":
        return _masked(messages[0]["content"])
    parts = [f"{_HEADINGS[turn['role']]}\n{_masked(turn['content'])}" for turn in messages]
    return "\n\n".join([*parts, f"{_HEADINGS['assistant']}\n"])


def unflatten(prompt: str) -> list[Message]:
    """Return the turns of a flattened text.

    Raises:
        ValueError: when it has headings and does not end with the assistant's.
    """
    _, *found = _TURN.split(prompt)
    if not found:
        return [message("user", _MASKED.sub("", prompt))]
    turns = [message(_ROLES[heading], _MASKED.sub("", text)) for heading, text in zip(*[iter(found)] * 2, strict=True)]
    if turns[-1] != message("assistant", ""):
        raise ValueError("the prompt does not end with the assistant's heading")
    return turns[:-1]


def _masked(text: str) -> str:
    return _LOOKS_LIKE_ONE.sub(r"\\", text)
