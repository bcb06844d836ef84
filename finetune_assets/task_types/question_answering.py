"""The task type `question_answering`: questions with free-text answers, alone, with a context, or within conversations.

Here belongs how an exchange becomes an example: cleaning, prompt, language, stratum. The shapes of records are the
business of `question_records.py`, the section of a defs.yaml of `question_answering_config.py`, the marks of answers of
`question_answering_marks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationError

from finetune_assets.datasets.cleaning import clean
from finetune_assets.datasets.languages import UNDETERMINED, rate_language
from finetune_assets.datasets.render import neutralise
from finetune_assets.records.doubts import Signal, doubts_of_reading
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example, Message, RawRecord, Rejection
from finetune_assets.records.measure import Marks, Measure
from finetune_assets.records.task_type import ParsedAnswer
from finetune_assets.task_types.prompts import FieldFault, Prompt, PromptConfig, build_prompt, text_of
from finetune_assets.task_types.question_answering_config import QuestionAnsweringConfig as QuestionAnsweringConfig
from finetune_assets.task_types.question_answering_marks import MEASURES, mark_answers
from finetune_assets.task_types.question_parts import (
    NAME,
    facts_of,
    fault_of,
    groups_of,
    key_of,
    live_exchange,
    rejection_of,
)
from finetune_assets.task_types.question_records import (
    ALIASES,
    LAST_ANSWER_ONLY,
    Exchange,
    exchanges_of,
    split_system,
)

SCHEMA = "question_answering/1"
LEVELS = ("topic",)
NO_STRATUM = "question"

_MAX_LABEL = 80


@dataclass(frozen=True)
class QuestionAnsweringTask:
    """The task type `question_answering`.

    Attributes:
        config: the section of the YAML, or of a manifest.
    """

    Config: ClassVar[type[BaseModel]] = QuestionAnsweringConfig

    config: QuestionAnsweringConfig

    @classmethod
    def from_config(cls, config: QuestionAnsweringConfig, folder: Path) -> QuestionAnsweringTask:  # noqa: ARG003
        """Build the task type from its section of a defs.yaml.

        Raises:
            FinetuneError: when the prompt cannot be used.
        """
        return cls(config)._checked()

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> QuestionAnsweringTask:
        """Build the task type from what `manifest` returned.

        Raises:
            FinetuneError: when another version wrote the manifest.
        """
        try:
            if manifest.get("schema") != SCHEMA:
                raise ValueError(f"schema {manifest.get('schema')!r}")
            config = QuestionAnsweringConfig.model_validate(manifest["config"])
        except (KeyError, ValueError, ValidationError) as error:
            raise FinetuneError(
                "task type manifest cannot be read",
                where="task type manifest",
                found=str(error),
                expected=f"schema {SCHEMA}",
                mend="serve this release with the version that made it",
            ) from error
        return cls(config)._checked()

    def _checked(self) -> QuestionAnsweringTask:
        """Compute what can fail now, so that a mistake in the YAML shows before any record is read."""
        _ = self._plain, self._with_context
        for name in self.config.stratum:
            if name not in self.aliases:
                raise FinetuneError(
                    "unknown name",
                    where=f"{NAME}.stratum",
                    found=name,
                    expected=f"one of {', '.join(self.aliases)}",
                    mend="use one of these names, or declare the field in `aliases`",
                )
        return self

    @property
    def name(self) -> str:
        """The task type's name."""
        return NAME

    @property
    def label_levels(self) -> tuple[str, ...]:
        """Names of the label's parts: the topic alone."""
        return LEVELS

    @property
    def text_field(self) -> str:
        """The canonical field that holds the question."""
        return "question"

    @cached_property
    def aliases(self) -> dict[str, list[str]]:
        """Canonical field → the names it may have, best first."""
        return {name: list(names) for name, names in {**ALIASES, **self.config.aliases}.items()}

    @cached_property
    def _plain(self) -> Prompt:
        return self._prompt(self.config.prompt)

    @cached_property
    def _with_context(self) -> Prompt:
        return self._prompt(self.config.prompt.model_copy(update={"user": self.config.prompt.user_with_context}))

    def _prompt(self, wording: PromptConfig) -> Prompt:
        return build_prompt(
            wording,
            text_field=self.text_field,
            known=tuple(self.aliases),
            whole_numbers=frozenset(),
            labels=(),
            section=NAME,
        )

    def choices(self) -> None:
        """Return None: the answer is free text."""
        return

    def parse(self, text: str) -> ParsedAnswer:
        """Read a model's answer: any text that says something. Never raises."""
        answer = text.strip()
        return ParsedAnswer(True, (), {"answer": answer}) if answer else ParsedAnswer(False, problem="blank")

    def input_messages(self, fields: Mapping[str, Any]) -> list[Message]:
        """Ask the question for one live input; the very code that `examples` uses.

        Args:
            fields: `question`, with `context` and `system` where there are such; or `messages`, a conversation that
                ends with the user.

        Raises:
            FinetuneError: when there is no question, or a field is no text.
        """
        canonical = self._canonical(fields)
        exchange = live_exchange(canonical)
        found = exchange if isinstance(exchange, FieldFault) else self._ask(self._cleaned(exchange)[0], canonical)
        if isinstance(found, FieldFault):
            names = ", ".join(self.aliases.get(found.field, [found.field]))
            raise FinetuneError(
                "input cannot be asked about",
                where=f"field {found.field}",
                found=found.found,
                expected=found.expected,
                mend=f"send it under one of the names {names}",
            )
        return found

    def examples(self, record: RawRecord) -> list[Example | Rejection]:
        """Turn a raw record into its examples, or say why not. Never raises for bad input.

        A conversation gives one example for each answer, a question with further wordings one for each; they share a
        leak group. A record with a fault gives one rejection.
        """
        fields = self._canonical(record.fields)
        record_id = self._record_id(record, fields)
        found = exchanges_of(fields)
        if isinstance(found, FieldFault):
            return [rejection_of(record, fields, record_id, found)]
        if record.fields.get(LAST_ANSWER_ONLY) is True:
            found = found[-1:]
        cleaned = [self._cleaned(exchange) for exchange in found]
        for exchange, _ in cleaned:
            if fault := fault_of(exchange):
                return [rejection_of(record, fields, record_id, fault)]
        several = found[0].shape in ("chat", "wordings")
        return [
            self._example(record, fields, f"{record_id}/{number}" if several else record_id, exchange, changes)
            for number, (exchange, changes) in enumerate(cleaned, start=1)
        ]

    def _example(
        self, record: RawRecord, fields: Mapping[str, Any], item_id: str, exchange: Exchange, changes: Sequence[str]
    ) -> Example | Rejection:
        language = self._language(exchange)
        if self.config.languages and language not in (*self.config.languages, UNDETERMINED):
            wanted = ", ".join(self.config.languages)
            return rejection_of(record, fields, item_id, FieldFault("question", "other_language", language, wanted))
        messages = self._ask(exchange, fields)
        if isinstance(messages, FieldFault):
            return rejection_of(record, fields, item_id, messages)
        label = self._stratum(fields, language)
        return Example(
            record_id=item_id,
            content_key=key_of(exchange),
            messages=tuple(messages),
            target=neutralise(exchange.answer),
            label=label,
            label_path=(label,),
            source=record.source,
            groups=groups_of(exchange, item_id),
            facts=facts_of(exchange, fields, language, changes) | self._rejected(fields),
        )

    def _language(self, exchange: Exchange) -> str:
        """Return the exchange's language; undetermined where one that takes no part is not sure enough."""
        language, confidence = rate_language(f"{exchange.question}\n{exchange.answer}")
        doubtful = self.config.languages and language not in self.config.languages
        return UNDETERMINED if doubtful and confidence < self.config.language_confidence else language

    def _canonical(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields by canonical name; of several names the first that holds something counts."""
        values: dict[str, Any] = {}
        for canonical, names in self.aliases.items():
            held = [fields[name] for name in dict.fromkeys([canonical, *names]) if fields.get(name) is not None]
            if held:
                values[canonical] = next((value for value in held if value != ""), held[0])
        return values

    def _record_id(self, record: RawRecord, fields: Mapping[str, Any]) -> str:
        value = fields.get("record_id")
        text = text_of("record_id", value) if value is not None else ""
        return text if isinstance(text, str) and text else str(record.source)

    def _cleaned(self, exchange: Exchange) -> tuple[Exchange, list[str]]:
        """Return the exchange with its texts cleaned, and what was done to them."""
        changes: set[str] = set()

        def tidy(text: str) -> str:
            found = clean(text, self.config.cleaning)
            changes.update(found.changes)
            return found.text

        history: list[Message] = [{"role": turn["role"], "content": tidy(turn["content"])} for turn in exchange.history]
        cleaned = replace(
            exchange,
            question=tidy(exchange.question),
            answer=tidy(exchange.answer),
            context=tidy(exchange.context),
            system=tidy(exchange.system),
            history=tuple(history),
        )
        return cleaned, sorted(changes)

    def _ask(self, exchange: Exchange, fields: Mapping[str, Any]) -> list[Message] | FieldFault:
        """Put the exchange's question into words: the system turn, what was said before, the question."""
        prompt = self._with_context if exchange.context else self._plain
        asked = prompt.messages({**fields, "question": exchange.question, "context": exchange.context})
        if isinstance(asked, FieldFault):
            return asked
        _, question = split_system(asked)
        system = neutralise(exchange.system) or prompt.system
        history: list[Message] = [
            {"role": turn["role"], "content": neutralise(turn["content"])} for turn in exchange.history
        ]
        opening: list[Message] = [{"role": "system", "content": system}] if system else []
        return [*opening, *history, *question]

    def _rejected(self, fields: Mapping[str, Any]) -> dict[str, str]:
        """Return the answer that was judged worse, which preference tuning learns from."""
        value = fields.get("rejected")
        text = clean(value, self.config.cleaning).text if isinstance(value, str) else ""
        return {"rejected": neutralise(text)} if text else {}

    def _stratum(self, fields: Mapping[str, Any], language: str) -> str:
        for name in self.config.stratum:
            value = fields.get(name)
            if isinstance(value, list):
                value = next((item for item in value if isinstance(item, str) and item.strip()), None)
            if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
                return " ".join(str(value).split())[:_MAX_LABEL]
        return language if language != UNDETERMINED else NO_STRATUM

    def doubts(self, fields: Mapping[str, Any], text: str, answer: ParsedAnswer) -> tuple[Signal, ...]:  # noqa: ARG002
        """Return that an answer is blank or no legal one; nothing else can be told without the right answer."""
        return doubts_of_reading(text, valid=answer.valid)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What answers are scored by; the first is the primary one."""
        return MEASURES

    def parse_for(self, example: Example, text: str) -> ParsedAnswer:  # noqa: ARG002 -- no example changes the rule
        """Read the answer to one example, as `parse` does."""
        return self.parse(text)

    def mark(self, examples: Sequence[Example], answers: Sequence[ParsedAnswer]) -> list[Marks]:
        """Mark answers, row by row; see `task_types/question_answering_marks.py`."""
        return mark_answers(examples, answers)

    def prompt_manifest(self) -> dict[str, Any]:
        """Return what decides a prompt's text: the wordings and the cleaning."""
        return {
            "task_type": NAME,
            **self._plain.manifest(),
            "user_with_context": self._with_context.user,
            "cleaning": self.config.cleaning.model_dump(mode="json"),
        }

    def manifest(self) -> dict[str, Any]:
        """Return all that serving needs, as JSON."""
        return {"task_type": NAME, "schema": SCHEMA, "config": self.config.model_dump(mode="json")}
