"""A task type of a few lines: `text` in, one of three labels out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finetune_assets.datasets.normalise import content_key
from finetune_assets.records.example import Example, Message, RawRecord, Rejection
from finetune_assets.records.task_type import ParsedAnswer

LABELS = ("Expressive Arts", "Literacy", "Mathematics")


@dataclass(frozen=True)
class FakeTask:
    labels: tuple[str, ...] = LABELS

    name = "fake"
    label_levels = ("label",)
    text_field = "text"

    @property
    def aliases(self) -> Mapping[str, list[str]]:
        return {"id": ["id", "recordId"], "text": ["text", "notes"], "label": ["label"]}

    def examples(self, record: RawRecord) -> list[Example | Rejection]:
        return [self.example(record)]

    def example(self, record: RawRecord) -> Example | Rejection:
        text, label = record.fields.get("text"), record.fields.get("label")
        record_id = str(record.fields.get("id") or record.source)
        if not isinstance(text, str) or not text.strip():
            return Rejection("missing_field", record.source, record_id, "text", found=str(text), text=str(text))
        if label not in self.labels:
            return Rejection("unknown_label", record.source, record_id, "label", found=str(label), text=text)
        return Example(
            record_id=record_id,
            content_key=content_key({"text": text}),
            messages=tuple(self.input_messages({"text": text})),
            target=json.dumps({"label": label}),
            label=label,
            label_path=(label,),
            source=record.source,
        )

    def input_messages(self, fields: Mapping[str, Any]) -> list[Message]:
        return [{"role": "user", "content": fields["text"]}]

    def choices(self) -> tuple[str, ...]:
        return tuple(json.dumps({"label": label}) for label in self.labels)

    def parse(self, text: str) -> ParsedAnswer:
        value = json.loads(text)
        if value.get("label") not in self.labels:
            return ParsedAnswer(False, problem="unknown_label")
        return ParsedAnswer(True, (value["label"],), value)

    def prompt_manifest(self) -> dict[str, Any]:
        return {"task_type": "fake", "user": "{text}"}

    def manifest(self) -> dict[str, Any]:
        return {"task_type": "fake", "labels": list(self.labels)}
