"""`alpaca`: instruction, input, output; with `system` and `history` where an example has such turns.

The last two names are those of trainers that read longer conversations from this shape (LLaMA-Factory). What the
question is about (`facts["context"]`) becomes `input` where the question ends with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune_assets.datasets.formats.parsed import ParsedRow, message
from finetune_assets.records.example import Example, Message

SEPARATOR = "\n\n"
"""What stands between an instruction and its input."""


def instruction_and_input(question: str, context: object) -> tuple[str, str]:
    """Return a question as its instruction and the input that it ends with, "" for none."""
    if isinstance(context, str) and context and question.endswith(SEPARATOR + context):
        return question[: -len(SEPARATOR + context)], context
    return question, ""


def to_alpaca(example: Example) -> dict[str, Any] | None:
    """Return an Alpaca row; None where the turns are not user and assistant by turns after at most one system turn."""
    turns = list(example.messages)
    system = turns.pop(0)["content"] if turns and turns[0]["role"] == "system" else ""
    if [turn["role"] for turn in turns] != [("user", "assistant")[at % 2] for at in range(len(turns))]:
        return None
    if len(turns) % 2 == 0:
        return None
    instruction, given = instruction_and_input(turns[-1]["content"], example.facts.get("context"))
    row: dict[str, Any] = {"instruction": instruction, "input": given, "output": example.target}
    if system:
        row["system"] = system
    if len(turns) > 1:
        said = [turn["content"] for turn in turns[:-1]]
        row["history"] = [[said[at], said[at + 1]] for at in range(0, len(said), 2)]
    return row


def from_alpaca(row: Mapping[str, Any]) -> ParsedRow:
    """Read an Alpaca row.

    Raises:
        KeyError: when a part is missing.
    """
    turns: list[Message] = [message("system", row["system"])] if row.get("system") else []
    for asked, answered in row.get("history", []):
        turns += [message("user", asked), message("assistant", answered)]
    question = row["instruction"] + (SEPARATOR + row["input"] if row["input"] else "")
    return ParsedRow((*turns, message("user", question)), row["output"])
