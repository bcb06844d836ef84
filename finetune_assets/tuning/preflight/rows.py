"""Reading one rendered row: its texts, its files, and what is wrong with its form.

Forms: `contents` (Gemini, and open models with the role assistant), `prompt`/`completion`, `messages`, and preferences
(`contents` with `completions`). As of Google's documentation of 25 September 2026. A problem never quotes a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, NamedTuple

Form = Literal["contents", "prompt_completion", "messages", "preference"]

_CONTENT_KEYS = frozenset(
    {"contents", "systemInstruction", "system_instruction", "tools", "toolConfig", "tool_config", "generationConfig"}
)
_FILE_KEYS = ("fileData", "file_data")
_CALL_KEYS = ("functionCall", "functionResponse", "function_call", "function_response")
_NO_ANSWER = "end with the answer that is to be learned"


class Problem(NamedTuple):
    """One thing that is wrong with a row."""

    rule: str
    pointer: str
    found: str
    limit: str = ""
    mend: str = ""
    severity: Literal["error", "warning"] = "error"


class FileRef(NamedTuple):
    """A file that a row names."""

    pointer: str
    uri: str
    mime: str


@dataclass(slots=True)
class Row:
    """What one row holds.

    Attributes:
        questions: texts that are not learned, each with its JSON pointer.
        answers: texts that are learned.
        files: files that it names.
        problems: what is wrong with its form.
    """

    questions: list[tuple[str, str]] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)
    files: list[FileRef] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def say(self, rule: str, pointer: str, found: str, limit: str = "", mend: str = "") -> None:
        """Note an error."""
        self.problems.append(Problem(rule, pointer, found, limit, mend))


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a provider spells turns.

    Attributes:
        roles: roles of turns, the one that asks first.
        needs_answer: whether the last turn must be an answer; distillation's training rows may end with a question.
    """

    roles: tuple[str, ...]
    needs_answer: bool = True


GEMINI = Dialect(("user", "model"))
OPEN = Dialect(("user", "assistant", "model"))


def form_of(row: dict[str, Any]) -> Form | None:
    """Return the form of a row by its keys, None for no known one."""
    if "completions" in row:
        return "preference"
    if "contents" in row:
        return "contents"
    if "messages" in row:
        return "messages"
    return "prompt_completion" if "prompt" in row or "completion" in row else None


def read_row(row: dict[str, Any], form: Form, dialect: Dialect) -> Row:
    """Return what a row of a known form holds."""
    return _READERS[form](row, dialect)


def _read_contents(data: dict[str, Any], dialect: Dialect) -> Row:
    row = Row()
    _refuse_keys(row, data, _CONTENT_KEYS)
    _read_system(row, data)
    turns = data.get("contents")
    roles = _read_turns(row, turns, "/contents", dialect)
    _check_order(row, roles, "/contents", dialect)
    return row


def _read_preference(data: dict[str, Any], dialect: Dialect) -> Row:
    row = Row()
    _refuse_keys(row, data, _CONTENT_KEYS | {"completions"})
    _read_system(row, data)
    roles = _read_turns(row, data.get("contents"), "/contents", Dialect(dialect.roles, needs_answer=False))
    if roles and roles[-1] != dialect.roles[0]:
        row.say("last_turn", f"/contents/{len(roles) - 1}/role", f"role {roles[-1]}", "user", "end with the question")
    _read_completions(row, data.get("completions"), dialect)
    if row.files:
        row.say("modality", row.files[0].pointer, "a file", "text alone", "preferences are tuned on text alone")
    return row


def _read_completions(row: Row, completions: object, dialect: Dialect) -> None:
    if not isinstance(completions, list) or len(completions) != 2:
        count = len(completions) if isinstance(completions, list) else _kind(completions)
        row.say("completions", "/completions", f"{count}", "two: score 1 and score 0")
        return
    scores = []
    for number, item in enumerate(completions):
        at = f"/completions/{number}"
        if not isinstance(item, dict) or not isinstance(item.get("completion"), dict):
            row.say("completions", at, _kind(item), "an object with score and completion")
            continue
        scores.append(item.get("score"))
        turn = item["completion"]
        if turn.get("role") != dialect.roles[1]:
            row.say("roles", f"{at}/completion/role", _name(turn.get("role")), dialect.roles[1])
        _read_parts(row, turn.get("parts"), f"{at}/completion/parts", row.answers)
    if len(scores) == 2 and set(map(str, scores)) not in ({"0", "1"}, {"0.0", "1.0"}):
        row.say("completions", "/completions", f"scores {', '.join(map(_name, scores))}", "one of 1 and one of 0")
    texts = [text for _, text in row.answers]
    if len(texts) == 2 and texts[0] == texts[1]:
        row.say("completions", "/completions", "two equal answers", "a better and a worse one", "leave the row out")


def _read_prompt(data: dict[str, Any], dialect: Dialect) -> Row:
    row = Row()
    _refuse_keys(row, data, frozenset({"prompt", "completion"}))
    for key, texts in (("prompt", row.questions), ("completion", row.answers)):
        if key == "completion" and not dialect.needs_answer and key not in data:
            continue
        _read_text(row, data.get(key), f"/{key}", texts)
    return row


def _read_messages(data: dict[str, Any], dialect: Dialect) -> Row:
    row = Row()
    _refuse_keys(row, data, frozenset({"messages"}))
    turns = data.get("messages")
    if not isinstance(turns, list) or not turns:
        row.say("empty", "/messages", _kind(turns), "a list of turns")
        return row
    roles: list[str] = []
    for number, turn in enumerate(turns):
        at = f"/messages/{number}"
        if not isinstance(turn, dict) or set(turn) - {"role", "content"}:
            row.say("keys", at, _names(turn), "role and content")
            continue
        role = turn.get("role")
        if role == "system" and number == 0:
            _read_message(row, turn.get("content"), f"{at}/content", row.questions)
            continue
        if role not in ("user", "assistant"):
            row.say("roles", f"{at}/role", _name(role), "system (first), user or assistant")
            continue
        roles.append(role)
        is_last = number == len(turns) - 1
        texts = row.answers if role == "assistant" and is_last else row.questions
        _read_message(row, turn.get("content"), f"{at}/content", texts)
    _check_order(row, roles, "/messages", Dialect(("user", "assistant"), dialect.needs_answer))
    return row


def _read_message(row: Row, content: object, at: str, texts: list[tuple[str, str]]) -> None:
    if not isinstance(content, list):
        _read_text(row, content, at, texts)
        return
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            _read_text(row, part.get("text"), f"{at}/{number}/text", texts)
        elif kind == "image_url" and isinstance(part.get("image_url"), dict):
            url = part["image_url"].get("url")
            row.files.append(FileRef(f"{at}/{number}/image_url/url", url if isinstance(url, str) else "", ""))
        else:
            row.say("parts", f"{at}/{number}", _name(kind), "text or image_url")


def _read_system(row: Row, data: dict[str, Any]) -> None:
    for key in ("systemInstruction", "system_instruction"):
        if key not in data:
            continue
        system = data[key]
        if not isinstance(system, dict):
            row.say("keys", f"/{key}", _kind(system), "an object with parts")
        elif system.get("role", "system") not in ("system", "user"):
            row.say("roles", f"/{key}/role", _name(system.get("role")), "system")
        else:
            _read_parts(row, system.get("parts"), f"/{key}/parts", row.questions)


def _read_turns(row: Row, turns: object, at: str, dialect: Dialect) -> list[str]:
    if not isinstance(turns, list) or not turns:
        row.say("empty", at, _kind(turns), "a list of turns")
        return []
    roles: list[str] = []
    for number, turn in enumerate(turns):
        here = f"{at}/{number}"
        if not isinstance(turn, dict) or turn.keys() - {"role", "parts"}:
            row.say("keys", here, _names(turn), "role and parts")
            continue
        role = turn.get("role")
        if role not in dialect.roles:
            row.say("roles", f"{here}/role", _name(role), " or ".join(dialect.roles))
            continue
        roles.append(role)
        is_answer = dialect.needs_answer and role != "user" and number == len(turns) - 1
        _read_parts(row, turn.get("parts"), f"{here}/parts", row.answers if is_answer else row.questions)
    return roles


def _read_parts(row: Row, parts: object, at: str, texts: list[tuple[str, str]]) -> None:
    if not isinstance(parts, list) or not parts:
        row.say("empty", at, _kind(parts), "a list of parts")
        return
    for number, part in enumerate(parts):
        here = f"{at}/{number}"
        if not isinstance(part, dict):
            row.say("parts", here, _kind(part), "an object")
        elif "text" in part:
            _read_text(row, part["text"], f"{here}/text", texts)
        elif any(key in part for key in _FILE_KEYS):
            _read_file(row, part, here)
        elif not any(key in part for key in _CALL_KEYS):
            mend = "put the file into a bucket and name it by fileData" if "inlineData" in part else ""
            row.say("parts", here, _names(part), "text, fileData, functionCall or functionResponse", mend)


def _read_file(row: Row, part: dict[str, Any], at: str) -> None:
    key = next(key for key in _FILE_KEYS if key in part)
    data = part[key]
    if not isinstance(data, dict):
        row.say("parts", f"{at}/{key}", _kind(data), "an object with fileUri and mimeType")
        return
    uri, mime = (
        data.get(long, data.get(short)) for long, short in (("fileUri", "file_uri"), ("mimeType", "mime_type"))
    )
    if not isinstance(uri, str) or not isinstance(mime, str) or not uri or not mime:
        row.say("parts", f"{at}/{key}", _names(data), "fileUri and mimeType")
        return
    row.files.append(FileRef(f"{at}/{key}", uri, mime))


def _read_text(row: Row, text: object, at: str, texts: list[tuple[str, str]]) -> None:
    if not isinstance(text, str):
        row.say("type", at, _kind(text), "text")
    elif not text or text.isspace():
        row.say(
            "empty", at, f"{len(text)} blank characters" if text else "empty text", "some text", "leave the row out"
        )
    else:
        texts.append((at, text))


def _check_order(row: Row, roles: list[str], at: str, dialect: Dialect) -> None:
    if not roles:
        return
    if roles[0] != "user":
        row.say("order", f"{at}/0/role", f"begins with {roles[0]}", "user", "begin with the question")
    if dialect.needs_answer and roles[-1] == "user":
        row.say("last_turn", at, "the last turn is the user's", dialect.roles[1], _NO_ANSWER)
    if any(one == other for one, other in pairwise(roles)):
        row.problems.append(
            Problem("order", at, "two turns of one role in a row", "turns by turns", "join them into one", "warning")
        )


def _refuse_keys(row: Row, data: dict[str, Any], known: frozenset[str]) -> None:
    unknown = data.keys() - known
    if unknown:
        row.say("keys", "", _listed(unknown), ", ".join(sorted(known)), "remove what the service does not know")


def _kind(value: object) -> str:
    """Return a value's JSON type; never the value."""
    if value is None:
        return "nothing"
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value", int: "a number", float: "a number"}
    return ("an empty list" if value == [] else names.get(type(value))) or type(value).__name__


def _names(value: object) -> str:
    return f"keys {_listed(value)}" if isinstance(value, dict) else _kind(value)


def _listed(keys: Iterable[str]) -> str:
    # A key of a broken row may be a person's text.
    shown = sorted(key if key.isidentifier() and len(key) <= 40 else f"({len(key)} characters)" for key in keys)
    return ", ".join(shown[:8]) or "none"


def _name(value: object) -> str:
    """Return a role's or kind's name where it looks like one, else its type."""
    if isinstance(value, bool | int | float):
        return str(value)
    return value if isinstance(value, str) and value.isidentifier() and len(value) <= 20 else _kind(value)


_READERS: dict[Form, Callable[[dict[str, Any], Dialect], Row]] = {
    "contents": _read_contents,
    "preference": _read_preference,
    "prompt_completion": _read_prompt,
    "messages": _read_messages,
}
