"""The lines of augmented copies, made while the split dataset is written.

The raw records are read a third time, side by side with the spooled rows, which stand in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from finetune_assets.datasets.augment import Origin, augmented, origin_group
from finetune_assets.datasets.example_lines import ExampleLines
from finetune_assets.datasets.row_table import RowTable, SpooledRow
from finetune_assets.datasets.selection_config import AugmentConfig
from finetune_assets.datasets.splitting.assign import TRAIN
from finetune_assets.datasets.splitting.near_duplicates_guard import EvaluationGuard
from finetune_assets.records.example import Example, PlainExample, RawRecord
from finetune_assets.records.json_lines import decode_line, encode_line
from finetune_assets.records.similarity import FixedWording, similarity_text, with_attachments
from finetune_assets.records.task_type import TaskType


class Copy(NamedTuple):
    """One augmented row.

    Attributes:
        origin: number of the row that it is a copy of.
        row: its lines.
        length: characters of the user's turns.
    """

    origin: int
    row: SpooledRow
    length: int


def with_origin_group(line: bytes) -> bytes:
    """Return a training row's line with the leak group that it shares with its copies."""
    row = decode_line(line)
    row["groups"] = sorted({*row["groups"], origin_group(row["record_id"])})
    return encode_line(row) + b"\n"


def copies_of(
    records: Path,
    rows: RowTable,
    split_of: Sequence[int],
    task: TaskType,
    config: AugmentConfig,
    guard: EvaluationGuard | None = None,
) -> Iterator[Copy]:
    """Yield the copies of all training rows, in the order of the records.

    Args:
        records: the records that the rows were made of, in the same order.
        rows: all rows, settled.
        split_of: the split's number by row.
        task: makes examples of reworded records.
        config: how many and how.
        guard: knows the evaluation rows; a copy that is a near-duplicate of one is dropped.
    """
    if not config.factor:
        return
    wording = FixedWording.of(task.prompt_manifest())
    taken = {rows.keys[number].hex() for number in range(len(rows.keys))}
    training = _training_rows(rows, split_of)
    here = next(training, None)
    for record in _records(records):
        if here is None:
            return
        source, found = here
        if record.source.to_json() != source:
            continue
        origins = {facts["record_id"]: _origin(number, facts) for number, facts in found}
        for origin, example in augmented(record, origins, task, config, taken):
            if guard and guard.is_alike(_compared(example, wording)):
                continue
            facts = next(facts for number, facts in found if number == origin.row)
            groups = tuple(sorted({*example.groups, *facts["groups"]}))
            whole = replace(example, groups=groups, slices=tuple(facts["slices"]))
            [data] = ExampleLines(rows.formats).write([PlainExample.of(whole)], [(groups, whole.slices)])
            written, *rendered = data.splitlines(keepends=True)
            length = sum(len(turn["content"]) for turn in whole.messages if turn["role"] == "user")
            yield Copy(origin.row, SpooledRow(written, tuple(rendered)), length)
        here = next(training, None)


def _compared(example: Example, wording: FixedWording) -> str:
    text = similarity_text(example.messages, example.facts, wording)
    return with_attachments(text, [file.uri for file in example.attachments])


def _records(path: Path) -> Iterator[RawRecord]:
    with path.open("rb", buffering=1 << 20) as lines:
        for line in lines:
            yield RawRecord.from_json(decode_line(line))


def _training_rows(
    rows: RowTable, split_of: Sequence[int]
) -> Iterator[tuple[dict[str, Any], list[tuple[int, dict[str, Any]]]]]:
    """Yield the training rows of one record at a time, with its source."""
    facts = ((number, row.facts()) for number, row in enumerate(rows.rows()) if split_of[number] == TRAIN)
    for source, found in groupby(facts, key=lambda entry: entry[1]["source"]):
        yield source, list(found)


def _origin(number: int, facts: dict[str, Any]) -> Origin:
    return Origin(number, facts["target"], facts["content_key"])
