"""What is taken out of inputs, answers, corrections and comments before anything of them is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from finetune_assets.feedback.config import RedactionConfig
from finetune_assets.feedback.pseudonyms import Pseudonyms
from finetune_assets.records.redaction import redact

# Keys and tokens whose form says that they are some: ours, OpenAI's, Hugging Face's, GitHub's, GitLab's, Slack's, AWS's
# and Google's. They are nobody's personal data, and no task needs them.
_KEYS = re.compile(
    r"\b(?:fta_[0-9a-f]{12}_[\w-]{43}|sk-(?=[\w-]*[A-Z\d])[\w-]{20,}|hf_\w{30,}|gh[opsur]_\w{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}"
    r"|xox[abeoprs]-[\w-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{35})"
)
_PSEUDONYM = "pseudonym:"
_IS_PSEUDONYM = re.compile(rf"{_PSEUDONYM}[0-9a-f]{{32}}")
_LONGEST_PLAIN_NUMBER = 999_999


class Redactor:
    """Carries a task's redaction out.

    Args:
        config: what is masked, dropped and hashed.
        pseudonyms: names the values of hashed fields.
    """

    def __init__(self, config: RedactionConfig, pseudonyms: Pseudonyms) -> None:
        self._personal_data = config.personal_data
        self._dropped = frozenset(config.drop)
        self._hashed = frozenset(config.pseudonymise)
        self._patterns = [(re.compile(entry.pattern), f"[{entry.name}]") for entry in config.patterns]
        self._pseudonyms = pseudonyms

    def text(self, text: str) -> str:
        """Return a text with what has a form masked, writable as UTF-8; keys and tokens always are.

        Masking a masked text again changes nothing where no pattern finds something in a mask.
        """
        text = _KEYS.sub("[key]", text.encode("utf-8", "replace").decode())
        for pattern, mask in self._patterns:
            text = pattern.sub(mask, text)
        return redact(text) if self._personal_data else text

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of an input as they may be kept, at any depth; names of fields are masked too.

        Args:
            fields: as they were asked.
        """
        return self._mapping(fields, "")

    def _mapping(self, fields: Mapping[str, Any], above: str) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, value in fields.items():
            path = f"{above}{name}"
            if path in self._dropped:
                continue
            key = self.text(str(name))
            # Two names that were masked to one must not hide each other's values.
            while key in kept:
                key += "+"
            kept[key] = self._pseudonym(value, path) if path in self._hashed else self._value(value, path)
        return kept

    def _value(self, value: Any, path: str) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self._mapping(value, f"{path}.")
        if isinstance(value, list | tuple):
            return [self._value(item, path) for item in value]
        if isinstance(value, int) and abs(value) > _LONGEST_PLAIN_NUMBER:
            # A telephone number may come without quotes.
            return self.text(str(value)) if self._personal_data else value
        return value

    def _pseudonym(self, value: Any, path: str) -> str:
        if isinstance(value, str) and _IS_PSEUDONYM.fullmatch(value):
            return value
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
        return f"{_PSEUDONYM}{self._pseudonyms.of(text, kind=f'field {path}')}"


def person_in(fields: Mapping[str, Any], subject_field: str) -> str:
    """Return the person whom an input is about, "" where it names none.

    Args:
        fields: the input as it was asked.
        subject_field: `FeedbackConfig.subject_field`; `a.b` names a field within a field.
    """
    value: Any = fields
    for part in subject_field.split(".") if subject_field else ():
        value = value.get(part) if isinstance(value, Mapping) else None
    return "" if value is None or isinstance(value, Mapping) else str(value)
