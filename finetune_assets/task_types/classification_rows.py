"""The short way from a plain record to its example: one text, one label, no photo.

Most of a million records are plain. For these, what depends on the label is computed once a label and what depends on
the task once a task; any other record takes the long way, `ClassificationTask.example`, which alone knows how to
reject. A hypothesis test holds the two ways together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import orjson

from finetune_assets.datasets.normalise import content_key, normalise_text
from finetune_assets.datasets.taxonomies.taxonomy import Fault
from finetune_assets.records.example import Example, PlainExample, RawRecord, Rejection
from finetune_assets.task_types.classification_config import ClassificationConfig
from finetune_assets.task_types.labels import join
from finetune_assets.task_types.prompts import FieldFault, Prompt, text_of
from finetune_assets.task_types.shapes import PHOTO_FIELD, Shape

# Sources spell a label in a handful of ways; this bounds what a hostile one can make us remember.
_MAX_SPELLINGS = 100_000
_PLAIN_TYPES = frozenset({str, int, type(None)})


class LabelTask(Protocol):
    """What the short way asks of a classification task."""

    @property
    def config(self) -> ClassificationConfig:
        """The section of the YAML."""

    @property
    def shape(self) -> Shape:
        """The fields of its records."""

    @property
    def prompt(self) -> Prompt:
        """The question."""

    @property
    def text_field(self) -> str:
        """The field that holds the text."""

    @property
    def aliases(self) -> Mapping[str, Sequence[str]]:
        """The names that each field may have."""

    def examples(self, record: RawRecord) -> Sequence[Example | Rejection]:
        """Take the long way."""

    def label_of(self, fields: Mapping[str, Any]) -> tuple[str, ...] | Fault:
        """Return the label's path, or why there is none."""

    def target_of(self, path: tuple[str, ...]) -> str:
        """Return the answer that stands for a label."""


class PlainRows:
    """The short way of one task.

    Args:
        task: the task, which takes the long way for all other records.
    """

    def __init__(self, task: LabelTask) -> None:
        self._task = task
        self._ask = task.prompt.messages
        self._needs_photos = task.config.require_photos
        self._id_field = task.shape.id_field
        self._identity = tuple(task.config.identity or [task.text_field])
        # What `content_key` hashes around the one text of an identity.
        self._key_opening = b'{"attachments":[],"fields":{%b:' % orjson.dumps(self._identity[0])
        self._other_names = frozenset(name for names in task.aliases.values() for name in names) - task.aliases.keys()
        shape = task.shape
        self._label_fields = (*shape.level_fields, *filter(None, [shape.description_field]), *shape.stated_fields)
        self._labels: dict[tuple[Any, ...], tuple[str, str, tuple[str, ...]]] = {}

    def examples(self, records: Sequence[Mapping[str, Any]]) -> Iterator[PlainExample | Sequence[Example | Rejection]]:
        """Yield what each record gives: a plain example, or whatever the long way says.

        Args:
            records: the JSON of `RawRecord`s.
        """
        for record in records:
            plain = self._plain(record["fields"], record["source"])
            yield self._task.examples(RawRecord.from_json(dict(record))) if plain is None else plain

    def _plain(self, fields: Mapping[str, Any], source: Mapping[str, Any]) -> PlainExample | None:
        """Return the example of a plain record, None for any other."""
        if self._needs_photos or fields.get(PHOTO_FIELD) or not self._other_names.isdisjoint(fields):
            return None
        record_id = fields.get(self._id_field)
        if type(record_id) is not str or not record_id.isascii() or not (record_id := record_id.strip()):
            return None
        label = self._label(fields)
        messages = self._ask(fields)
        if label is None or isinstance(messages, FieldFault):
            return None
        key = self._key(fields)
        return PlainExample(record_id, key, messages, *label, source) if key else None

    def _label(self, fields: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...]] | None:
        """Return target, label and label path of a legal label."""
        spelling = tuple([fields.get(name) for name in self._label_fields])
        # True would be found under 1, and 1.0 too: only these types are what they look like.
        if not _PLAIN_TYPES.issuperset(map(type, spelling)):
            return None
        known = self._labels.get(spelling)
        if known is None:
            path = self._task.label_of(fields)
            if isinstance(path, Fault):
                return None
            known = self._task.target_of(path), join(path), path
            if len(self._labels) < _MAX_SPELLINGS:
                self._labels[spelling] = known
        return known

    def _key(self, fields: Mapping[str, Any]) -> str:
        """Return the content key, "" where a field of the identity is no plain text."""
        if len(self._identity) > 1:
            parts = {
                name: "" if (value := fields.get(name)) is None else text_of(name, value) for name in self._identity
            }
            texts = {name: text for name, text in parts.items() if isinstance(text, str)}
            return content_key(texts) if len(texts) == len(parts) else ""
        text = fields.get(self._identity[0])
        if type(text) is not str:
            return ""
        try:
            normalised = orjson.dumps(normalise_text(text.strip()))
        except TypeError:
            return ""
        return hashlib.sha256(self._key_opening + normalised + b"}}").hexdigest()
