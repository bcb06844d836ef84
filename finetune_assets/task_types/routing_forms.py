"""What the forms of routing share: a record as read, and what each form must offer.

The forms are `traces` (a plan), `calls` (tools with arguments) and `route` (one name out of a catalogue).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from finetune_assets.datasets.rule_fault import RuleFault
from finetune_assets.records.task_type import ParsedAnswer
from finetune_assets.task_types.prompts import FieldFault

QUERY = "user_query"
TOOLS = "tools"
QUERY_NAMES = (QUERY, "userQuery", "query", "utterance", "question", "text")
ID_NAMES = ("id", "record_id", "recordId")


@dataclass(frozen=True, slots=True)
class Reading:
    """A record that can be learned from.

    Attributes:
        target: the answer.
        label: the stratum.
        question: what makes it the question that it is, for the content key.
        groups: leak keys.
        slices: parts of the data that it belongs to.
        facts: what the judge knows besides.
    """

    target: str
    label: str
    question: Mapping[str, Any]
    groups: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a record cannot be learned from, and how to mend it."""

    fault: FieldFault
    mend: str = "correct the record at its source"


class Form(Protocol):
    """One form of routing."""

    @property
    def level(self) -> str:
        """Name of the label's one level."""

    @property
    def aliases(self) -> Mapping[str, Sequence[str]]:
        """Canonical field → the names it may have, best first."""

    def asked(self, fields: Mapping[str, Any]) -> dict[str, Any] | FieldFault:
        """Return the fields that the prompt may name, or why there is no question."""

    def read(self, fields: Mapping[str, Any], asked: Mapping[str, Any]) -> Reading | Unusable:
        """Read the record's answer. Never raises.

        Args:
            fields: the record's values by canonical name.
            asked: what `asked` returned for them.
        """

    def choices(self) -> tuple[str, ...] | None:
        """Return every legal answer, sorted, or None."""

    def parse(self, text: str) -> ParsedAnswer:
        """Read a model's answer. Never raises."""


def field_fault(fault: RuleFault) -> FieldFault:
    """Return a rule's fault as the fault of a field."""
    return FieldFault(fault.field, fault.reason, fault.found, fault.expected)


def single_question(fields: Mapping[str, Any]) -> Any:
    """Return the query: the field of that name, else the one user turn of `messages`.

    Returns:
        The query as found, of any type, or a fault where the conversation is more than one question.
    """
    messages = fields.get("messages")
    if fields.get(QUERY) is not None or messages is None:
        return fields.get(QUERY)
    if not isinstance(messages, list) or not all(isinstance(turn, Mapping) for turn in messages):
        return FieldFault("messages", "wrong_type", type(messages).__name__, "a list of turns")
    if len(messages) != 1 or messages[0].get("role") != "user":
        return FieldFault("messages", "several_turns", f"{len(messages)} turns", "one turn of the user")
    return messages[0].get("content")
