"""Training files as the service reads them: which rows it refuses or drops, what they cost, what they teach.

Formats and limits: reference of 2026-09-25 (Gemini supervised tuning, open models, preference tuning).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from finetune_assets_tests.fakes.vertex_wire import Json

CHARACTERS_PER_TOKEN = 4
GEMINI_FILE_BYTES = 1_000_000_000
GEMINI_EXAMPLE_TOKENS = 131_072
GEMINI_VALIDATION_ROWS = 5_000
OPEN_VALIDATION_SHARE = 0.25
OPEN_VALIDATION_ROWS = 5_000


class BadDatasetError(Exception):
    """The service's words for a file that it refuses."""


@dataclass(frozen=True)
class Row:
    """One training row: the last user turn, the answer, and the sizes that are billed."""

    prompt: str
    answer: str
    input_tokens: int
    output_tokens: int


@dataclass
class Dataset:
    """A file that was accepted."""

    rows: list[Row] = field(default_factory=list)
    size: int = 0

    def tokens(self) -> int:
        """Return the tokens of all rows."""
        return sum(row.input_tokens + row.output_tokens for row in self.rows)


def count_tokens(text: str) -> int:
    """Return the stand-in's tokens of a text: one for each four characters, rounded up."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def text_of_parts(content: Any, where: str) -> str:
    """Return the text of a Content's parts.

    Raises:
        BadDatasetError: No parts, or an empty text.
    """
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list) or not parts:
        raise BadDatasetError(f"{where}: parts must be a non-empty list.")
    texts = []
    for part in parts:
        if not isinstance(part, dict):
            raise BadDatasetError(f"{where}: a part must be an object.")
        if "text" in part:
            if not isinstance(part["text"], str) or not part["text"]:
                raise BadDatasetError(f"{where}: text must not be empty.")
            texts.append(part["text"])
        elif not {"fileData", "file_data", "functionCall", "functionResponse", "inlineData"} & set(part):
            raise BadDatasetError(f"{where}: unknown part {sorted(part)}.")
        else:
            texts.append(json.dumps(part, sort_keys=True))
    return "\n".join(texts)


def _turns(contents: Any, where: str, roles: set[str]) -> list[tuple[str, str]]:
    if not isinstance(contents, list) or not contents:
        raise BadDatasetError(f"{where}: contents must be a non-empty list.")
    turns = []
    for number, content in enumerate(contents):
        role = content.get("role") if isinstance(content, dict) else None
        if role not in roles:
            raise BadDatasetError(f"{where}: contents[{number}].role is {role!r}; valid roles are {sorted(roles)}.")
        turns.append((role, text_of_parts(content, f"{where}: contents[{number}]")))
    return turns


def _system(line: Json, where: str) -> str:
    found = line.get("systemInstruction", line.get("system_instruction"))
    return "" if found is None else text_of_parts(found, f"{where}: systemInstruction")


def _row(turns: list[tuple[str, str]], system: str, answer: str) -> Row:
    users = [text for role, text in turns if role == "user"]
    before = system + "".join(text for _, text in turns)
    return Row(users[-1] if users else "", answer, count_tokens(before), count_tokens(answer))


def gemini_row(line: Json, where: str) -> Row:
    """Return a Gemini supervised row; the last turn is `model`, roles are user and model."""
    turns = _turns(line.get("contents"), where, {"user", "model"})
    if turns[-1][0] != "model":
        raise BadDatasetError(f"{where}: the last turn must have role 'model', found {turns[-1][0]!r}.")
    if turns[0][0] != "user":
        raise BadDatasetError(f"{where}: the first turn must have role 'user', found {turns[0][0]!r}.")
    return _row(turns[:-1], _system(line, where), turns[-1][1])


def preference_row(line: Json, where: str) -> Row:
    """Return a preference row: contents end with `user`; one completion has score 1, one has 0."""
    turns = _turns(line.get("contents"), where, {"user", "model"})
    if turns[-1][0] != "user":
        raise BadDatasetError(f"{where}: contents must end with a user turn.")
    completions = line.get("completions")
    if not isinstance(completions, list) or sorted(_score(item) for item in completions) != [0.0, 1.0]:
        raise BadDatasetError(f"{where}: completions must hold exactly one with score 1 and one with score 0.")
    texts = {_score(item): text_of_parts(item.get("completion"), f"{where}: completion") for item in completions}
    row = _row(turns, _system(line, where), texts[1.0])
    # Billed: twice the prompt and both completions (reference A.5).
    return Row(row.prompt, row.answer, 2 * row.input_tokens, sum(count_tokens(text) for text in texts.values()))


def _score(item: Any) -> float:
    score = item.get("score", 0) if isinstance(item, dict) else -1
    return float(score) if isinstance(score, int | float) else -1.0


def open_row(line: Json, where: str, prompts_only: bool = False) -> Row:
    """Return a row of an open model: prompt/completion, messages, or contents with role assistant (or model)."""
    if "messages" in line:
        return _messages_row(line["messages"], where, prompts_only)
    if "prompt" in line:
        prompt, answer = line["prompt"], line.get("completion", "" if prompts_only else None)
        if not isinstance(prompt, str) or not prompt or not isinstance(answer, str) or not (answer or prompts_only):
            raise BadDatasetError(f"{where}: prompt and completion must be non-empty strings.")
        return Row(prompt, answer, count_tokens(prompt), count_tokens(answer))
    turns = _turns(line.get("contents"), where, {"user", "model", "assistant"})
    if turns[-1][0] not in {"model", "assistant"}:
        raise BadDatasetError(f"{where}: the last turn must have role 'assistant'.")
    return _row(turns[:-1], _system(line, where), turns[-1][1])


def _messages_row(messages: Any, where: str, prompts_only: bool) -> Row:
    if not isinstance(messages, list) or not messages:
        raise BadDatasetError(f"{where}: messages must be a non-empty list.")
    turns = []
    for number, message in enumerate(messages):
        role, text = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
        if role not in {"system", "user", "assistant", "tool"}:
            raise BadDatasetError(f"{where}: messages[{number}].role is {role!r}.")
        if not isinstance(text, str) or not text:
            raise BadDatasetError(f"{where}: messages[{number}].content must be a non-empty string.")
        turns.append((role, text))
    if turns[-1][0] != "assistant" and not prompts_only:
        raise BadDatasetError(f"{where}: the last message must have role 'assistant'.")
    answer = turns[-1][1] if turns[-1][0] == "assistant" else ""
    before = turns[:-1] if answer else turns
    return _row(before, "", answer)


READERS = {
    "gemini": gemini_row,
    "preference": preference_row,
    "open": open_row,
    "prompts": lambda line, where: open_row(line, where, prompts_only=True),
}


def read_dataset(data: bytes, form: str, max_tokens: int, what: str = "training dataset") -> Dataset:
    """Return the rows of a JSONL file.

    Raises:
        BadDatasetError: An empty file, broken JSON, a row that breaks the form, a file over the limit.
    """
    if form in {"gemini", "preference"} and len(data) > GEMINI_FILE_BYTES:
        raise BadDatasetError(f"The {what} has {len(data)} bytes, the limit is {GEMINI_FILE_BYTES}.")
    found = Dataset(size=len(data))
    for number, text in enumerate(data.decode("utf-8", errors="strict").splitlines(), 1):
        where = f"Row {number} of the {what}"
        try:
            line = json.loads(text)
        except ValueError as error:
            raise BadDatasetError(f"{where} is not valid JSON.") from error
        if not isinstance(line, dict):
            raise BadDatasetError(f"{where} must be a JSON object.")
        row = READERS[form](line, where)
        if form == "gemini" and row.input_tokens + row.output_tokens > max_tokens:
            raise BadDatasetError(
                f"{where} has {row.input_tokens + row.output_tokens} tokens, the limit is {max_tokens}."
            )
        found.rows.append(row)
    if not found.rows:
        raise BadDatasetError(f"The {what} is empty.")
    return found


def check_validation(training: Dataset, validation: Dataset, form: str) -> None:
    """Refuse a validation file that is too large beside its training file.

    Raises:
        BadDatasetError: More than 25 % of the bytes (open models), or too many rows.
    """
    rows = len(validation.rows)
    if form in {"open", "prompts"}:
        share = validation.size / training.size
        if share > OPEN_VALIDATION_SHARE:
            raise BadDatasetError(
                f"The validation dataset size is {100 * share:.2f}% of the training dataset size. "
                "It must not be more than 25%."
            )
        if rows > OPEN_VALIDATION_ROWS:
            raise BadDatasetError(f"The validation dataset has {rows} examples, the limit is {OPEN_VALIDATION_ROWS}.")
        return
    if rows > GEMINI_VALIDATION_ROWS:
        raise BadDatasetError(f"The validation dataset has {rows} examples, the limit is {GEMINI_VALIDATION_ROWS}.")
    if rows > 1_000 and rows > 0.3 * len(training.rows):
        raise BadDatasetError("The validation dataset must not have more than 30% of the training examples.")


def distribution(values: list[int]) -> Json:
    """Return a dataset distribution as the service reports it."""
    ordered = sorted(values)
    total, count = sum(ordered), len(ordered)

    def at(share: float) -> float:
        return float(ordered[min(count - 1, int(share * count))])

    low, high = ordered[0], ordered[-1]
    width = max(1, math.ceil((high - low + 1) / 4))
    buckets = [
        {
            "left": float(left),
            "right": float(left + width),
            "count": float(sum(left <= it < left + width for it in ordered)),
        }
        for left in range(low, high + 1, width)
    ]
    shown = {"sum": str(total), "billableSum": str(total), "min": float(low), "max": float(high), "mean": total / count}
    return {**shown, "median": at(0.5), "p5": at(0.05), "p95": at(0.95), "buckets": buckets}
