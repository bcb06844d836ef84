"""The short way from a plain record to its example: one text, one label, no photo.

Most of a million records are plain. For these, what depends on the label is computed once a label, what depends on the
task once a task, and a column of texts is worked on as a whole; any other record takes the long way,
`ClassificationTask.example`, which alone knows how to reject. A hypothesis test holds the two ways together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256 as _sha256
from typing import Any, Protocol

import orjson

from finetune_assets.datasets.normalise import content_key, normalise_texts
from finetune_assets.datasets.taxonomies.taxonomy import Fault
from finetune_assets.records.example import Example, PlainExample, RawRecord, Rejection
from finetune_assets.records.json_lines import encode_texts
from finetune_assets.task_types.classification_config import ClassificationConfig
from finetune_assets.task_types.labels import join
from finetune_assets.task_types.prompts import Prompt, text_of
from finetune_assets.task_types.shapes import PHOTO_FIELD, Shape

# Sources spell a label in a handful of ways; this bounds what a hostile one can make us remember.
_MAX_SPELLINGS = 100_000
_PLAIN_TYPES = frozenset({str, int, type(None)})

# Target, label and label path.
_Label = tuple[str, str, tuple[str, ...]]


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
        self._ask = task.prompt.messages_of_batch
        self._needs_photos = task.config.require_photos
        self._id_field = task.shape.id_field
        self._identity = tuple(task.config.identity or [task.text_field])
        # What `content_key` hashes around the one text of an identity.
        self._key_opening = b'{"attachments":[],"fields":{%b:"' % orjson.dumps(self._identity[0])
        self._other_names = frozenset(name for names in task.aliases.values() for name in names) - task.aliases.keys()
        shape = task.shape
        self._label_fields = (*shape.level_fields, *filter(None, [shape.description_field]), *shape.stated_fields)
        self._labels: dict[tuple[Any, ...], _Label] = {}

    def examples(self, records: Sequence[Mapping[str, Any]]) -> Iterator[PlainExample | Sequence[Example | Rejection]]:
        """Yield what each record gives: a plain example, or whatever the long way says.

        Args:
            records: the JSON of `RawRecord`s.
        """
        if self._needs_photos:
            yield from (self._task.examples(RawRecord.from_json(dict(record))) for record in records)
            return
        fields = [record["fields"] for record in records]
        columns = fields, self._labels_of(fields), self._ask(fields), self._keys(fields)
        others, id_field = self._other_names, self._id_field
        for record, held, label, messages, key in zip(records, *columns, strict=True):
            record_id = held.get(id_field)
            if (
                label is not None
                and key
                and type(messages) is list
                and type(record_id) is str
                and record_id.isascii()
                and (record_id := record_id.strip())
                and not held.get(PHOTO_FIELD)
                and others.isdisjoint(held)
            ):
                target, name, path = label
                yield PlainExample(record_id, key, messages, target, name, path, record["source"])
            else:
                yield self._task.examples(RawRecord.from_json(dict(record)))

    def _labels_of(self, batch: Sequence[Mapping[str, Any]]) -> list[_Label | None]:
        """Return target, label and label path of each record with a legal label."""
        columns = [[fields.get(name) for fields in batch] for name in self._label_fields]
        # True would be found under 1, and 1.0 too: only these types are what they look like.
        if not all(_PLAIN_TYPES.issuperset(map(type, column)) for column in columns):
            return [self._label(fields) for fields in batch]
        known = map(self._labels.get, zip(*columns, strict=True))
        return [label or self._label(fields) for label, fields in zip(known, batch, strict=True)]

    def _label(self, fields: Mapping[str, Any]) -> _Label | None:
        """Return target, label and label path of a legal label."""
        spelling = tuple([fields.get(name) for name in self._label_fields])
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

    def _keys(self, batch: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the content key of each record, "" where a field of the identity is no plain text."""
        if len(self._identity) > 1:
            return [self._key_of_several(fields) for fields in batch]
        (name,) = self._identity
        texts = [text.strip() if type(text := fields.get(name)) is str else None for fields in batch]
        normalised = normalise_texts([text or "" for text in texts])
        try:
            written = encode_texts(normalised)
        except TypeError:
            # Half of a UTF-16 pair in one of them: the long way knows what to say of it.
            return [self._key_of_several(fields) for fields in batch]
        opening = self._key_opening
        keys = [_sha256(opening + text + b'"}}').hexdigest() for text in written]
        return [key if text is not None else "" for key, text in zip(keys, texts, strict=True)]

    def _key_of_several(self, fields: Mapping[str, Any]) -> str:
        parts = {name: "" if (value := fields.get(name)) is None else text_of(name, value) for name in self._identity}
        texts = {name: text for name, text in parts.items() if isinstance(text, str)}
        return content_key(texts) if len(texts) == len(parts) else ""
