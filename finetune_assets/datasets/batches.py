"""Batches: the first pass of a build as a function of nothing but its lines.

`prepare_batch` turns lines of `records.jsonl` into columns and finished lines. It neither reads nor writes anything
else, so that it may run in this process, in others, or on other machines, and the bytes are the same
(`datasets/engines`). Whatever needs more than one batch (duplicates, conflicts, splits) is in `row_table` and after.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from finetune_assets.datasets.collector import paused
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.example_lines import ExampleLines
from finetune_assets.datasets.filters import Filters
from finetune_assets.datasets.splitting.leakage_official import official_mask
from finetune_assets.datasets.splitting.near_duplicates_sketch import SketchBlock, sketch_texts
from finetune_assets.datasets.traits import Traits, source_name, traits_of
from finetune_assets.records.example import (
    FEEDBACK_FILE,
    Message,
    PlainExample,
    RawRecord,
    Rejection,
    SourceRef,
)
from finetune_assets.records.json_lines import decode_lines
from finetune_assets.records.similarity import FixedWording, similarity_text, with_attachments
from finetune_assets.records.task_type import TaskType

SYNTHETIC_FIELD = "synthetic"
"""A record that holds this field as true was written by a program or a model; it never stands in validation or test."""

_TRUE = frozenset({"true", "1", "1.0", "yes"})

HASH_BYTES = 16
KEY_BYTES = 32

T = TypeVar("T")


@dataclass(slots=True)
class PreparedBatch:
    """The examples of one batch as columns of one entry a row, and its rejections.

    Attributes:
        read: records that went in.
        made: examples and rejections that came out.
        keys: content keys, 32 bytes a row.
        targets: hashes of the answers, 16 bytes a row.
        ids: hashes of the record ids, 16 bytes a row.
        labels: distinct labels with their paths; `label_of` holds the number by row.
        slice_sets: distinct tuples of slice names; `slices_of` holds the number by row.
        lengths: characters of the user's turns, by row.
        traits: distinct traits; `traits_of` holds the number by row.
        groups: distinct leak groups; `tied_rows` and `tied_groups` say which row is of which, in the rows' order.
        lines: each row's lines (`ExampleLines`), one row after another; `sizes` holds their bytes by row.
        official: the official split that each row states, as a bit mask (`leakage_official`); 0 for none.
        sketches: what near-duplicates are found by; empty where they are not searched.
        rejections: in the order of their records.
    """

    read: int = 0
    made: int = 0
    keys: bytes = b""
    targets: bytes = b""
    ids: bytes = b""
    labels: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    label_of: array[int] = field(default_factory=lambda: array("i"))
    slice_sets: list[tuple[str, ...]] = field(default_factory=list)
    slices_of: array[int] = field(default_factory=lambda: array("i"))
    lengths: array[int] = field(default_factory=lambda: array("i"))
    traits: list[Traits] = field(default_factory=list)
    traits_of: array[int] = field(default_factory=lambda: array("i"))
    groups: list[str] = field(default_factory=list)
    tied_rows: array[int] = field(default_factory=lambda: array("i"))
    tied_groups: array[int] = field(default_factory=lambda: array("i"))
    lines: bytes = b""
    sizes: array[int] = field(default_factory=lambda: array("i"))
    official: bytes = b""
    sketches: SketchBlock = field(default_factory=SketchBlock)
    rejections: list[Rejection] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sizes)


def prepare_batch(lines: Sequence[bytes], task: TaskType, config: DatasetConfig) -> PreparedBatch:
    """Turn lines of `records.jsonl` into prepared rows.

    Args:
        lines: one record each, with or without the line feed.
        task: turns records into examples; its `examples_of_batch` where it has one, else its `examples`.
        config: says which fields are leak groups and slices, and which formats are rendered.

    Returns:
        The batch. Cutting the same lines into other batches gives the same rows in the same order.

    Raises:
        json.JSONDecodeError: when a line is no JSON, which `ingest` never writes.
    """
    with paused():
        return _prepared(decode_lines(lines), task, config)


def _prepared(records: list[dict[str, Any]], task: TaskType, config: DatasetConfig) -> PreparedBatch:
    batch = PreparedBatch(read=len(records))
    filters = Filters(config.filters)
    filtered = bool(filters)
    reject = filters.reject if filtered else _keep
    rows: list[PlainExample] = []
    fields: list[Mapping[str, Any]] = []
    for record, given in zip(records, _given(records, task), strict=True):
        held = record["fields"]
        marked = SYNTHETIC_FIELD in held or record["source"]["file"].startswith(FEEDBACK_FILE)
        if type(given) is PlainExample and not filtered and not marked:
            # Most rows of a large dataset.
            rows.append(given)
            fields.append(held)
            continue
        items: Iterable[Any] = (given,) if type(given) is PlainExample else given or (_nothing(record),)
        for item in items:
            rejection = item if type(item) is Rejection else reject(item)
            if rejection is None:
                plain = item if isinstance(item, PlainExample) else PlainExample.of(item)
                rows.append(_with_origin(plain, held) if marked else plain)
                fields.append(held)
            else:
                batch.rejections.append(rejection)
    batch.made = len(rows) + len(batch.rejections)
    if rows:
        _fill(batch, rows, fields, task, config)
    return batch


def _nothing(record: Mapping[str, Any]) -> Rejection:
    """Return the rejection of a record of which a task type made nothing at all, which would be lost otherwise."""
    return Rejection(
        reason="no_example",
        source=SourceRef(**record["source"]),
        found="no example and no reason",
        expected="at least one of them for each record",
        mend="report this: it is a fault of the task type",
    )


def _keep(_: Any) -> Rejection | None:
    """Keep every row, where no filter is in force."""
    return None


def _with_origin(row: PlainExample, fields: Mapping[str, Any]) -> PlainExample:
    """Mark the example of a corrected case or a synthetic record; tables write that mark as text or as the number 1."""
    if row.source["file"].startswith(FEEDBACK_FILE):
        return row._replace(origin="feedback")
    marked = str(fields[SYNTHETIC_FIELD]).strip().casefold() in _TRUE
    return row._replace(origin="synthetic") if marked else row


def _given(records: Sequence[dict[str, Any]], task: TaskType) -> Iterable[Any]:
    """Yield what each record gives: a plain example, or a sequence of examples and rejections."""
    of_batch: Callable[[Sequence[dict[str, Any]]], Iterable[Any]] | None = getattr(task, "examples_of_batch", None)
    if of_batch is not None:
        return of_batch(records)
    return (task.examples(RawRecord.from_json(record)) for record in records)


def _fill(
    batch: PreparedBatch,
    rows: list[PlainExample],
    fields: list[Mapping[str, Any]],
    task: TaskType,
    config: DatasetConfig,
) -> None:
    """Write the columns, each as a whole: a tenth of the time of row after row."""
    record_ids, keys, messages, targets, labels, paths, places, *more, files, origins, facts = zip(*rows, strict=True)
    named = Membership(config).of_batch(fields, *more)
    slices = [names for _, names in named]
    lines = ExampleLines(config.render.formats).write(rows, named)
    batch.keys = bytes.fromhex("".join(keys))
    answers = {target: short_hash(target) for target in dict.fromkeys(targets)}
    batch.targets = b"".join([answers[target] for target in targets])
    batch.ids = short_hashes(record_ids)
    batch.labels = list(dict(zip(reversed(labels), reversed(paths), strict=True)).items())
    batch.label_of = _numbered(labels, [name for name, _ in batch.labels])
    batch.slice_sets = list(dict.fromkeys(slices))
    batch.slices_of = _numbered(slices, batch.slice_sets)
    batch.lengths = array("i", [_asked(turns) for turns in messages])
    # All that traits depend on; there are few, so that each is read once a batch.
    languages = [repr(known.get("language")) if known else "" for known in facts] if any(facts) else [""] * len(rows)
    parts = [source_name(place["file"]) for place in places], list(map(bool, files)), languages, origins
    alike = all(len(set(part)) == 1 for part in parts)
    spellings: list[Any] = [()] * len(rows) if alike else list(zip(*parts, strict=True))
    distinct = list(dict.fromkeys(spellings))
    batch.traits = [traits_of(rows[spellings.index(spelling)]) for spelling in distinct]
    batch.traits_of = _numbered(spellings, distinct)
    tied = [(row, name) for row, (groups, _) in enumerate(named) for name in groups]
    batch.tied_rows = array("i", [row for row, _ in tied])
    batch.groups = list(dict.fromkeys([name for _, name in tied]))
    batch.tied_groups = _numbered([name for _, name in tied], batch.groups)
    batch.lines = b"".join(lines)
    batch.sizes = array("i", map(len, lines))
    stated = config.split.official
    batch.official = (
        bytes(official_mask(found.get(stated.field), stated) for found in fields) if stated else bytes(len(rows))
    )
    if config.split.near_duplicates.enabled:
        wording = FixedWording.of(task.prompt_manifest())
        texts = [
            with_attachments(similarity_text(turns, known, wording), [file.uri for file in held])
            for turns, known, held in zip(messages, facts, files, strict=True)
        ]
        batch.sketches = sketch_texts(texts, config.split.near_duplicates)


def _numbered(values: Sequence[T], names: Sequence[T]) -> array[int]:
    if len(names) == 1:
        return array("i", [0]) * len(values)
    numbers = {name: number for number, name in enumerate(names)}
    return array("i", [numbers[value] for value in values])


class Membership:
    """The leak groups and slices that a dataset's configuration declares."""

    def __init__(self, config: DatasetConfig) -> None:
        self._groups = [(name, f"{name}=") for name in config.split.group_fields]
        self._slices = [(name, rule.field, str(rule.equals)) for name, rule in config.slices.items()]
        self._only = self._groups[0] if len(self._groups) == 1 and not self._slices else None
        self._silent = not self._groups and not self._slices

    def of_batch(
        self,
        batch: Sequence[Mapping[str, Any]],
        groups: Sequence[tuple[str, ...]],
        slices: Sequence[tuple[str, ...]],
    ) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Return all leak groups and slices of many examples, each as `of` returns them."""
        if not self._only:
            return [self.of(*row) for row in zip(batch, groups, slices, strict=True)]
        name, prefix = self._only
        found = []
        for fields, known, held in zip(batch, groups, slices, strict=True):
            value = fields.get(name)
            # Whole numbers too: `str` writes them as the rest of the code does.
            if known or held or (type(value) is not str and type(value) is not int):
                found.append(self._of(fields, known, held))
            else:
                found.append((((prefix + text,) if (text := str(value).strip()) else ()), ()))
        return found

    def of(
        self, fields: Mapping[str, Any], groups: tuple[str, ...], slices: tuple[str, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return all leak groups and slices of an example, sorted.

        Args:
            fields: of its record.
            groups: that the task type found.
            slices: that the task type found.
        """
        if self._silent:
            return groups, slices
        return self._of(fields, groups, slices)

    def _of(
        self, fields: Mapping[str, Any], groups: tuple[str, ...], slices: tuple[str, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        named = [prefix + value for name, prefix in self._groups for value in _values(fields.get(name))]
        held = [name for name, place, equals in self._slices if equals in _values(fields.get(place))]
        return _merged(named, groups), _merged(held, slices)


def short_hash(text: str) -> bytes:
    """Return 16 bytes that stand for a text: short ones themselves, filled with a byte that UTF-8 does not have."""
    data = text.encode()
    if len(data) <= HASH_BYTES:
        return data.ljust(HASH_BYTES, b"\xff")
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def short_hashes(texts: Sequence[str]) -> bytes:
    """Return `short_hash` of each text, one after another."""
    filled = [data.ljust(HASH_BYTES, b"\xff") for text in texts if len(data := text.encode()) <= HASH_BYTES]
    return b"".join(filled if len(filled) == len(texts) else map(short_hash, texts))


def _merged(found: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    together = (*found, *known)
    return together if len(together) < 2 else tuple(sorted(set(together)))


def _values(value: Any) -> Sequence[str]:
    """Return a field's values as texts: of a list each, of nothing none."""
    if value is None:
        return ()
    if not isinstance(value, list):
        return (text,) if (text := str(value).strip()) else ()
    return [text for item in value if item is not None and (text := str(item).strip())]


def _asked(messages: Sequence[Message]) -> int:
    if len(messages) == 2 and messages[0]["role"] == "system" and messages[1]["role"] == "user":
        return len(messages[1]["content"])
    length = 0
    for turn in messages:
        if turn["role"] == "user":
            length += len(turn["content"])
    return length
