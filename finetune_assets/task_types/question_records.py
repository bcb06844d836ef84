"""Records of questions and answers: the shapes they come in, and how each becomes exchanges.

Here belong the field names, the shapes and the rules for conversations. Cleaning, prompts and examples are the business
of `question_answering.py`. The rules, each with a test:

- a conversation gives one exchange for each answer, with all earlier turns as its history; a context beside it stands
  with the question that is asked last, in training as in live requests;
- turns of one speaker in a row are joined by a blank line; system turns count at the beginning only;
- a greeting before the first question is left out, and so is a question that nobody answered at the end;
- an unknown role, a blank turn, content that is no text, or a conversation without any answer rejects the whole record:
  what comes after a hole was said about something that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.records.example import Message, Role
from finetune_assets.task_types.prompts import FieldFault, text_of

ALIASES: Mapping[str, tuple[str, ...]] = {
    "record_id": ("record_id", "id", "questionId", "question_id", "conversation_id"),
    "question": ("question", "Question", "Questions", "instruction", "prompt", "query"),
    "answer": ("answer", "Answer", "Answers", "output", "response", "completion", "chosen"),
    "context": ("context", "Context", "input"),
    "messages": ("messages", "conversations", "conversation", "turns"),
    "system": ("system", "system_prompt"),
    "patterns": ("patterns", "Patterns", "pattern"),
    "responses": ("responses", "Responses"),
    "category": ("category", "Category"),
    "topic": ("topic", "Topic"),
    "tags": ("tags", "Tags", "tag"),
    "language": ("language", "lang"),
    "expected_keywords": ("expected_keywords", "keywords"),
    "rejected": ("rejected", "rejected_answer"),
}
"""Canonical field → the names it goes by, best first."""

LAST_ANSWER_ONLY = "last_answer_only"
"""A conversation that holds this field as true gives its last answer alone; the earlier ones are history."""

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "ai": "assistant",
}
"""A role as written, in lower case → the role it is. Tools are none: their calls are another task."""

_ROLE_NAMES = ("role", "from")
_CONTENT_NAMES = ("content", "value", "text")
_SEPARATOR = "\n\n"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question with its answer, as found.

    Attributes:
        shape: `question`, `wordings` or `chat`.
        question: what is asked last.
        answer: what is to be learned.
        context: what the question is about, "" for none.
        system: the record's own system turn, "" for none.
        history: earlier turns, oldest first, user and assistant in turn.
    """

    shape: str
    question: str
    answer: str
    context: str = ""
    system: str = ""
    history: tuple[Message, ...] = ()


def exchanges_of(fields: Mapping[str, Any]) -> list[Exchange] | FieldFault:
    """Return a record's exchanges, or why it has none.

    Args:
        fields: the record's values by canonical name.

    Returns:
        At least one exchange: a conversation gives one for each answer; a question with further wordings
        (`patterns`) one for each.
    """
    if fields.get("messages") is not None:
        return _of_conversation(fields)
    return _of_question(fields)


def _of_conversation(fields: Mapping[str, Any]) -> list[Exchange] | FieldFault:
    turns = turns_of(fields["messages"])
    if isinstance(turns, FieldFault):
        return turns
    system, spoken = split_system(turns)
    first, context = _optional_text(fields, "system"), _optional_text(fields, "context")
    if isinstance(first, FieldFault):
        return first
    if isinstance(context, FieldFault):
        return context
    if any(turn["role"] == "system" for turn in spoken):
        return FieldFault("messages", "turn_order", "a system turn amid the conversation", "system turns first")
    if spoken and spoken[0]["role"] == "assistant":
        spoken = spoken[1:]
    if spoken and spoken[-1]["role"] == "user":
        spoken = spoken[:-1]
    if not spoken:
        return FieldFault(
            "messages", "unanswered", "no question with an answer", "a user turn before an assistant turn"
        )
    return [
        Exchange("chat", spoken[at]["content"], spoken[at + 1]["content"], context, system or first, tuple(spoken[:at]))
        for at in range(0, len(spoken), 2)
    ]


def split_system(turns: Sequence[Message]) -> tuple[str, list[Message]]:
    """Return the system text at the beginning, "" for none, and the other turns."""
    if turns and turns[0]["role"] == "system":
        return turns[0]["content"], list(turns[1:])
    return "", list(turns)


def turns_of(value: Any) -> list[Message] | FieldFault:
    """Return the turns of a conversation in one form; turns of one speaker in a row are joined.

    Args:
        value: a list of `{role, content}` (also `{from, value}`), or of `{user: …, assistant: …}`.
    """
    if not isinstance(value, list):
        return FieldFault("messages", "wrong_type", type(value).__name__, "a list of turns")
    turns: list[Message] = []
    for number, item in enumerate(value):
        said = _said(item, number)
        if isinstance(said, FieldFault):
            return said
        for turn in said:
            if turns and turns[-1]["role"] == turn["role"]:
                turns[-1] = {"role": turn["role"], "content": turns[-1]["content"] + _SEPARATOR + turn["content"]}
            else:
                turns.append(turn)
    return turns


def _said(item: Any, number: int) -> list[Message] | FieldFault:
    """Return what one item of a list of turns says: one turn, or a question with its answer."""
    place = f"messages[{number}]"
    if not isinstance(item, Mapping):
        return FieldFault(place, "wrong_type", type(item).__name__, "an object with role and content")
    role = next((item[name] for name in _ROLE_NAMES if name in item), None)
    if role is not None:
        known = ROLES.get(role.strip().lower()) if isinstance(role, str) else None
        if known is None:
            return FieldFault(f"{place}.role", "unknown_role", str(role)[:40], "system, user or assistant")
        content = next((item[name] for name in _CONTENT_NAMES if name in item), None)
        pairs: list[tuple[Role, Any]] = [(known, content)]
    else:
        pairs = [(ROLES[name.strip().lower()], said) for name, said in item.items() if name.strip().lower() in ROLES]
        if not pairs:
            return FieldFault(place, "missing_field", "neither a role nor a speaker", "role and content")
        order = ("system", "user", "assistant")
        pairs.sort(key=lambda pair: order.index(pair[0]))
    return _spoken(pairs, place)


def _spoken(pairs: Sequence[tuple[Role, Any]], place: str) -> list[Message] | FieldFault:
    turns: list[Message] = []
    for role, content in pairs:
        text = _content_text(content, place)
        if isinstance(text, FieldFault):
            return text
        if not text.strip():
            return FieldFault(place, "blank_turn", f"a blank {role} turn", "what was said")
        turns.append({"role": role, "content": text})
    return turns


def _content_text(content: Any, place: str) -> str | FieldFault:
    """Return a turn's text; of a list of parts, the text parts by line."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return text_of(place, content)
    texts = []
    for part in content:
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            return FieldFault(place, "wrong_type", "a part that is no text", "parts of type text")
        texts.append(part["text"])
    return "\n".join(texts)


def _of_question(fields: Mapping[str, Any]) -> list[Exchange] | FieldFault:
    answer = _answer(fields)
    if isinstance(answer, FieldFault):
        return answer
    wordings = _wordings(fields)
    if isinstance(wordings, FieldFault):
        return wordings
    context, system = _optional_text(fields, "context"), _optional_text(fields, "system")
    if isinstance(context, FieldFault):
        return context
    if isinstance(system, FieldFault):
        return system
    shape = "question" if len(wordings) == 1 else "wordings"
    return [Exchange(shape, wording, answer, context, system) for wording in wordings]


def _answer(fields: Mapping[str, Any]) -> str | FieldFault:
    """Return the answer; of several, the first that says something: one question has one target."""
    name = "answer" if not _is_blank(fields.get("answer")) else "responses"
    value = fields.get(name)
    if _is_blank(value):
        return FieldFault("answer", "missing_field", "nothing" if value is None else "blank text", "an answer")
    if isinstance(value, list):
        value = next(item for item in value if not _is_blank(item))
    return text_of(name, value)


def _wordings(fields: Mapping[str, Any]) -> list[str] | FieldFault:
    """Return the question and its further wordings, each once."""
    found: dict[str, None] = {}
    for name in ("question", "patterns"):
        value = fields.get(name)
        for item in value if isinstance(value, list) else [value]:
            if _is_blank(item):
                continue
            text = text_of(name, item)
            if isinstance(text, FieldFault):
                return text
            found[text] = None
    return list(found) or FieldFault(
        "question", "missing_field", "nothing", "a question, an instruction, patterns, or messages"
    )


def _optional_text(fields: Mapping[str, Any], name: str) -> str | FieldFault:
    value = fields.get(name)
    return "" if _is_blank(value) else text_of(name, value)


def _is_blank(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_blank(item) for item in value)
    return value is None or (isinstance(value, str) and not value.strip())
