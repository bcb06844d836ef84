"""`preference` and `preference_trl`: one question, a preferred and a dispreferred answer, for preference tuning (DPO).

The first is Gemini's row, as of Google's documentation of 25 September 2026: snake_case `system_instruction`, contents
that end with the user, exactly one completion of score 1 and one of score 0, text only. The second is what trl's
DPOTrainer reads. An example without `facts["rejected"]`, with one equal to its target, or with attachments has no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune_assets.datasets.formats.gemini import from_gemini, to_gemini
from finetune_assets.datasets.formats.parsed import ParsedRow, message, messages_of
from finetune_assets.records.example import Example


def _rejected(example: Example) -> str:
    """Return the worse answer, "" where the example has no two answers to compare."""
    answer = example.facts.get("rejected")
    usable = isinstance(answer, str) and answer.strip() and answer != example.target and example.target
    return str(answer) if usable and not example.attachments else ""


def to_preference(example: Example) -> dict[str, Any] | None:
    """Return Gemini's preference row, or None."""
    rejected = _rejected(example)
    if not rejected:
        return None
    row = to_gemini(example)
    chosen = row["contents"].pop()
    completions = [
        {"score": 1, "completion": chosen},
        {"score": 0, "completion": {"role": "model", "parts": [{"text": rejected}]}},
    ]
    system = {"system_instruction": {"parts": row["systemInstruction"]["parts"]}} if "systemInstruction" in row else {}
    return {**system, "contents": row["contents"], "completions": completions}


def from_preference(row: Mapping[str, Any]) -> ParsedRow:
    """Read a preference row; the preferred answer is the target.

    Raises:
        ValueError: when there is not one completion of each score, or the contents do not end with the user.
        KeyError: when a part is missing.
    """
    by_score = {item["score"]: item["completion"] for item in row["completions"]}
    if len(row["completions"]) != 2 or set(by_score) != {0, 1}:
        raise ValueError("not one completion of score 1 and one of score 0")
    if not row["contents"] or row["contents"][-1]["role"] != "user":
        raise ValueError("the contents do not end with the user")
    system = {"systemInstruction": row["system_instruction"]} if "system_instruction" in row else {}
    return from_gemini({**system, "contents": [*row["contents"], by_score[1]]})


def to_preference_trl(example: Example) -> dict[str, Any] | None:
    """Return trl's conversational preference row, or None."""
    rejected = _rejected(example)
    if not rejected:
        return None
    return {
        "prompt": list(example.messages),
        "chosen": [message("assistant", example.target)],
        "rejected": [message("assistant", rejected)],
    }


def from_preference_trl(row: Mapping[str, Any]) -> ParsedRow:
    """Read a trl row; the preferred answer is the target.

    Raises:
        ValueError: when an answer is not one turn.
        KeyError: when a part is missing.
    """
    (chosen,), _ = messages_of(row["chosen"]), messages_of(row["rejected"])
    return ParsedRow(messages_of(row["prompt"]), chosen["content"])
