"""What tasks of one shape share: the protocol that `task_types/` implements and all other rooms call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from finetune_assets.records.doubts import Signal
from finetune_assets.records.example import Example, Message, RawRecord, Rejection
from finetune_assets.records.measure import Marks, Measure


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """A model's answer, read.

    Attributes:
        valid: True when the text is a well-formed, legal answer of this task.
        label_path: the label's parts, outermost first; empty when not valid, and where the answer is free text.
        value: the answer as JSON, with what the task knows besides (names, descriptions); empty when not valid.
        problem: why it is not valid: `not_json`, `not_an_object`, `missing_key`, `unknown_label` or "".
    """

    valid: bool
    label_path: tuple[str, ...] = ()
    value: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


class TaskType(Protocol):
    """How one task reads its records, asks its question and reads the answer.

    Training, judging and serving hold the same object: from YAML when training, from a release's manifest when
    serving. `manifest()` holds all that `input_messages`, `choices` and `parse` need.
    """

    @property
    def name(self) -> str:
        """The task type's name, for instance `classification`."""

    @property
    def label_levels(self) -> tuple[str, ...]:
        """Names of the label's parts, outermost first."""

    @property
    def text_field(self) -> str:
        """The canonical field that holds an input's text."""

    @property
    def aliases(self) -> Mapping[str, Sequence[str]]:
        """Canonical field name to the names that it may have in a source, best first."""

    def examples(self, record: RawRecord) -> Sequence[Example | Rejection]:
        """Turn a raw record into its examples, or say why not. Never raises for bad input.

        Returns:
            At least one item. Most records give one; a conversation gives one for each answer, a class of source code
            one for each strategy. Items of one record share a group, so that no split tears them apart.
        """

    def input_messages(self, fields: Mapping[str, Any]) -> list[Message]:
        """Ask the question for one live input; the very code that `example` uses.

        Raises:
            FinetuneError: when a field that the question needs is missing or blank.
        """

    def choices(self) -> tuple[str, ...] | None:
        """Return every legal completion, sorted, or None when the answer is free text."""

    def parse(self, text: str) -> ParsedAnswer:
        """Read a model's answer. Never raises."""

    def doubts(self, fields: Mapping[str, Any], text: str, answer: ParsedAnswer) -> tuple[Signal, ...]:
        """Return what in a live answer looks wrong before anybody has checked it. Never raises.

        Args:
            fields: the input as it was asked.
            text: what the model wrote.
            answer: the same, read by `parse`.
        """

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What answers are scored by; the first is the primary one, which gates go by unless YAML names another."""

    def parse_for(self, example: Example, text: str) -> ParsedAnswer:
        """Read the answer to one example, where the example decides what is legal (its strategy, its own tools)."""

    def mark(self, examples: Sequence[Example], answers: Sequence[ParsedAnswer]) -> list[Marks]:
        """Mark answers, row by row.

        Args:
            examples: the questions with their right answers.
            answers: one for each example; an invalid one (missing, late, unreadable) is marked as badly as can be and
                stays in every denominator that a perfect answer would be in.

        Returns:
            Marks in the order of the examples.
        """

    def prompt_manifest(self) -> dict[str, Any]:
        """Return what of the task decides a prompt's text and the form of its answer; hashed with the chat template."""

    def manifest(self) -> dict[str, Any]:
        """Return all that serving needs, as JSON."""
