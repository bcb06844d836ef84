"""Classification: one text (and photos), one label of a taxonomy, answered as compact JSON.

Here belongs the task type. Its section of a defs.yaml is in `task_types/classification_config.py`, the fields of each
shape of taxonomy are in `task_types/shapes.py`, the short way of batches is in `task_types/classification_rows.py`, the
marks of answers are in `task_types/classification_marks.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationError

from finetune_assets.datasets.normalise import content_key
from finetune_assets.datasets.taxonomies.nodes import tidy
from finetune_assets.datasets.taxonomies.taxonomy import Fault, Taxonomy
from finetune_assets.records.doubts import Signal, doubts_of_reading
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example, Message, PlainExample, RawRecord, Rejection
from finetune_assets.records.measure import Marks, Measure
from finetune_assets.records.task_type import ParsedAnswer
from finetune_assets.task_types.answers import find_object
from finetune_assets.task_types.classification_config import ClassificationConfig as ClassificationConfig
from finetune_assets.task_types.classification_marks import mark_labels, measures_of
from finetune_assets.task_types.classification_rows import PlainRows
from finetune_assets.task_types.labels import LabelRules, join
from finetune_assets.task_types.photos import PhotoFault, read_photos
from finetune_assets.task_types.prompts import FieldFault, Prompt, build_prompt, text_of
from finetune_assets.task_types.rejections import Rejecter
from finetune_assets.task_types.shapes import PHOTO_FIELD, SHAPES, Shape

NAME = "classification"
SCHEMA = "classification/1"

Item = Example | Rejection


@dataclass(frozen=True)
class ClassificationTask:
    """The task type `classification`.

    Attributes:
        config: the section of the YAML, or of a manifest.
        taxonomy: the labels.
        photo_folder: where local photos are; None in serving, where only remote ones can be used.
    """

    Config: ClassVar[type[BaseModel]] = ClassificationConfig

    config: ClassificationConfig
    taxonomy: Taxonomy
    photo_folder: Path | None = None

    @classmethod
    def from_config(cls, config: ClassificationConfig, folder: Path) -> ClassificationTask:
        """Build the task type from its section of a defs.yaml.

        Args:
            config: the section.
            folder: the task's folder.

        Raises:
            FinetuneError: when the taxonomy, the prompt or a label rule cannot be used.
        """
        taxonomy = Taxonomy.load(folder / config.taxonomy, include_hidden=config.include_hidden)
        return cls(config, taxonomy, folder / config.photo_folder)._checked()

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> ClassificationTask:
        """Build the task type from what `manifest` returned.

        Raises:
            FinetuneError: when another version wrote the manifest.
        """
        found = manifest.get("schema")
        try:
            if found != SCHEMA:
                raise ValueError(f"schema {found!r}")
            config = ClassificationConfig.model_validate(manifest["config"])
            taxonomy = Taxonomy.from_json(manifest["taxonomy"])
        except (KeyError, ValueError, ValidationError) as error:
            raise FinetuneError(
                "task type manifest cannot be read",
                where="task type manifest",
                found=str(error),
                expected=f"schema {SCHEMA}",
                mend="serve this release with the version that made it",
            ) from error
        return cls(config, taxonomy)._checked()

    def _checked(self) -> ClassificationTask:
        """Compute what can fail now, so that a mistake in the YAML shows before any record is read."""
        self._check_names()
        _ = self._targets, self.prompt
        return self

    def _check_names(self) -> None:
        for place, names, known in (
            ("target_keys", self.config.target_keys, self.label_levels),
            ("identity", self.config.identity, tuple(self.aliases)),
        ):
            for name in names:
                if name not in known:
                    raise FinetuneError(
                        "unknown name",
                        where=f"{NAME}.{place}",
                        found=name,
                        expected=f"one of {', '.join(known)}",
                        mend="use one of these names",
                    )
        keys = list(self.target_keys.values())
        if len(set(keys)) < len(keys):
            raise FinetuneError(
                "two levels have one key",
                where=f"{NAME}.target_keys",
                found=", ".join(keys),
                expected="a key of its own for every level",
                mend="rename one",
            )

    @property
    def name(self) -> str:
        """The task type's name."""
        return NAME

    @property
    def label_levels(self) -> tuple[str, ...]:
        """Names of the label's parts, outermost first."""
        return self.taxonomy.levels

    @property
    def shape(self) -> Shape:
        """The fields that belong to this shape of taxonomy."""
        return SHAPES[self.taxonomy.levels]

    @property
    def text_field(self) -> str:
        """The canonical field that holds the text to classify."""
        return self.shape.text_field

    @cached_property
    def aliases(self) -> dict[str, list[str]]:
        """Canonical field → the names it may have, best first: the shape's, overlaid by the YAML's."""
        return {name: list(names) for name, names in {**self.shape.aliases, **self.config.aliases}.items()}

    @cached_property
    def target_keys(self) -> dict[str, str]:
        """Level → key in the answer, outermost first."""
        return {level: self.config.target_keys.get(level, self.shape.target_keys[level]) for level in self.label_levels}

    @cached_property
    def rules(self) -> LabelRules:
        """Which labels take part, and what replaces which."""
        return LabelRules(self.taxonomy, self.config.labels, self.config.label_map)

    @cached_property
    def prompt(self) -> Prompt:
        """The question."""
        return build_prompt(
            self.config.prompt,
            text_field=self.text_field,
            known=tuple(self.aliases),
            whole_numbers=self.shape.whole_number_fields,
            labels=self.choices(),
        )

    @cached_property
    def _targets(self) -> dict[tuple[str, ...], str]:
        """Legal path → the answer that teaches it."""
        return {path: self._target(path) for path in self.rules.paths}

    def _target(self, path: tuple[str, ...]) -> str:
        answer = dict(zip(self.target_keys.values(), path, strict=True))
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))

    def choices(self) -> tuple[str, ...]:
        """Return every legal completion, sorted."""
        return tuple(sorted(self._targets.values()))

    def _canonical(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields by canonical name; of several names the first that holds something counts."""
        values: dict[str, Any] = {}
        for canonical, names in self.aliases.items():
            # Records come with canonical names already, live requests with any: the canonical name is always one.
            for name in dict.fromkeys([*names, canonical]):
                if fields.get(name) is not None:
                    values[canonical] = fields[name]
                    break
        return values

    def input_messages(self, fields: Mapping[str, Any]) -> list[Message]:
        """Ask the question for one live input; the very code that `example` uses.

        Raises:
            FinetuneError: when a field that the question needs is missing, blank or no text.
        """
        messages = self.prompt.messages(self._canonical(fields))
        if isinstance(messages, FieldFault):
            names = ", ".join(dict.fromkeys([messages.field, *self.aliases[messages.field]]))
            raise FinetuneError(
                "input cannot be asked about",
                where=f"field {messages.field}",
                found=messages.found,
                expected=messages.expected,
                mend=f"send it under one of the names {names}",
            )
        return messages

    def examples(self, record: RawRecord) -> list[Example | Rejection]:
        """Turn a raw record into its one example, or say why not."""
        return [self.example(record)]

    def examples_of_batch(self, records: Sequence[Mapping[str, Any]]) -> Iterator[PlainExample | Sequence[Item]]:
        """Turn the JSON of many raw records into what `examples` gives, plain ones in a fraction of the time."""
        return self._plain_rows.examples(records)

    @cached_property
    def _plain_rows(self) -> PlainRows:
        return PlainRows(self)

    def example(self, record: RawRecord) -> Example | Rejection:
        """Turn a raw record into an example, or say why not. Never raises for bad input.

        Declared groups and slices are not set here: the build sets them from its own configuration.
        """
        fields = self._canonical(record.fields)
        reject = Rejecter(record, fields, self.shape)
        record_id = self._record_id(record, fields)
        if isinstance(record_id, FieldFault):
            return reject.for_field(record_id)
        messages = self.prompt.messages(fields)
        if isinstance(messages, FieldFault):
            return reject.for_field(messages)
        path = self.label_of(fields)
        if isinstance(path, Fault):
            return reject.for_label(path)
        photos = read_photos(fields.get(PHOTO_FIELD), self.photo_folder)
        if isinstance(photos, PhotoFault):
            return reject.for_field(FieldFault(PHOTO_FIELD, photos.reason, photos.found, photos.expected))
        if self.config.require_photos and not photos:
            return reject.for_field(FieldFault(PHOTO_FIELD, "missing_field", "no photo", "at least one photo"))
        identity = self._identity(fields)
        if isinstance(identity, FieldFault):
            return reject.for_field(identity)
        return Example(
            record_id=record_id,
            content_key=content_key(identity, [photo.identity for photo in photos]),
            messages=tuple(messages),
            target=self._targets[path],
            label=join(path),
            label_path=path,
            source=record.source,
            attachments=tuple(photo.attachment for photo in photos),
        )

    def _record_id(self, record: RawRecord, fields: Mapping[str, Any]) -> str | FieldFault:
        name = self.shape.id_field
        value = fields.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if self.config.require_record_id:
                return FieldFault(name, "missing_field", "nothing" if value is None else "blank text", "an id")
            return str(record.source)
        return text_of(name, value)

    def _identity(self, fields: Mapping[str, Any]) -> dict[str, str] | FieldFault:
        """Return what makes this record the question that it is, absent fields as empty text."""
        parts: dict[str, str] = {}
        for name in self.config.identity or [self.text_field]:
            value = fields.get(name)
            text = "" if value is None else text_of(name, value)
            if isinstance(text, FieldFault):
                return text
            parts[name] = text
        return parts

    def target_of(self, path: tuple[str, ...]) -> str:
        """Return the answer that teaches a legal path."""
        return self._targets[path]

    def label_of(self, fields: Mapping[str, Any]) -> tuple[str, ...] | Fault:
        """Return the label path that a record names, or what is wrong with it."""
        values = [fields.get(name) for name in self.shape.level_fields]
        if (mapped := self.rules.replace(values)) is not None:
            return self.rules.resolve(mapped)
        path = self.rules.resolve(values, fields.get(self.shape.description_field))
        return path if isinstance(path, Fault) else self._stated_fault(path, fields) or path

    def _stated_fault(self, path: tuple[str, ...], fields: Mapping[str, Any]) -> Fault | None:
        """Find a field that names another label than the record's ids do."""
        for name, (level, what) in self.shape.stated_fields.items():
            stated = fields.get(name)
            if stated is None or stated == "":
                continue
            part = path[self.label_levels.index(level)]
            legal = self.taxonomy.describe(path)["domain_name"] if (level, what) == ("domain", "name") else part
            if not isinstance(stated, str) or tidy(stated) != legal:
                found = stated if isinstance(stated, str) else type(stated).__name__
                return Fault(name, "invalid_label", found, f"{legal}, as the record's ids say")
        return None

    def parse(self, text: str) -> ParsedAnswer:
        """Read a model's answer, out of a code fence or prose where need be. Never raises.

        The value holds the answer's keys and, for progressions, `domain_name` and `progression_description` of the
        taxonomy, whatever the model wrote there.
        """
        answer, problem = find_object(text, self.target_keys.values())
        if answer is None:
            return ParsedAnswer(False, problem=problem)
        parts = [answer[key] for key in self.target_keys.values()]
        path = tuple(tidy(part) for part in parts if isinstance(part, str))
        if path not in self._targets:
            return ParsedAnswer(False, problem="unknown_label")
        value = dict(zip(self.target_keys.values(), path, strict=True)) | self.taxonomy.describe(path)
        return ParsedAnswer(True, path, value)

    def doubts(self, fields: Mapping[str, Any], text: str, answer: ParsedAnswer) -> tuple[Signal, ...]:  # noqa: ARG002
        """Return that an answer is blank or no legal one; nothing else can be told without the right answer."""
        return doubts_of_reading(text, valid=answer.valid)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """`exact`, the primary one, and each level by its name."""
        return measures_of(self.label_levels)

    def parse_for(self, example: Example, text: str) -> ParsedAnswer:  # noqa: ARG002 -- no example changes the rule
        """Read the answer to one example, as `parse` does."""
        return self.parse(text)

    def mark(self, examples: Sequence[Example], answers: Sequence[ParsedAnswer]) -> list[Marks]:
        """Mark answers, row by row; see `task_types/classification_marks.py`."""
        return mark_labels(self.label_levels, examples, answers)

    def prompt_manifest(self) -> dict[str, Any]:
        """Return the task's half of what `datasets.render.template_hash` covers: the wording and the answer's keys."""
        return {"task_type": NAME, **self.prompt.manifest(), "target_keys": list(self.target_keys.items())}

    def manifest(self) -> dict[str, Any]:
        """Return all that serving needs, as JSON without any path of this machine."""
        config = self.config.model_dump(mode="json", exclude={"photo_folder"})
        return {
            "task_type": NAME,
            "schema": SCHEMA,
            "config": {**config, "taxonomy": Path(self.config.taxonomy).name},
            "taxonomy": self.taxonomy.to_json(),
        }
