"""The question: a system prompt and a user prompt with `{field}` placeholders, filled from one record.

Training rows and live requests are asked by the same `Prompt`, so that there is one wording and one treatment of
what people wrote.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from finetune_assets.datasets.normalise import normalise_text
from finetune_assets.datasets.render import NEUTRALISE_RULE, neutralise
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class PromptConfig(BaseModel):
    """The wording of the question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str = Field(
        default="Answer with the label as JSON.",
        description="System prompt, taken literally. Keep it to a sentence for the embedded model; empty for models "
        "whose chat template takes no system turn.",
    )
    user: str | None = Field(
        default=None,
        min_length=1,
        description="User prompt; {field} stands for a canonical field of the record, other braces for themselves. By "
        "default the text field alone.",
    )
    defaults: dict[str, str] = Field(
        default_factory=dict,
        description="Field to the words that stand for it where a record lacks it; a field without is required.",
    )
    list_labels: bool = Field(
        default=False,
        description="Append every legal answer to the system prompt: for large models that are asked without tuning; "
        "too long for the embedded one.",
    )


@dataclass(frozen=True, slots=True)
class FieldFault:
    """Why a record cannot be asked about: the field, a quarantine reason, what was found and expected."""

    field: str
    reason: str
    found: str
    expected: str


@dataclass(frozen=True)
class Prompt:
    """The question of one task.

    Attributes:
        system: the whole system prompt, "" for none.
        user: the user prompt with its placeholders.
        defaults: words for fields that a record may lack.
        whole_numbers: fields that count as absent unless they hold a whole number.
    """

    system: str
    user: str
    defaults: Mapping[str, str] = field(default_factory=dict)
    whole_numbers: Collection[str] = frozenset()

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields that the user prompt names, in the order of their first mention."""
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.user)))

    @cached_property
    def _pieces(self) -> list[str]:
        """The user prompt, literal text and field names in turn."""
        return _PLACEHOLDER.split(self.user)

    @cached_property
    def _opening(self) -> list[Message]:
        return [{"role": "system", "content": self.system}] if self.system else []

    def messages(self, fields: Mapping[str, Any]) -> list[Message] | FieldFault:
        """Ask about one record.

        Control tokens of chat templates in the user turn are neutralised (`datasets.render.neutralise`).

        Args:
            fields: the record's values by canonical name; None and blank ones are absent.

        Returns:
            The turns, system first where there is one, or why the record cannot be asked about.
        """
        return self.messages_of_batch((fields,))[0]

    def _messages(self, fields: Mapping[str, Any]) -> list[Message] | FieldFault:
        texts: dict[str, str] = {}
        for name in self.fields:
            text = self._text(name, fields.get(name))
            if isinstance(text, FieldFault):
                return text
            texts[name] = text
        pieces = self._pieces.copy()
        pieces[1::2] = [texts[name] for name in pieces[1::2]]
        return [*self._opening, {"role": "user", "content": neutralise("".join(pieces))}]

    def messages_of_batch(self, batch: Sequence[Mapping[str, Any]]) -> list[list[Message] | FieldFault]:
        """Ask about many records; each is asked as `messages` asks it."""
        if not self._single:
            return [self._messages(fields) for fields in batch]
        name, before, after = self._single
        opening = self._opening
        found: list[list[Message] | FieldFault] = []
        for fields in batch:
            value = fields.get(name)
            # Plain ASCII text can be neither a wrong type nor half a character.
            if type(value) is str and value.isascii() and (text := value.strip()):
                found.append([*opening, {"role": "user", "content": neutralise(before + text + after)}])
            else:
                found.append(self._messages(fields))
        return found

    @cached_property
    def _single(self) -> tuple[str, str, str] | None:
        """The one field of the user prompt and the text around it; None where it has several."""
        several = len(self._pieces) != 3 or self._pieces[1] in self.whole_numbers
        return None if several else (self._pieces[1], self._pieces[0], self._pieces[2])

    def _text(self, name: str, value: Any) -> str | FieldFault:
        if name in self.whole_numbers and not _is_whole_number(value):
            value = None
        if value is None or (isinstance(value, str) and _is_blank(value)):
            if name in self.defaults:
                return self.defaults[name]
            return FieldFault(name, "missing_field", "nothing" if value is None else "blank text", "text")
        return text_of(name, value)

    def manifest(self) -> dict[str, Any]:
        """Return all that decides the wording, as JSON: one half of the template's hash."""
        return {
            "system": self.system,
            "user": self.user,
            "defaults": dict(self.defaults),
            "whole_numbers": sorted(self.whole_numbers),
            "neutralise": NEUTRALISE_RULE,
        }


def _is_blank(text: str) -> bool:
    """True when `normalise_text` leaves nothing of the text: no visible character. Of ASCII, only white space."""
    return not text.strip() if text.isascii() else not normalise_text(text)


def text_of(name: str, value: Any) -> str | FieldFault:
    """Return a value as the text that a prompt holds, trimmed: texts and whole numbers, nothing else."""
    if isinstance(value, int) and not isinstance(value, bool) and _is_whole_number(value):
        return str(value)
    if not isinstance(value, str):
        return FieldFault(name, "wrong_type", type(value).__name__, "text")
    try:
        value.encode()
    except UnicodeEncodeError:
        return FieldFault(name, "lone_surrogate", "half of a UTF-16 pair", "text that UTF-8 can hold")
    return value.strip()


def _is_whole_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().isdecimal()
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18


def build_prompt(
    config: PromptConfig,
    *,
    text_field: str,
    known: Collection[str],
    whole_numbers: Collection[str],
    labels: Collection[str],
    section: str = "classification",
) -> Prompt:
    """Build a task's prompt and check its wording.

    Args:
        config: the wording.
        text_field: the field that holds the text to be judged, which the user prompt must name.
        known: every canonical field name.
        whole_numbers: fields that count as absent unless they hold a whole number.
        labels: the legal answers, for `list_labels`.
        section: the task type's section of the YAML, for error messages.

    Returns:
        The prompt.

    Raises:
        FinetuneError: for a placeholder of an unknown field, a prompt without the text, a placeholder in the system
            prompt, or a chat control token in the wording.
    """
    user = config.user if config.user is not None else f"{{{text_field}}}"
    for name in dict.fromkeys([*_PLACEHOLDER.findall(user), *config.defaults]):
        if name not in known:
            _refuse(
                section,
                "user",
                f"{{{name}}}",
                f"one of the fields {', '.join(sorted(known))}",
                "rename it, or add it to `aliases`",
            )
    if text_field not in _PLACEHOLDER.findall(user):
        _refuse(
            section, "user", user, f"the placeholder {{{text_field}}}", "add it: without it every question is the same"
        )
    for name in _PLACEHOLDER.findall(config.system):
        if name in known:
            _refuse(section, "system", f"{{{name}}}", "no field of the record", "move the placeholder to `user`")
    for place, text in (
        ("system", config.system),
        ("user", user),
        *(("defaults", text) for text in config.defaults.values()),
    ):
        if neutralise(text) != text:
            _refuse(
                section,
                place,
                text,
                "no control tokens of chat templates",
                "leave them out: the chat template writes them",
            )
    system = config.system.strip()
    if config.list_labels and not labels:
        _refuse(section, "list_labels", "true", "a task with a list of legal answers", "leave it out")
    if config.list_labels:
        system = "\n".join([*([system] if system else []), "The legal answers are:", *labels])
    return Prompt(system, user, dict(config.defaults), frozenset(whole_numbers))


def _refuse(section: str, place: str, found: str, expected: str, mend: str) -> None:
    raise FinetuneError(
        "prompt cannot be used", where=f"{section}.prompt.{place}", found=found, expected=expected, mend=mend
    )
