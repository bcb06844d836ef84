"""Source code: what a file declares, asked about by explanation, generation, review and template.

Here belong the task type and the way from a file to its examples. The pieces of a file are in `source_code_units.py`,
the answers in `source_code_answers.py` and `source_code_review.py`, the section of the YAML in
`source_code_config.py`; reading code by tree-sitter is the business of `datasets/code`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationError

from finetune_assets.datasets.code.extract import parses, read_code
from finetune_assets.datasets.code.grammars import load_language, load_query
from finetune_assets.datasets.code.licences import licence_of
from finetune_assets.datasets.code.model import CodeFile
from finetune_assets.datasets.code.prose import mask_addresses
from finetune_assets.records.doubts import Signal, doubts_of_reading
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example, Message, RawRecord, Rejection
from finetune_assets.records.measure import Marks, Measure
from finetune_assets.records.task_type import ParsedAnswer
from finetune_assets.task_types.answers import find_object
from finetune_assets.task_types.fields import ask_fault, canonical_fields
from finetune_assets.task_types.prompts import FieldFault, Prompt, build_prompt, text_of
from finetune_assets.task_types.source_code_answers import TEMPLATE_KEYS
from finetune_assets.task_types.source_code_config import SourceCodeConfig, Strategy
from finetune_assets.task_types.source_code_examples import FileWork, fenced, language_title, rejection, specification
from finetune_assets.task_types.source_code_marks import MEASURES, mark_code, strategy_of

NAME = "source_code"
SCHEMA = "source_code/1"
LEVELS = ("strategy", "kind")
ALIASES: Mapping[str, list[str]] = {
    "path": ["path", "file_path"],
    "language": ["language"],
    "text": ["text", "code", "source_code"],
    "strategy": ["strategy", "task"],
    "description": ["description", "specification"],
    "signature": ["signature"],
}
PROMPT_FIELDS = ("question", "text", "language")
# A fence of more ticks holds one of fewer.
_FENCE = re.compile(r"^(`{3,})[\w+#-]*[ \t]*\n(.*?)^\1[ \t]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class SourceCodeTask:
    """The task type `source_code`.

    Attributes:
        config: the section of the YAML, or of a manifest.
    """

    Config: ClassVar[type[BaseModel]] = SourceCodeConfig

    config: SourceCodeConfig

    @classmethod
    def from_config(cls, config: SourceCodeConfig, folder: Path) -> SourceCodeTask:  # noqa: ARG003
        """Build the task type from its section of a defs.yaml.

        Raises:
            FinetuneError: when a grammar, a query or the prompt cannot be used.
        """
        task = cls(config)._checked()
        for language in config.languages.values():
            load_language(language.grammar, language.function)
            if not language.is_java:
                load_query(language.grammar, language.function, language.rules[0])
        return task

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> SourceCodeTask:
        """Build the task type from what `manifest` returned.

        Raises:
            FinetuneError: when another version wrote the manifest.
        """
        try:
            if manifest.get("schema") != SCHEMA:
                raise ValueError(f"schema {manifest.get('schema')!r}")
            config = SourceCodeConfig.model_validate(manifest["config"])
        except (KeyError, ValueError, ValidationError) as error:
            raise FinetuneError(
                "task type manifest cannot be read",
                where="task type manifest",
                found=str(error),
                expected=f"schema {SCHEMA}",
                mend="serve this release with the version that made it",
            ) from error
        return cls(config)._checked()

    def _checked(self) -> SourceCodeTask:
        """Compute what can fail now, so that a mistake in the YAML shows before any record is read."""
        _ = self._prompt
        for name in self.config.aliases:
            if name not in ALIASES:
                raise FinetuneError(
                    "unknown name",
                    where=f"{NAME}.aliases",
                    found=name,
                    expected=f"one of {', '.join(ALIASES)}",
                    mend="use one of these names",
                )
        return self

    @property
    def name(self) -> str:
        """The task type's name."""
        return NAME

    @property
    def label_levels(self) -> tuple[str, ...]:
        """Names of the label's parts: what is asked, and about what kind of code."""
        return LEVELS

    @property
    def text_field(self) -> str:
        """The canonical field that holds the code."""
        return "text"

    @cached_property
    def aliases(self) -> dict[str, list[str]]:
        """Canonical field → the names it may have, best first."""
        return {name: list(names) for name, names in {**ALIASES, **self.config.aliases}.items()}

    @cached_property
    def _prompt(self) -> Prompt:
        return build_prompt(
            self.config.prompt,
            text_field=self.text_field,
            known=PROMPT_FIELDS,
            whole_numbers=frozenset(),
            labels=(),
            section=NAME,
        )

    def ask(self, strategy: Strategy, language: str, material: str) -> list[Message] | FieldFault:
        """Ask about a piece of code or a specification; the one way for training and live questions."""
        wordings = self.config.questions(strategy)
        seed = f"{self.config.seed}\0{strategy}\0{material}".encode("utf-8", "replace")
        place = int.from_bytes(hashlib.sha256(seed).digest()[:8], "big") % len(wordings)
        question = wordings[place].replace("{language}", language_title(language))
        return self._prompt.messages({"question": question, "text": material, "language": language})

    # --- examples

    def examples(self, record: RawRecord) -> list[Example | Rejection]:
        """Turn a source file into its examples, one for each piece of code and strategy, or say why not.

        All examples of a file share the group `file=…`; those of one Java class, `class=…`; equal code, `code=…`.
        Never raises for bad input.
        """
        fields = canonical_fields(record.fields, self.aliases)
        file = self._read(fields)
        if isinstance(file, FieldFault):
            return [rejection(record.source, file.reason, field=file.field, found=file.found, expected=file.expected)]
        path = str(fields.get("path") or record.source.file)
        licence = licence_of(file.data[:16_000].decode("utf-8", "replace"))
        if self.config.licences and (licence or "none") not in self.config.licences:
            wanted = ", ".join(self.config.licences)
            return [rejection(record.source, "licence_excluded", path, found=licence or "none", expected=wanted)]
        work = FileWork(self.config, self.ask, record.source, path, file, licence)
        items = list(work.items())
        if not items:
            expected = "a type, a method or a function with a body"
            items = [rejection(record.source, "no_declaration", path, found="nothing to ask about", expected=expected)]
        return items

    def _read(self, fields: Mapping[str, Any]) -> CodeFile | FieldFault:
        """Parse a record's file, or say which field is at fault."""
        text, language = fields.get("text"), fields.get("language")
        if text is None or (isinstance(text, str) and not text.strip()):
            return FieldFault("text", "missing_field", "nothing" if text is None else "blank text", "source code")
        if not isinstance(text, str):
            return FieldFault("text", "wrong_type", type(text).__name__, "text")
        if "\0" in text:
            return FieldFault("text", "nul_character", "U+0000", "source code as text")
        if not isinstance(language, str) or language not in self.config.languages:
            known = ", ".join(self.config.languages)
            return FieldFault("language", "unknown_language", str(language)[:80], f"one of {known}")
        config = self.config.languages[language].for_path(str(fields.get("path") or ""))
        try:
            return read_code(language, config, text)
        except UnicodeEncodeError:
            return FieldFault("text", "lone_surrogate", "half of a UTF-16 pair", "text that UTF-8 can hold")

    # --- live questions and answers

    def input_messages(self, fields: Mapping[str, Any]) -> list[Message]:
        """Ask the question for one live input; the very code that `examples` uses.

        Args:
            fields: `code`, or for generation `description` and, where there is one, `signature`; `strategy` and
                `language`, by default the first ones that the task knows.

        Raises:
            FinetuneError: when a field is missing, blank, no text, or not known.
        """
        canonical = canonical_fields(fields, self.aliases)
        found = self._live(canonical)
        if isinstance(found, FieldFault):
            raise ask_fault(found, self.aliases)
        return found

    def _live(self, fields: Mapping[str, Any]) -> list[Message] | FieldFault:
        strategy = fields.get("strategy", self.config.strategies[0])
        if strategy not in self.config.strategies:
            return FieldFault("strategy", "wrong_type", str(strategy)[:80], ", ".join(self.config.strategies))
        language = fields.get("language", next(iter(self.config.languages)))
        if language not in self.config.languages:
            return FieldFault("language", "unknown_language", str(language)[:80], ", ".join(self.config.languages))
        name = "description" if strategy == "generation" and "description" in fields else "text"
        text = text_of(name, fields.get(name))
        if isinstance(text, FieldFault):
            return FieldFault(name, "missing_field", "nothing", "text") if fields.get(name) is None else text
        if not text:
            return FieldFault(name, "missing_field", "blank text", "text")
        if strategy == "generation":
            head = text_of("signature", fields.get("signature", ""))
            return head if isinstance(head, FieldFault) else self.ask(strategy, language, specification(text, head))
        return self.ask(strategy, language, fenced(mask_addresses(text), language))

    def choices(self) -> None:
        """Return None: the answer is free text."""
        return

    def parse(self, text: str) -> ParsedAnswer:
        """Read a model's answer: as a template, as code or as an explanation, whichever of the task's kinds it is.

        Never raises. `parse_as` reads it as the answer to a given kind of question.
        """
        answers = [
            self.parse_as(strategy, text)
            for strategy in ("template", "generation", "explanation", "review")
            if strategy in self.config.strategies
        ]
        return next((answer for answer in answers if answer.valid), answers[-1])

    def parse_as(self, strategy: str, text: str, language: str | None = None) -> ParsedAnswer:
        """Read a model's answer to one kind of question. Never raises.

        Args:
            strategy: explanation and review want text, generation code that parses, template a JSON object.
            text: what the model wrote.
            language: the language that code must parse in; None allows any of the task's.
        """
        if not text.strip():
            return ParsedAnswer(False, problem="blank")
        if strategy == "template":
            value, problem = find_object(text, TEMPLATE_KEYS)
            return (
                ParsedAnswer(False, problem=problem)
                if value is None
                else ParsedAnswer(True, value={"strategy": strategy, "template": value})
            )
        if strategy == "generation":
            code = code_in(text)
            known = self.config.languages
            if any(parses(grammar, code) for grammar in ([known[language]] if language in known else known.values())):
                return ParsedAnswer(True, value={"strategy": strategy, "code": code})
            return ParsedAnswer(False, problem="syntax_error")
        return ParsedAnswer(True, value={"strategy": strategy, "answer": text.strip()})

    def doubts(self, fields: Mapping[str, Any], text: str, answer: ParsedAnswer) -> tuple[Signal, ...]:  # noqa: ARG002
        """Return that an answer is blank or no legal one; nothing else can be told without the right answer."""
        return doubts_of_reading(text, valid=answer.valid)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What answers are scored by; the first is the primary one."""
        return MEASURES

    def parse_for(self, example: Example, text: str) -> ParsedAnswer:
        """Read the answer to one example: by what it asks for, and code in its own language."""
        language = example.facts.get("code_language")
        return self.parse_as(strategy_of(example), text, language if isinstance(language, str) else None)

    def mark(self, examples: Sequence[Example], answers: Sequence[ParsedAnswer]) -> list[Marks]:
        """Mark answers, row by row; see `task_types/source_code_marks.py`."""
        targets = [
            code_in(example.target) if strategy_of(example) == "generation" else example.target for example in examples
        ]
        return mark_code(examples, answers, targets)

    def prompt_manifest(self) -> dict[str, Any]:
        """Return the task's half of what `datasets.render.template_hash` covers: the wording and how it is chosen."""
        return {
            "task_type": NAME,
            **self._prompt.manifest(),
            "wordings": {strategy: self.config.questions(strategy) for strategy in self.config.strategies},
            "seed": self.config.seed,
            "template_keys": list(TEMPLATE_KEYS),
        }

    def manifest(self) -> dict[str, Any]:
        """Return all that serving needs, as JSON."""
        return {"task_type": NAME, "schema": SCHEMA, "config": self.config.model_dump(mode="json")}


def code_in(text: str) -> str:
    """Return the code of an answer: what stands in its first fence, or all of it."""
    fence = _FENCE.search(text)
    return (fence[2] if fence else text).strip("\n")
